"""Principal axes of one domain, dense or sparse, small or large."""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
from scipy.sparse.linalg import ArpackError, aslinearoperator, svds
from sklearn.utils import check_random_state

from tl_keras.utils.errors import InputError
from tl_keras.utils.memory import check_memory

# From this size on, few axes are found by iteration instead of a full decomposition.
LARGE = 400
# Ratio of smallest to largest variance above which no digits that matter are lost by squaring.
CLEAR = 1e-8


class Subspace(NamedTuple):
    """The axes along which samples vary.

    Attributes:
        mean: `(features,)`.
        axes: Orthonormal rows `(count, features)`, by falling variance. The largest entry of each
            is positive, as in scikit-learn's `PCA`.
        variances: `(count,)`, with divisor `n − 1`.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray

    def first(self, count: int) -> "Subspace":
        """Return the subspace of the first `count` axes."""
        return Subspace(self.mean, self.axes[:count], self.variances[:count])


def principal_subspace(
    X: Any, count: int | None, name: str, method: str, random_state: Any = None
) -> Subspace:
    """Return the principal axes of samples, of numerical rank `count` or less.

    Axes without variance are left out: their directions would be arbitrary.

    Args:
        X: `(n, features)`, dense or sparse, `n ≥ 2`.
        count: How many axes at the most; None: all.
        name: What the samples are, for errors.
        method: Name of the method, for errors.
        random_state: Seed of the iteration that finds few axes of large arrays.

    Raises:
        InputError: If there are fewer than two samples, or all features are constant.
    """
    n, width = X.shape
    if n < 2:
        raise InputError(
            f"{method}: {name} has {n} sample; two or more are needed to know how its features "
            "vary. Add samples of it."
        )
    mean = np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()
    most = min(n, width)
    wanted = most if count is None else min(count, most)
    few = wanted < most and (scipy.sparse.issparse(X) or wanted < most // 4)
    found = _iterated(X, mean, wanted, random_state) if few and most > LARGE else None
    singular, axes = _decomposed(X, mean, method) if found is None else found
    kept = singular > max(singular[0], _spread(mean)) * max(n, width) * np.finfo(np.float64).eps
    kept[wanted:] = False
    if not kept.any():
        raise InputError(
            f"{method}: all features of {name} are constant, so that it has no principal axes. "
            "Check the features, or drop this domain."
        )
    axes = axes[kept]
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    return Subspace(mean, axes, singular[kept] ** 2 / (n - 1))


def _decomposed(X: Any, mean: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    n, width = X.shape
    check_memory(
        8.0 * (2 * n * width + 4 * min(n, width) * width),
        method,
        "Ask for fewer components (n_components), or reduce the features first.",
    )
    dense = X.toarray() if scipy.sparse.issparse(X) else X
    centred = dense - mean
    if n > width:
        values, vectors = np.linalg.eigh(centred.T @ centred)
        if values[0] > CLEAR * values[-1]:
            return np.sqrt(values[::-1]), vectors.T[::-1].copy()
        centred = np.linalg.qr(centred, mode="r")
    try:
        _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    except np.linalg.LinAlgError:
        _, singular, axes = scipy.linalg.svd(
            centred, full_matrices=False, check_finite=False, lapack_driver="gesvd"
        )
    return singular, axes


def _iterated(
    X: Any, mean: np.ndarray, count: int, random_state: Any
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the largest singular values and axes, or None where the iteration fails."""
    start = check_random_state(random_state).uniform(-1, 1, min(X.shape))
    if scipy.sparse.issparse(X):
        ones = np.ones((X.shape[0], 1))
        centred = aslinearoperator(X) - aslinearoperator(ones) @ aslinearoperator(mean[None, :])
    else:
        centred = X - mean
    try:
        _, singular, axes = svds(centred, k=count, v0=start, return_singular_vectors="vh")
    except ArpackError:
        return None
    order = np.argsort(singular)[::-1]
    return singular[order], axes[order]


def _spread(mean: np.ndarray) -> float:
    """Return the size of rounding errors' origin: a large mean leaves traces when subtracted."""
    return float(np.abs(mean).max(initial=0.0))
