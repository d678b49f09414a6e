"""Maximum mean discrepancy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import row_norms

from tl_keras.arrays.kernels import (
    KERNELS,
    NystroemFeatures,
    choose_landmarks,
    kernel_matrix,
    resolve_gamma,
)
from tl_keras.divergences.samples import checked_pair
from tl_keras.utils.errors import InputError

BLOCK = 1024
EXACT_SAMPLES = 10_000
ZERO = np.zeros(())


def maximum_mean_discrepancy(
    source: Any,
    target: Any,
    *,
    kernel: str = "rbf",
    gamma: float | str | Sequence[float] = "median",
    biased: bool = True,
    source_weight: Any = None,
    solver: str = "auto",
    landmarks: int = 512,
    random_state: Any = None,
) -> float:
    """Return the squared maximum mean discrepancy of two sets of samples.

    `MMD² = ‖Σᵢ wᵢ φ(sᵢ) − 1/m Σⱼ φ(tⱼ)‖²`, where `φ(a)·φ(b) = k(a, b)` and `w` sums to one. It is
    zero for equal distributions only, if the kernel is characteristic, as `rbf` and `laplacian`
    are. With the linear kernel it is the squared distance of the means.

    Use it to see whether a map or weights have brought two domains together. Values of different
    kernels or widths do not compare.

    Args:
        source: `(n, features)`, dense or sparse.
        target: `(m, features)`.
        kernel: One of `linear`, `rbf`, `laplacian`, `polynomial` (of degree 3) and `cosine`.
        gamma: Width `γ` of the kernel, above 0: `k(a, b) = exp(−γ ‖a − b‖²)` for `rbf`. `"median"`
            takes one over the median squared distance of both sets, `"scale"` one over features
            times variance. Several numbers: the mean of the kernels with these widths.
        biased: Whether a sample counts as its own neighbour, which makes the value 0 or more.
            Without, its expectation is the squared discrepancy of the distributions and it can
            be negative.
        source_weight: Weights of the source samples `(n,)`, not negative; None: all the same.
        solver: `"exact"` computes all pairs, block after block; `"nystroem"` uses low-rank
            features of the kernel; `"auto"` is exact up to 10,000 samples altogether. The kernels
            `linear` and `cosine` are always exact.
        landmarks: Samples of both sets that span the low-rank features.
        random_state: Seed of the choice of landmarks and of samples for the median.

    Returns:
        The squared discrepancy. Exact: time `O((n + m)² features)`; low-rank: `O((n + m)
        landmarks features)`; memory for both grows with `n + m` only.

    Raises:
        InputError: If the sets do not fit together or a setting is not one of those above.
        ValueError: If a set is not finite.

    Example:
        >>> import numpy as np
        >>> source, target = np.zeros((4, 2)), np.ones((3, 2))
        >>> maximum_mean_discrepancy(source, target, kernel="linear")
        2.0

    References:
        Gretton, Borgwardt, Rasch, Schölkopf, Smola: A Kernel Two-Sample Test. JMLR 13, 2012.
    """
    source, target = checked_pair(source, target, fewest=1 if biased else 2)
    if kernel not in KERNELS:
        raise InputError(f"kernel: expected one of {', '.join(KERNELS)}, got {kernel!r}.")
    if solver not in ("auto", "exact", "nystroem"):
        raise InputError(f"solver: expected 'auto', 'exact' or 'nystroem', got {solver!r}.")
    a = _shares(source_weight, source.shape[0], fewest=1 if biased else 2)
    b = np.full(target.shape[0], 1.0 / target.shape[0])
    if kernel in ("linear", "cosine"):
        features = normalize if kernel == "cosine" else (lambda X: X)
        return _by_features([features], source, target, a, b, biased)
    if kernel == "rbf" and not scipy.sparse.issparse(source) and not scipy.sparse.issparse(target):
        # Distances stay, and keep their digits far from the origin.
        middle = source.mean(axis=0)
        source, target = source - middle, target - middle
    widths = _widths(gamma, source, target, random_state)
    if solver == "auto":
        few = source.shape[0] + target.shape[0] <= EXACT_SAMPLES
        solver = "exact" if few else "nystroem"
    if solver == "exact":
        return _by_pairs(_kernel(kernel, widths), source, target, a, b, biased)
    if landmarks < 1:
        raise InputError(f"landmarks: expected 1 or more, got {landmarks}.")
    spanning = choose_landmarks(_stacked(source, target), landmarks, random_state)
    features = [NystroemFeatures(spanning, kernel, width) for width in widths]
    return _by_features(features, source, target, a, b, biased)


def _shares(weight: Any, count: int, fewest: int) -> np.ndarray:
    if weight is None:
        return np.full(count, 1.0 / count)
    weight = np.asarray(weight, np.float64)
    if weight.shape != (count,) or not np.isfinite(weight).all() or (weight < 0).any():
        raise InputError(
            f"source_weight: expected {count} finite weights of 0 or more, one per source sample, "
            f"got an array of shape {weight.shape}"
            + (" with negative or infinite values." if weight.shape == (count,) else ".")
        )
    if (weight > 0).sum() < fewest:
        raise InputError(
            f"source_weight: expected weights above 0 for {fewest} samples or more, got "
            f"{(weight > 0).sum()}."
        )
    return weight / weight.sum()


def _widths(gamma: Any, source: Any, target: Any, random_state: Any) -> list[float]:
    both = _stacked(source, target) if isinstance(gamma, str) else source
    several = list(gamma) if isinstance(gamma, (list, tuple, np.ndarray)) else [gamma]
    if not several:
        raise InputError("gamma: expected at least one width, got none.")
    return [resolve_gamma(width, both, random_state) for width in several]


def _stacked(source: Any, target: Any) -> Any:
    if scipy.sparse.issparse(source) or scipy.sparse.issparse(target):
        return scipy.sparse.vstack([source, target], format="csr")
    return np.vstack([source, target])


def _kernel(kernel: str, widths: list[float]) -> Callable[[Any, Any], np.ndarray]:
    if kernel != "rbf":
        return lambda A, B: (
            sum((kernel_matrix(A, B, kernel, g) for g in widths), ZERO) / len(widths)
        )

    def several_widths(A: Any, B: Any) -> np.ndarray:
        product = A @ B.T
        product = product.toarray() if scipy.sparse.issparse(product) else product
        distances = row_norms(A, squared=True)[:, None] - 2.0 * product
        distances += row_norms(B, squared=True)
        np.maximum(distances, 0.0, out=distances)
        return sum((np.exp(-width * distances) for width in widths), ZERO) / len(widths)

    return several_widths


def _by_pairs(kernel: Callable, source: Any, target: Any, a: Any, b: Any, biased: bool) -> float:
    within = []
    for X, w in ((source, a), (target, b)):
        total = own = 0.0
        for i in range(0, len(w), BLOCK):
            left, rows = w[i : i + BLOCK], X[i : i + BLOCK]
            for j in range(i, len(w), BLOCK):
                values = kernel(rows, X[j : j + BLOCK])
                total += float(left @ values @ w[j : j + BLOCK]) * (1.0 if i == j else 2.0)
                if i == j:
                    own += float(np.square(left) @ np.diagonal(values))
        within.append(_mean(total, own, w, biased))
    between = 0.0
    for i in range(0, len(a), BLOCK):
        for j in range(0, len(b), BLOCK):
            values = kernel(source[i : i + BLOCK], target[j : j + BLOCK])
            between += float(a[i : i + BLOCK] @ values @ b[j : j + BLOCK])
    value = within[0] + within[1] - 2.0 * between
    return max(value, 0.0) if biased else value


def _by_features(
    features: list[Callable], source: Any, target: Any, a: Any, b: Any, biased: bool
) -> float:
    values = []
    for function in features:
        (first, own_first), (second, own_second) = (
            _embedding(function, X, w) for X, w in ((source, a), (target, b))
        )
        if biased:
            values.append(float(np.square(first - second).sum()))
        else:
            values.append(
                _mean(float(first @ first), own_first, a, biased)
                + _mean(float(second @ second), own_second, b, biased)
                - 2.0 * float(first @ second)
            )
    return float(np.mean(values))


def _embedding(function: Callable, X: Any, w: np.ndarray) -> tuple[np.ndarray, float]:
    """Return `Σ wᵢ φ(xᵢ)` and `Σ wᵢ² ‖φ(xᵢ)‖²`, some rows at a time."""
    total, own = ZERO, 0.0
    for start in range(0, len(w), 8 * BLOCK):
        rows, share = function(X[start : start + 8 * BLOCK]), w[start : start + 8 * BLOCK]
        total = total + rows.T @ share
        own += float(np.square(share) @ row_norms(rows, squared=True))
    return total, own


def _mean(total: float, own: float, w: np.ndarray, biased: bool) -> float:
    """Return the mean of the kernel over pairs, with or without each sample's pair with itself."""
    return total if biased else (total - own) / (1.0 - float(w @ w))
