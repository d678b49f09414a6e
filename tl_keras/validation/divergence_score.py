"""How near a map brings the domains, as a score."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.utils.sparsefuncs import mean_variance_axis

from tl_keras.arrays.domains import Domains
from tl_keras.divergences import (
    coral_distance,
    frechet_distance,
    maximum_mean_discrepancy,
    proxy_a_distance,
)
from tl_keras.utils.errors import InputError
from tl_keras.validation.domain_calls import mapped_features, rows_of
from tl_keras.validation.domain_scorer import DomainScorer

DIVERGENCES = {
    "mmd": functools.partial(maximum_mean_discrepancy, random_state=0),
    "coral": coral_distance,
    "proxy_a": functools.partial(proxy_a_distance, random_state=0),
    "frechet": frechet_distance,
}

# Differences of so many units in the last place are none.
ROUNDING = 64


class DivergenceScore(DomainScorer):
    """The scorer that `divergence_score` returns."""

    def __init__(
        self, divergence: str | Callable = "mmd", normalize: bool = True, target: Any = None
    ):
        self.divergence = divergence
        self.normalize = normalize
        self.target = target

    def _score(self, estimator: Any, X: Any, y: Any, domains: Domains) -> float:
        divergence = self.divergence
        if not callable(divergence):
            if divergence not in DIVERGENCES:
                raise InputError(
                    f"divergence: expected one of {', '.join(DIVERGENCES)} or a function of two "
                    f"arrays, got {divergence!r}."
                )
            divergence = DIVERGENCES[divergence]
        features = mapped_features(estimator, X, domains.label)
        if features is None:
            raise InputError(
                f"estimator: {type(estimator).__name__} does not map features. Score a "
                "transformer, or a pipeline that has one before its last step."
            )
        features = features.tocsr() if scipy.sparse.issparse(features) else np.asarray(features)
        if self.normalize:
            features = features * (1.0 / _spread(features))
        source, target = rows_of(features, domains.source), rows_of(features, domains.target)
        return -float(divergence(source, target))


def divergence_score(
    divergence: str | Callable = "mmd", *, normalize: bool = True, target: Any = None
) -> DivergenceScore:
    """Return a scorer of a map: minus the divergence of the domains after it.

    It sees no labels. A map that loses what tells the classes apart can bring the domains close
    together, so compare settings of one method, and take `reverse_validation` to choose among
    methods. Values of `"coral"` and `"frechet"` compare for the same number of mapped features
    only.

    Args:
        divergence: `"mmd"`, `"coral"`, `"proxy_a"` or `"frechet"`, or any function
            `(source, target)` that returns a number, such as
            `functools.partial(tl.divergences.maximum_mean_discrepancy, gamma=0.1)`.
        normalize: Divide the mapped features by one number first, so that their mean variance is
            one and a map gains nothing by shrinking.
        target: Label of the target domain, or a list of labels; None takes the estimator's
            parameter `target`, or `"target"` if it has none.

    Returns:
        A scorer `(estimator, X, y, *, domain)`, at most 0 but for unbiased MMD, higher is better.
        The estimator is a transformer, or a pipeline with one before its last step.

    Raises:
        InputError: When called, if the estimator has no map or it maps all samples to one point.

    Example:
        >>> import numpy as np
        >>> from sklearn.preprocessing import StandardScaler
        >>> X, domain = [[0.0], [2.0], [9.0], [11.0]], np.repeat(["source", "target"], 2)
        >>> scaler = StandardScaler().fit(X)
        >>> round(divergence_score("frechet")(scaler, X, domain=domain), 3)
        -3.812
    """
    return DivergenceScore(divergence, normalize, target)


def _spread(features: Any) -> float:
    """Return the square root of the features' mean variance."""
    if scipy.sparse.issparse(features):
        means, variances = mean_variance_axis(features.astype(np.float64), axis=0)
    else:
        means = features.mean(axis=0, dtype=np.float64)
        variances = features.var(axis=0, dtype=np.float64)
    variance = float(variances.mean())
    digits = ROUNDING * np.finfo(features.dtype).eps if features.dtype.kind == "f" else 0.0
    if not variance > digits**2 * float(np.square(means).mean()):
        raise InputError(
            "estimator: it maps all samples to one point, so that nothing is left to compare or to "
            "learn from."
        )
    return float(np.sqrt(variance))
