"""TrAdaBoost.R2: boosting for regression that lets go of source samples the target contradicts."""

import warnings
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.tree import DecisionTreeRegressor

from tl_keras.arrays.checks import check_count
from tl_keras.instances.boosting_weights import (
    bounded_target_factor,
    mean_error,
    scaled_errors,
    source_factor,
    target_factor,
    transfer_weights,
    weighted_median,
)
from tl_keras.instances.tradaboost import TransferBoosting, check_choice

BETAS = ("paper", "bounded")


class TrAdaBoostRegressor(RegressorMixin, TransferBoosting):
    """TrAdaBoost.R2: boosting for regression over a source and a few labelled target samples.

    For a target with values too few to train on, beside a source of which a part is wrong for
    the target. As `TrAdaBoostClassifier`, with the errors of AdaBoost.R2. Round `t` of `N`, over
    `n` source samples:

        e_i = |h_t(x_i) − y_i| / D_t                 D_t = max |h_t(x_j) − y_j| over all samples
        ε_t = Σ_target w_i e_i / Σ_target w_i        β_t = ε_t / (1 − ε_t)
        source: w_i ← w_i β^e_i                      β   = 1 / (1 + √(2 ln n / N))
        target: w_i ← w_i β_t^(−e_i)

    The prediction is the weighted median of the rounds `⌈N/2⌉ … N`, each with the weight
    `ln 1/β_t`. All sources count as one source, all targets as one target. Target samples without
    a value are ignored. Without `domain` all samples belong to the target.

    `TwoStageTrAdaBoostRegressor` is slower and mostly more accurate: here target weights grow
    towards few hard samples while those of useful source samples fall too.

    Degenerate rounds: with `ε_t = 0` only source weights change, and the round votes as with an
    error of 1e-10; where no sample has an error it is the last one. With `ε_t ≥ ½`, where
    AdaBoost.R2 would stop, `β_t = 1`: target weights stay, source weights change, and the round
    has no vote.

    Args:
        estimator: Regressor whose `fit` takes `sample_weight`, or a pipeline or search of one;
            copied, never changed. Default: `DecisionTreeRegressor(max_depth=3)`. The paper boosts
            model trees, which scikit-learn lacks.
        target: Label of the target domain, or a list of labels.
        n_estimators: Number `N` of rounds, 1 or more.
        beta: How the target factor `β_t` follows from the error: `"paper"`: `ε / (1 − ε)`, or
            `"bounded"`: `ε / (2 − ε)`, below one for any error, so that no round is degenerate.
            The latter is in no paper; ADAPT uses it.
        random_state: Seed of the estimators' seeds; None leaves these as they are.

    Attributes:
        estimators_: The fitted estimators, one a round.
        estimator_errors_: `ε_t` on the target `(rounds,)`.
        estimator_weights_: `ln 1/β_t` `(rounds,)`.
        source_weights_: Weights that each round was fitted with `(rounds, n)`, in the order of
            the source samples in `X`. Source and target weights of a round sum to one.
        target_weights_: `(rounds, m)`, of the labelled target samples in their order in `X`.

    Raises:
        InputError: If a source sample or all target samples lack values, or an argument is
            unknown.

    ADAPT 0.4.5 departs from the paper: its `β_t` is `ε / (2 − ε)`, and for even `N` one round
    fewer enters the median (`N/2 + 1 … N`). With `beta="bounded"` the weights agree.

    Example:
        >>> import numpy as np
        >>> X = np.linspace(0.0, 1.0, 120)[:, None]
        >>> domain = np.where(np.arange(120) % 6 == 0, "target", "source")
        >>> y = np.where(domain == "target", 3.0, 2.5) * X[:, 0]
        >>> model = TrAdaBoostRegressor(n_estimators=20).fit(X, y, domain=domain)
        >>> model.predict([[0.1], [0.9]]).shape
        (2,)

    References:
        Pardoe and Stone, Boosting for Regression Transfer, ICML 2010.
        Drucker, Improving Regressors using Boosting Techniques, ICML 1997 (AdaBoost.R2).
    """

    _regression = True

    def __init__(
        self,
        estimator: Any = None,
        *,
        target: Any = "target",
        n_estimators: int = 50,
        beta: str = "paper",
        random_state: Any = None,
    ):
        self.estimator = estimator
        self.target = target
        self.n_estimators = n_estimators
        self.beta = beta
        self.random_state = random_state

    def _default_estimator(self) -> Any:
        return DecisionTreeRegressor(max_depth=3)

    def fit(
        self, X: Any, y: Any, *, domain: Any = None, sample_weight: Any = None
    ) -> "TrAdaBoostRegressor":
        """Boost the estimator.

        Args:
            X: `(n, features)`, finite, dense or CSR. Of a data frame the estimator gets the values.
            y: Values `(n,)`; NaN for target samples without one. −1 is a value.
            domain: Domain label of each sample `(n,)`; None: all belong to the target.
            sample_weight: Weights of the first round `(n,)`, not negative; None: all one. In each
                round the estimator gets weights with the same sum.

        Returns:
            self
        """
        rounds = check_count("n_estimators", self.n_estimators, 1)
        check_choice("beta", self.beta, BETAS)
        estimator, random = self._checked_estimator(), self._random()
        data = self._labelled(X, y, domain, sample_weight)
        beta = source_factor(int(data.source.sum()), rounds)
        factor = target_factor if self.beta == "paper" else bounded_target_factor

        weights, record = data.weights, []
        for _ in range(rounds):
            fitted = self._fit_weighted(estimator, data, weights, random)
            errors = scaled_errors(fitted.predict(data.X) - data.y, weights)
            error = mean_error(weights[~data.source], errors[~data.source])
            beta_target = factor(error)
            record.append((fitted, error, -np.log(beta_target), weights))
            if not errors.any():
                break
            weights = transfer_weights(weights, errors, data.source, beta, beta_target)
        self._keep(record, data.source)
        if not self._votes().any():
            warnings.warn(
                f"{type(self).__name__}: in all voting rounds the mean error on the target is half "
                "of the largest error or more, so that all have the same vote. Give the target "
                "samples more weight through sample_weight, choose a stronger estimator or "
                "beta='bounded'.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the weighted median of the voting rounds `(n,)`.

        Args:
            X: `(n, features)`.
        """
        X = self._checked_samples(X)
        votes = self._votes()
        votes = votes if votes.any() else np.ones_like(votes)
        return weighted_median(np.array([voter.predict(X) for voter in self._voters()]), votes)
