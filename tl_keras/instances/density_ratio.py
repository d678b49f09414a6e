"""What estimators of the ratio of two densities share: Gaussian kernels at target samples."""

import abc
from typing import Any, ClassVar

import numpy as np
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils.validation import check_is_fitted, validate_data

from tl_keras.arrays.base import DomainWeighter
from tl_keras.arrays.checks import check_count, check_size
from tl_keras.arrays.kernels import median_gamma, resolve_gamma
from tl_keras.instances.pooled import stacked
from tl_keras.utils.errors import InputError
from tl_keras.utils.memory import check_memory

BATCH = 8192
MULTIPLES = tuple(4.0**power for power in range(-3, 4))


class DensityRatioWeighter(DomainWeighter):
    """Weights from `r(x) = p_target(x) / p_source(x)`, which new samples have as well.

    A subclass implements `_fit_ratio`, which sets `centers_` and `gamma_`, and `_combine`.
    """

    _sparse: ClassVar[bool] = True

    @abc.abstractmethod
    def _fit_ratio(self, source: Any, target: Any) -> np.ndarray:
        """Set the fitted attributes and return the ratio at the source samples `(n_source,)`."""

    @abc.abstractmethod
    def _combine(self, distances: np.ndarray) -> np.ndarray:
        """Return the ratio `(n,)` from squared distances to the centers `(n, centers)`."""

    def _estimate(self, source: Any, target: Any) -> np.ndarray:
        check_count("centers", self.centers, 1)
        check_count("folds", self.folds, 2)
        check_memory(
            8.0 * 4 * (source.shape[0] + target.shape[0]) * min(self.centers, target.shape[0]),
            type(self).__name__,
            "Use fewer centers.",
        )
        return self._fit_ratio(source, target)

    def density_ratio(self, X: Any) -> np.ndarray:
        """Return the estimated ratio for samples.

        Args:
            X: `(n, features)`.

        Returns:
            `(n,)`, not negative, not scaled to mean one.
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)
        check_size("X", X)
        return np.concatenate(
            [
                self._combine(squared_distances(X[start : start + BATCH], self.centers_))
                for start in range(0, X.shape[0], BATCH)
            ]
        )


def squared_distances(X: Any, centers: Any) -> np.ndarray:
    """Return `‖x − c‖²`, `(n, centers)` float64."""
    X, centers = X.astype(np.float64, copy=False), centers.astype(np.float64, copy=False)
    if isinstance(X, np.ndarray) and isinstance(centers, np.ndarray):
        shift = centers.mean(axis=0)  # Far from the origin the squares would swallow the rest.
        X, centers = X - shift, centers - shift
    return euclidean_distances(X, centers, squared=True)


def widths(gamma: Any, source: Any, target: Any, random: np.random.RandomState) -> list[float]:
    """Return the widths `γ` to choose from.

    Args:
        gamma: `"cv"`: multiples of the median heuristic; `"median"`, `"scale"` or a number: that
            one; a list of numbers: those.
        source: `(n_source, features)`.
        target: `(n_target, features)`.
        random: For the choice of samples for the median.

    Raises:
        InputError: If it is none of these.
    """
    if isinstance(gamma, (list, tuple, np.ndarray)) and len(gamma):
        return [resolve_gamma(value, target, random) for value in gamma]
    both = stacked(source, target) if isinstance(gamma, str) else None
    if isinstance(gamma, str) and gamma == "cv":
        median = median_gamma(both, random)
        return [median * multiple for multiple in MULTIPLES]
    try:
        return [resolve_gamma(gamma, both, random)]
    except InputError:
        raise InputError(
            "gamma: expected 'cv', 'median', 'scale', a number above 0 or a list of numbers, got "
            f"{gamma!r}."
        ) from None


def fold_numbers(count: int, folds: int, random: np.random.RandomState) -> np.ndarray:
    """Return for each of `count` samples its fold, 0 … folds − 1, at random and balanced."""
    return random.permutation(np.arange(count) % folds)
