"""Kernels of array methods: their width, and low-rank features of them for many samples."""

from typing import Any

import numpy as np
import scipy.sparse
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.utils import check_random_state
from sklearn.utils.extmath import row_norms

from tl_keras.utils.arguments import is_real
from tl_keras.utils.errors import InputError

KERNELS = ("linear", "rbf", "laplacian", "polynomial", "cosine")
MEDIAN_SAMPLES = 1000
BATCH = 8192


def median_gamma(X: Any, random_state: Any = None) -> float:
    """Return `γ = 1 / median ‖x − x′‖²`, the median heuristic, from 1,000 samples at the most.

    Where more than half of the pairs are equal the mean takes the median's place; 1 if all are.

    Args:
        X: `(n, features)`, dense or sparse.
        random_state: Seed of the choice among more than 1,000 samples.
    """
    if X.shape[0] > MEDIAN_SAMPLES:
        random = check_random_state(random_state)
        X = X[random.choice(X.shape[0], MEDIAN_SAMPLES, replace=False)]
    X = X.astype(np.float64)
    digits = 64 * np.finfo(np.float64).eps
    zero = digits**2 * float(row_norms(X, squared=True).max())
    if not scipy.sparse.issparse(X):
        X -= X.mean(axis=0)  # Far from the origin, ‖x‖² + ‖x′‖² − 2 x·x′ loses its digits.
    squares = row_norms(X, squared=True)
    zero += digits * float(squares.max())
    product = X @ X.T
    product = product.toarray() if scipy.sparse.issparse(product) else product
    distances = squares[:, None] + squares[None, :] - 2.0 * product
    distances = distances[np.triu_indices(len(squares), 1)]
    if not (distances > zero).any():
        return 1.0
    median = float(np.median(distances))
    return 1.0 / (median if median > zero else float(distances.mean()))


def resolve_gamma(gamma: Any, X: Any, random_state: Any = None) -> float:
    """Return the kernel width `γ`: a number as it is, `"median"`, or `"scale"` (1 / features·var).

    Raises:
        InputError: If it is neither.
    """
    if isinstance(gamma, str):
        if gamma == "median":
            return median_gamma(X, random_state)
        if gamma == "scale":
            variance = _variance(X)
            return 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0
    elif is_real(gamma) and 0 < gamma < np.inf:
        return float(gamma)
    raise InputError(f"gamma: expected a number above 0, 'median' or 'scale', got {gamma!r}.")


def _variance(X: Any) -> float:
    """Return the variance of all values; 0 where it is rounding."""
    values = (X.data if scipy.sparse.issparse(X) else X).astype(np.float64)
    count = X.shape[0] * X.shape[1]
    mean = float(values.sum()) / count
    variance = float(np.square(values - mean).sum() + (count - values.size) * mean**2) / count
    digits = 64 * np.finfo(np.float64).eps
    return variance if variance > digits**2 * float(np.square(values).sum()) / count else 0.0


def kernel_matrix(A: Any, B: Any, kernel: str, gamma: float | None) -> np.ndarray:
    """Return `k(a, b)` for all pairs, `(n, m)` float64.

    Args:
        A: `(n, features)`.
        B: `(m, features)`.
        kernel: One of `KERNELS`.
        gamma: Width, for all but linear and cosine.

    Raises:
        InputError: If the kernel is unknown or its values overflow.
    """
    if kernel not in KERNELS:
        raise InputError(f"kernel: expected one of {', '.join(KERNELS)}, got {kernel!r}.")
    parameters = {} if kernel in ("linear", "cosine") else {"gamma": gamma}
    same = A is B  # Then the diagonal is exact.
    B = B.astype(np.float64, copy=False)
    A = B if same else A.astype(np.float64, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        if kernel == "rbf" and isinstance(A, np.ndarray) and isinstance(B, np.ndarray):
            middle = B.mean(axis=0)  # Far from the origin, ‖a‖² + ‖b‖² − 2 a·b loses its digits.
            B = B - middle
            A = B if same else A - middle
        values = pairwise_kernels(A, B, metric=kernel, **parameters)
        if not np.isfinite(values.sum()):
            raise InputError(
                f"X: the {kernel} kernel of these features overflows. Scale them, for instance "
                "with StandardScaler."
            )
    return values


class NystroemFeatures:
    """Features `φ` with `φ(a)·φ(b) ≈ k(a, b)`, from landmarks among the samples.

    `φ(x) = k(x, L) (U λ^−½)` where `k(L, L) = U λ Uᵀ` (Williams and Seeger, NIPS 2000). Directions
    with vanishing eigenvalues are left out, so that it is exact where the landmarks span the
    samples.

    Args:
        landmarks: `(m, features)`.
        kernel: One of `KERNELS`.
        gamma: Width.
    """

    def __init__(self, landmarks: Any, kernel: str, gamma: float | None):
        self.landmarks, self.kernel, self.gamma = landmarks, kernel, gamma
        gram = kernel_matrix(landmarks, landmarks, kernel, gamma)
        values, vectors = np.linalg.eigh((gram + gram.T) / 2)
        kept = values > max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
        self.projection = vectors[:, kept] / np.sqrt(values[kept])

    def __call__(self, X: Any) -> np.ndarray:
        """Return `(n, rank)` features, computed a batch of rows at a time."""
        features = np.empty((X.shape[0], self.projection.shape[1]))
        for start in range(0, X.shape[0], BATCH):
            part = slice(start, start + BATCH)
            values = kernel_matrix(X[part], self.landmarks, self.kernel, self.gamma)
            np.matmul(values, self.projection, out=features[part])
        return features


def choose_landmarks(X: Any, count: int, random_state: Any = None) -> Any:
    """Return `count` of the samples as landmarks, drawn without replacement.

    Args:
        X: `(n, features)`.
        count: How many; all samples if there are fewer.
        random_state: Seed.
    """
    if X.shape[0] <= count:
        return X
    random = check_random_state(random_state)
    chosen = random.choice(X.shape[0], count, replace=False)
    return X[chosen]
