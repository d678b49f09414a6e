"""TrAdaBoost: boosting that lets go of source samples which disagree with the target."""

import warnings
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.multiclass import check_classification_targets

from tl_keras.arrays import require_classes
from tl_keras.arrays.checks import check_count
from tl_keras.instances.boosting_weights import (
    bounded_target_factor,
    mean_error,
    source_factor,
    target_factor,
    transfer_weights,
)
from tl_keras.instances.tradaboost import TransferBoosting, check_choice
from tl_keras.utils.errors import InputError

BETAS = ("paper", "samme", "bounded")
OUTPUTS = ("auto", "probabilities", "labels")


class TrAdaBoostClassifier(ClassifierMixin, TransferBoosting):
    """Boosting over many source samples and a few labelled target samples.

    For a target with labels too few to train on, beside a source of which a part is wrong for
    the target. Each round fits the estimator on all labelled samples. Target samples that it
    gets wrong gain weight, as in AdaBoost; source samples that it gets wrong lose weight, so that
    those which contradict the target fade. Round `t` of `N`, over `n` source samples, with the
    error `e_i = |h_t(x_i) − y_i|`:

        ε_t = Σ_target w_i e_i / Σ_target w_i        β_t = ε_t / (1 − ε_t)
        source: w_i ← w_i β^e_i                      β   = 1 / (1 + √(2 ln n / N))
        target: w_i ← w_i β_t^(−e_i)

    The rounds `⌈N/2⌉ … N` vote, each with `ln 1/β_t`. All sources count as one source, all
    targets as one target. Target samples without a label are ignored. Without `domain` all
    samples belong to the target, and this is AdaBoost with the votes of its second half.

    The paper asks for `ε_t < ½` and leaves open what to do otherwise. Here:

    - `ε_t = 0`: only source weights change. The round votes as with an error of 1e-10, more than
      all rounds that err. A round with no error on any sample is the last one.
    - `ε_t > ½` and two classes: the complement `1 − h_t` takes the place of `h_t`, with the error
      `1 − ε_t`.
    - `ε_t ≥ ½` and more classes (`≥ 1 − 1/K` for `beta="samme"`): `β_t = 1`. Target weights stay,
      source weights change, and the round has no vote.

    A weak estimator under a source that is far larger can stay worse than guessing. Raise the
    target's first weights (`sample_weight`), take a stronger estimator, or `beta="bounded"`.

    Args:
        estimator: Classifier whose `fit` takes `sample_weight`, or a pipeline or search of one;
            copied, never changed. It sees all classes in every round, by their weights.
            Default: `LogisticRegression(max_iter=1000)`. The paper boosts a linear support vector
            machine; this is as linear and has probabilities.
        target: Label of the target domain, or a list of labels.
        n_estimators: Number `N` of rounds, 1 or more. The paper runs 100.
        beta: How the target factor `β_t` follows from the error.

            - `"paper"`: `ε / (1 − ε)`.
            - `"samme"`: `ε / ((1 − ε) (K − 1))` for `K` classes, the factor of SAMME, which asks
              of the estimator only to beat guessing among `K` classes. The same as the paper's
              for two classes. The paper has two classes only; this joins its source factor to
              the multi-class AdaBoost of Zhu et al.
            - `"bounded"`: `ε / (2 − ε)`, below one for any error and any number of classes, so
              that no round is degenerate. In no paper; ADAPT uses it.
        output: What `h_t` is: `"probabilities"` (in the paper `h_t(x)` lies anywhere in 0 … 1;
            then `e_i = 1 −` probability of the true class), `"labels"` (`e_i` is 0 or 1) or
            `"auto"`, probabilities where the estimator has `predict_proba`. With labels an
            estimator that is perfect on few target samples stops learning from them.
        random_state: Seed of the estimators' seeds; None leaves these as they are.

    Attributes:
        classes_: Sorted classes `(K,)`.
        estimators_: The fitted estimators, one a round.
        estimator_errors_: `ε_t` on the target `(rounds,)`, before taking any complement.
        estimator_weights_: Votes `ln 1/β_t` `(rounds,)`; negative where the complement votes.
        source_weights_: Weights that each round was fitted with `(rounds, n)`, in the order of
            the source samples in `X`. Source and target weights of a round sum to one.
        target_weights_: `(rounds, m)`, of the labelled target samples in their order in `X`.

    Raises:
        InputError: If a source sample or all target samples lack labels, there is one class
            only, or an argument is unknown.

    ADAPT 0.4.5 departs from the paper: its `β_t` is `ε / (2 − ε)`, and for even `N` one round
    fewer votes (`N/2 + 1 … N`). With `beta="bounded"` the weights agree.

    Example:
        >>> import numpy as np
        >>> random = np.random.default_rng(0)
        >>> X = random.normal(size=(220, 2))
        >>> domain = np.repeat(["source", "target"], [200, 20])
        >>> y = np.where(X[:, 0] + (domain == "target") * X[:, 1] > 0, "high", "low")
        >>> model = TrAdaBoostClassifier(n_estimators=20).fit(X, y, domain=domain)
        >>> model.predict([[-1.0, 3.0], [1.0, -3.0]]).tolist()
        ['high', 'low']

    References:
        Dai, Yang, Xue and Yu, Boosting for Transfer Learning, ICML 2007.
        Zhu, Zou, Rosset and Hastie, Multi-class AdaBoost, Statistics and Its Interface 2, 2009.
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        target: Any = "target",
        n_estimators: int = 50,
        beta: str = "paper",
        output: str = "auto",
        random_state: Any = None,
    ):
        self.estimator = estimator
        self.target = target
        self.n_estimators = n_estimators
        self.beta = beta
        self.output = output
        self.random_state = random_state

    def _default_estimator(self) -> Any:
        return LogisticRegression(max_iter=1000)

    def fit(
        self, X: Any, y: Any, *, domain: Any = None, sample_weight: Any = None
    ) -> "TrAdaBoostClassifier":
        """Boost the estimator.

        Args:
            X: `(n, features)`, finite, dense or CSR. Of a data frame the estimator gets the values.
            y: Classes `(n,)`, integers or strings; target samples without one are −1, NaN or None.
            domain: Domain label of each sample `(n,)`; None: all belong to the target.
            sample_weight: Weights of the first round `(n,)`, not negative; None: all one. In each
                round the estimator gets weights with the same sum.

        Returns:
            self
        """
        rounds = check_count("n_estimators", self.n_estimators, 1)
        check_choice("beta", self.beta, BETAS)
        check_choice("output", self.output, OUTPUTS)
        estimator, random = self._checked_estimator(), self._random()
        self.soft_ = self._uses_probabilities(estimator)
        data = self._labelled(X, y, domain, sample_weight)
        check_classification_targets(data.y)
        self.classes_ = require_classes(data.y, "the labelled samples")
        truth = np.searchsorted(self.classes_, data.y)
        beta = source_factor(int(data.source.sum()), rounds)

        weights, record = data.weights, []
        for _ in range(rounds):
            fitted = self._fit_weighted(estimator, data, weights, random)
            errors = 1.0 - self._belief(fitted, data.X)[np.arange(len(truth)), truth]
            error = mean_error(weights[~data.source], errors[~data.source])
            beta_target, complement = self._target_factor(error)
            vote = np.log(beta_target) if complement else -np.log(beta_target)
            record.append((fitted, error, vote, weights))
            if not errors.any():
                break
            errors = 1.0 - errors if complement else errors
            weights = transfer_weights(weights, errors, data.source, beta, beta_target)
        self._keep(record, data.source)
        if not self._votes().any():
            warnings.warn(
                f"{type(self).__name__}: no voting round is better than guessing on the target, so "
                "that all have the same vote. Give the target samples more weight through "
                "sample_weight, choose a stronger estimator or beta='bounded'.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the share of each class in the votes.

        It is the weighted mean of what the voting rounds say, not a calibrated probability.

        Args:
            X: `(n, features)`.

        Returns:
            `(n, K)`, rows with sum one.
        """
        X = self._checked_samples(X)
        votes = self._votes()
        votes = votes if votes.any() else np.ones_like(votes)
        total = 0.0
        for fitted, vote in zip(self._voters(), votes, strict=True):
            belief = self._belief(fitted, X)
            total = total + abs(vote) * (belief if vote >= 0 else 1.0 - belief)
        return total / np.abs(votes).sum()

    def predict(self, X: Any) -> np.ndarray:
        """Return the class with most votes `(n,)`; of equal ones the first in `classes_`.

        Args:
            X: `(n, features)`.
        """
        most = self.predict_proba(X).argmax(axis=1)
        return self.classes_[most]

    def _uses_probabilities(self, estimator: Any) -> bool:
        able = hasattr(estimator, "predict_proba")
        if self.output == "probabilities" and not able:
            raise InputError(
                f"output: 'probabilities' needs an estimator with predict_proba, which "
                f"{type(estimator).__name__} has not. Choose another one or output='labels'."
            )
        return able and self.output != "labels"

    def _target_factor(self, error: float) -> tuple[float, bool]:
        """Return `β_t`, and whether the complement of the hypothesis is used."""
        if self.beta == "bounded":
            return bounded_target_factor(error), False
        if len(self.classes_) == 2 and error > 0.5:
            return target_factor(1.0 - error), True
        return target_factor(error, len(self.classes_) if self.beta == "samme" else 2), False

    def _belief(self, fitted: Any, X: Any) -> np.ndarray:
        """Return `h_t(x)` as shares of the classes `(n, K)`."""
        if self.soft_:
            return fitted.predict_proba(X)
        return np.eye(len(self.classes_))[np.searchsorted(self.classes_, fitted.predict(X))]
