"""Two-stage TrAdaBoost.R2: the weight moves to the target in steps, one of which is chosen."""

import dataclasses
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.model_selection import KFold, check_cv
from sklearn.tree import DecisionTreeRegressor

from tl_keras.arrays.checks import check_count
from tl_keras.instances.boosting_weights import (
    frozen_source_weights,
    lowered_source,
    mean_error,
    scaled_errors,
    target_factor,
    target_shares,
    weighted_median,
)
from tl_keras.instances.tradaboost import LabelledSamples, TransferBoosting
from tl_keras.utils.errors import InputError


class TwoStageTrAdaBoostRegressor(RegressorMixin, TransferBoosting):
    """Two-stage TrAdaBoost.R2: moves the weight from source to target in steps, keeps the best.

    For a target with values too few to train on, beside sources whose use is not known
    beforehand: how far to trust them is chosen by cross-validation on the target. Over `n` source
    and `m` target samples, the share of the target in all weight rises from `m / (n + m)` to 1:

        s_t = m/(n + m) + (t − 1)/(S − 1) · (1 − m/(n + m)),    t = 1 … S

    At each step AdaBoost.R2 with frozen source weights boosts the target samples, and
    cross-validation over the target samples estimates its error. Then one fit of the estimator
    with the weights of the step gives `e_i = |h(x_i) − y_i| / D`, and the source weights become
    `w_i β_t^e_i`, where a search finds the `β_t` that leads to the share `s_(t+1)`. The step with
    the smallest error is used. All sources count as one source, all targets as one target. Target
    samples without a value are ignored. Without `domain` all samples belong to the target, there
    is one step, and this is AdaBoost.R2.

    AdaBoost.R2 with frozen source weights: `ε = Σ w_i e_i` over all samples, `β = ε / (1 − ε)`,
    target samples `w_i ← w_i β^(1 − e_i)`, scaled so that their sum stays; it stops where
    `ε ≥ ½`, leaving that round out unless it is the first, or where no sample has an error. The
    prediction is the weighted median of its rounds with the weights `ln 1/β`.

    A fit costs `steps · (cv · n_estimators + 1) + n_estimators` fits of the estimator.

    Args:
        estimator: Regressor whose `fit` takes `sample_weight`, or a pipeline or search of one;
            copied, never changed. Default: `DecisionTreeRegressor(max_depth=3)`. The paper boosts
            model trees, which scikit-learn lacks.
        target: Label of the target domain, or a list of labels.
        steps: Number `S` of steps, 2 or more.
        n_estimators: Rounds of AdaBoost.R2 in each step, 1 or more.
        cv: Number of shuffled folds of the labelled target samples, 2 or more; with fewer samples
            than folds each sample is a fold. Or a scikit-learn splitter over these samples. All
            source samples train in each fold, and the target samples that train keep the share of
            the step.
        random_state: Seed of the folds and of the estimators' seeds; None leaves the latter as
            they are.

    Attributes:
        step_errors_: Root mean squared error of each step on left-out target samples `(S,)`.
        best_step_: Index of the step used, from 0.
        estimators_: The fitted estimators of that step.
        estimator_weights_: Their weights in the median.
        source_weights_: Weights of each step `(S, n)`, in the order of the source samples in `X`.
            Source and target weights of a step sum to one.
        target_weights_: `(S, m)`, of the labelled target samples in their order in `X`.

    Raises:
        InputError: If a source sample lacks a value, fewer than two target samples have one, or
            an argument is unknown.

    ADAPT 0.4.5 departs from the paper: its shares lag one step behind, so that the second step
    repeats the first and none reaches 1; its errors come from the boosted median rather than from
    one fit; it validates single fits rather than boosted ones and by the absolute error; only the
    second half of the rounds enters the median, with `β = ε / (2 − ε)`; its search for `β_t` stops
    at an error of 1e-3 in the sum of the weights.

    Example:
        >>> import numpy as np
        >>> X = np.linspace(0.0, 1.0, 120)[:, None]
        >>> domain = np.where(np.arange(120) % 6 == 0, "target", "source")
        >>> y = np.where(domain == "target", 3.0, 1.0) * X[:, 0]
        >>> model = TwoStageTrAdaBoostRegressor(steps=5, n_estimators=5, random_state=0)
        >>> model = model.fit(X, y, domain=domain)
        >>> len(model.step_errors_), model.best_step_
        (5, 4)

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
        steps: int = 10,
        n_estimators: int = 10,
        cv: Any = 5,
        random_state: Any = None,
    ):
        self.estimator = estimator
        self.target = target
        self.steps = steps
        self.n_estimators = n_estimators
        self.cv = cv
        self.random_state = random_state

    def _default_estimator(self) -> Any:
        return DecisionTreeRegressor(max_depth=3)

    def fit(
        self, X: Any, y: Any, *, domain: Any = None, sample_weight: Any = None
    ) -> "TwoStageTrAdaBoostRegressor":
        """Boost the estimator at each step and keep the best step.

        Args:
            X: `(n, features)`, finite, dense or CSR. Of a data frame the estimator gets the values.
            y: Values `(n,)`; NaN for target samples without one. −1 is a value.
            domain: Domain label of each sample `(n,)`; None: all belong to the target.
            sample_weight: Weights of the first step `(n,)`, not negative; None: all one. Their
                share of the target replaces `m / (n + m)`. In each fit the estimator gets weights
                with the same sum.

        Returns:
            self
        """
        steps = check_count("steps", self.steps, 2)
        check_count("n_estimators", self.n_estimators, 1)
        estimator, random = self._checked_estimator(), self._random()
        data = self._labelled(X, y, domain, sample_weight)
        folds = self._folds(data)
        source, weights, used, errors = data.source, data.weights, [], []
        shares = (
            target_shares(weights[source].sum(), weights[~source].sum(), steps)
            if source.any()
            else np.ones(1)
        )
        for step in range(len(shares)):
            used.append(weights)
            errors.append(self._validation_error(estimator, data, weights, folds, random))
            if step + 1 < len(shares):
                fitted = self._fit_used(estimator, data, weights, random)
                error = scaled_errors(fitted.predict(data.X) - data.y, weights)
                weights = _next_step(weights, error, source, shares[step + 1])
        self.step_errors_ = np.array(errors)
        self.best_step_ = int(np.argmin(self.step_errors_))
        best = dataclasses.replace(data, weights=used[self.best_step_])
        self.estimators_, self.estimator_weights_, last = self._boost(estimator, best, random)
        self._warn_of_last_round(last)
        self.source_weights_ = np.array([step[source] for step in used])
        self.target_weights_ = np.array([step[~source] for step in used])
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the weighted median of the estimators of the best step `(n,)`.

        Args:
            X: `(n, features)`.
        """
        X = self._checked_samples(X)
        return _median(self.estimators_, self.estimator_weights_, X)

    def _folds(self, data: LabelledSamples) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return folds as positions of target samples that train, and of those left out."""
        target = np.flatnonzero(~data.source)
        if len(target) < 2:
            raise InputError(
                "y: cross-validation needs 2 labelled samples of the target or more, got "
                f"{len(target)} sample. Label more, or use TrAdaBoostRegressor."
            )
        cv = self.cv
        if np.isscalar(cv):
            count = min(check_count("cv", cv, 2), len(target))
            cv = KFold(count, shuffle=True, random_state=self.random_state)
        splits = check_cv(cv).split(data.X[target], data.y[target])
        folds = [(target[train], target[test]) for train, test in splits]
        if any(not data.weights[train].any() for train, _ in folds):
            raise InputError(
                "sample_weight: in a fold all target samples that train have weight zero. Give "
                "more of them a weight, or choose other folds with cv=…."
            )
        return folds

    def _validation_error(
        self, estimator: Any, data: LabelledSamples, weights: np.ndarray, folds: list, random: Any
    ) -> float:
        """Return the root mean squared error on left-out target samples, by their weights."""
        squares, counts, source = [], [], np.flatnonzero(data.source)
        for train, test in folds:
            rows = np.concatenate([source, train])
            share = weights[~data.source].sum() / weights[train].sum()
            part = LabelledSamples(
                data.X[rows],
                data.y[rows],
                data.source[rows],
                np.concatenate([weights[source], weights[train] * share]),
                data.total,
            )
            voters, votes, _ = self._boost(estimator, part, random)
            squares.append((_median(voters, votes, data.X[test]) - data.y[test]) ** 2)
            counts.append(weights[test])
        return float(np.sqrt(np.average(np.concatenate(squares), weights=np.concatenate(counts))))

    def _boost(
        self, estimator: Any, data: LabelledSamples, random: Any
    ) -> tuple[list[Any], np.ndarray, np.ndarray]:
        """Run AdaBoost.R2 with frozen source weights; return estimators, votes, last weights."""
        weights, voters, votes = data.weights, [], []
        for _ in range(self.n_estimators):
            fitted = self._fit_used(estimator, data, weights, random)
            errors = scaled_errors(fitted.predict(data.X) - data.y, weights)
            error = mean_error(weights, errors)
            if error >= 0.5 and voters:
                break
            beta = target_factor(error)
            used = weights
            voters.append(fitted)
            votes.append(-np.log(beta))
            if error >= 0.5 or error == 0.0:
                break
            weights = frozen_source_weights(weights, errors, data.source, beta)
        return voters, np.array(votes) if np.any(votes) else np.ones(len(votes)), used

    def _fit_used(
        self, estimator: Any, data: LabelledSamples, weights: np.ndarray, random: Any
    ) -> Any:
        """Fit on the samples that have weight: at the last step the source has none."""
        used = weights > 0
        if used.all():
            return self._fit_weighted(estimator, data, weights, random)
        part = dataclasses.replace(data, X=data.X[used], y=data.y[used])
        return self._fit_weighted(estimator, part, weights[used], random)


def _next_step(
    weights: np.ndarray, errors: np.ndarray, source: np.ndarray, share: float
) -> np.ndarray:
    """Return weights with sum one of which the target holds `share`."""
    target = weights[~source].sum()
    lowered = weights.copy()
    lowered[source] = lowered_source(weights[source], errors[source], target * (1 - share) / share)
    return lowered / lowered.sum()


def _median(voters: list[Any], votes: np.ndarray, X: Any) -> np.ndarray:
    return weighted_median(np.array([voter.predict(X) for voter in voters]), votes)
