"""What the boosting methods share: the samples they learn from and the fitting of one round."""

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import (
    Tags,
    assert_all_finite,
    check_consistent_length,
    check_random_state,
    column_or_1d,
    get_tags,
)
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from tl_keras.arrays import (
    labelled_samples,
    resolve_domains,
    warn_of_one_sample,
    warn_without_domain,
)
from tl_keras.arrays.checks import check_size
from tl_keras.arrays.labels import regression_values
from tl_keras.arrays.marks import keep_marks
from tl_keras.arrays.sample_weights import fit_weighted, weight_parameter
from tl_keras.instances.boosting_weights import second_half
from tl_keras.utils.errors import InputError


@dataclasses.dataclass(frozen=True)
class LabelledSamples:
    """The labelled samples of all domains.

    Attributes:
        X: `(n, features)`, dense or CSR.
        y: Labels `(n,)`.
        source: Mask `(n,)` of the source samples; the others belong to the target.
        weights: `(n,)`, with sum one.
        total: What the user's weights sum to; without these `n`.
    """

    X: Any
    y: np.ndarray
    source: np.ndarray
    weights: np.ndarray
    total: float


class TransferBoosting(BaseEstimator, abc.ABC):
    """Boosting over source and target samples.

    A subclass has the parameters `estimator`, `target` and `random_state`.
    """

    # With scikit-learn's metadata routing switched on, `domain` arrives without further requests.
    __metadata_request__fit: ClassVar = {"domain": True}
    _regression: ClassVar[bool] = False

    @abc.abstractmethod
    def _default_estimator(self) -> Any:
        """Return the estimator that is boosted where the user named none."""

    def _labelled(self, X: Any, y: Any, domain: Any, sample_weight: Any) -> LabelledSamples:
        if y is None:
            validate_data(self, X, y)  # raises scikit-learn's own error
        X = validate_data(self, X, accept_sparse="csr", dtype=_FLOATS)
        check_size("X", X)
        y = column_or_1d(keep_marks(y), warn=True)
        check_consistent_length(X, y)
        if self._regression:
            y = regression_values(y)
        domains = resolve_domains(domain, self.target, X.shape[0])
        kept = labelled_samples(y, domains, regression=self._regression)
        warn_without_domain(domains, type(self).__name__)
        # Without domains nothing has shifted, and every sample is one of the target.
        source = domains.source & ~domains.target
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)[kept]
        X, y, source = X[kept], y[kept], source[kept]
        y = np.array(y.tolist()) if y.dtype == object else y
        if y.dtype.kind == "f":
            assert_all_finite(y, input_name="y")
        if source.all():
            raise InputError(
                f"y: no sample of the target {_names(domains.targets)} has a label. Boosting "
                "needs some labelled target samples: give labels of a few, or use a method that "
                "does without, such as KernelMeanMatching."
            )
        if (weights < 0).any():
            raise InputError("sample_weight: expected weights of zero or more, got a negative one.")
        if not weights[~source].any():
            raise InputError(
                "sample_weight: all labelled target samples have weight zero. Give some of them a "
                "weight above zero."
            )
        total = float(weights.sum())
        return LabelledSamples(X, y, source, weights / total, total)

    def _checked_estimator(self) -> Any:
        estimator = self._default_estimator() if self.estimator is None else self.estimator
        if isinstance(estimator, type) or not hasattr(estimator, "fit"):
            raise InputError(
                "estimator: expected an estimator with fit and predict, such as "
                f"{self._default_estimator()!r}, got {estimator!r}."
            )
        kind = get_tags(estimator).estimator_type if _has_tags(estimator) else None
        wanted = "regressor" if self._regression else "classifier"
        if kind is not None and kind != wanted:
            raise InputError(
                f"estimator: expected a {wanted}, got {type(estimator).__name__}, a {kind}."
            )
        weight_parameter(estimator)
        return estimator

    def _fit_weighted(
        self, estimator: Any, samples: LabelledSamples, weights: np.ndarray, random: Any
    ) -> Any:
        """Fit a copy of the estimator with `weights`, scaled to the sum of the user's weights.

        An estimator with a penalty thus sees the same amount of data in every round.

        Args:
            estimator: Not changed.
            samples: What to fit.
            weights: Weights of this round `(n,)`, with sum one.
            random: Where the copy's seeds come from, or None to leave them as they are.
        """
        fitted = clone(estimator)
        if random is not None:
            seeds = {
                name: random.randint(np.iinfo(np.int32).max)
                for name in sorted(fitted.get_params())
                if name == "random_state" or name.endswith("__random_state")
            }
            fitted.set_params(**seeds)
        parameter = weight_parameter(fitted)
        return fit_weighted(fitted, parameter, samples.X, samples.y, weights * samples.total)

    def _keep(self, record: list[tuple[Any, float, float, np.ndarray]], source: np.ndarray) -> None:
        """Keep the rounds: of each the fitted estimator, its error, its vote and the weights."""
        self.estimators_ = [fitted for fitted, _, _, _ in record]
        self.estimator_errors_ = np.array([error for _, error, _, _ in record])
        self.estimator_weights_ = np.array([vote for _, _, vote, _ in record])
        self.source_weights_ = np.array([weights[source] for _, _, _, weights in record])
        self.target_weights_ = np.array([weights[~source] for _, _, _, weights in record])
        self._warn_of_last_round(record[-1][3], stacklevel=5)

    def _voters(self) -> list[Any]:
        return self.estimators_[second_half(len(self.estimators_))]

    def _votes(self) -> np.ndarray:
        return self.estimator_weights_[second_half(len(self.estimators_))]

    def _checked_samples(self, X: Any) -> Any:
        check_is_fitted(self)
        return validate_data(self, X, accept_sparse="csr", dtype=_FLOATS, reset=False)

    def _random(self) -> Any:
        return None if self.random_state is None else check_random_state(self.random_state)

    def _warn_of_last_round(self, weights: np.ndarray, stacklevel: int = 4) -> None:
        warn_of_one_sample(
            weights,
            type(self).__name__,
            "Its label may be wrong; otherwise use fewer rounds.",
            when="in the last round ",
            stacklevel=stacklevel,
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        base = self._default_estimator() if self.estimator is None else self.estimator
        tags.input_tags.sparse = not _has_tags(base) or get_tags(base).input_tags.sparse
        return tags


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse a value that is none of the choices.

    Raises:
        InputError: If it is not.
    """
    if value not in choices:
        shown = ", ".join(repr(choice) for choice in choices)
        raise InputError(f"{name}: expected one of {shown}, got {value!r}.")


def _has_tags(estimator: Any) -> bool:
    return hasattr(estimator, "__sklearn_tags__") and not isinstance(estimator, type)


def _names(names: tuple) -> str:
    return ("domains " if len(names) > 1 else "domain ") + ", ".join(repr(name) for name in names)


_FLOATS = (np.float64, np.float32)
