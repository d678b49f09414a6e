"""Components in which domains have similar means: the mathematics that TCA, JDA and BDA share.

Samples have features `Ψ` `(n, r)`, the pairs of domains that should agree are columns of `E`
`(n, q)` (`1/n` over the samples of one, `−1/n` over those of the other), and directions `P`
`(r, k)` maximise

    tr((Pᵀ (ΨᵀE EᵀΨ + ρI) P)⁻¹ Pᵀ ΨᵀHΨ P)        H = I − 11ᵀ/n, ρ the regularization.

`Ψ = K` is the kernel form (`P = W` weighs samples), `Ψ = X` the primal form. Where the kernel has
a low rank, `K = ΦΦᵀ` with `ΦᵀΦ = V diag(s) Vᵀ`, directions outside the span of `Φ` only cost, and
`Ψ = Φ V diag(√s)` gives the same components from `r × r` matrices.

`A = ΨᵀE EᵀΨ + ρI` is a multiple of the identity plus a matrix of low rank, so its inverse root is
applied in `O(r q)`. What is left is a symmetric problem, of which a few eigenvectors are wanted:
Lanczos finds them with two products with `Ψ` a step, and nothing of order `n³` is done.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from sklearn.utils import check_random_state

from tl_keras.errors import InputError
from tl_keras.memory import check_memory

DENSE = 300
VANISHING = 1e-12
ROUNDING = 1e-13


@dataclasses.dataclass(frozen=True)
class FeatureSpace:
    """Features `Ψ = matrix @ root` of the samples.

    Attributes:
        matrix: `(n, m)`, an array, sparse matrix or linear operator.
        root: `(m, r)`; None stands for the identity.
        outward: Maps directions `(m, k)` to the coefficients of new samples; None: they are the
            same.
        scatter: `ΨᵀHΨ` `(r, r)` where it is small enough to be formed, else None.
    """

    matrix: Any
    root: np.ndarray | None = None
    outward: Any = None
    scatter: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Number of samples and of features, `(n, r)`."""
        columns = self.matrix.shape[1] if self.root is None else self.root.shape[1]
        return self.matrix.shape[0], columns

    def project(self, directions: np.ndarray) -> np.ndarray:
        """Return `Ψ @ directions`, `(n, k)`."""
        inner = directions if self.root is None else self.root @ directions
        return self.matrix @ inner

    def adjoint(self, columns: np.ndarray) -> np.ndarray:
        """Return `Ψᵀ @ columns`, `(r, k)`."""
        inner = self.matrix.T @ columns
        return inner if self.root is None else self.root.T @ inner

    def coefficients(self, directions: np.ndarray) -> np.ndarray:
        """Return what new samples (or their kernel values) are multiplied by."""
        inner = directions if self.root is None else self.root @ directions
        return inner if self.outward is None else self.outward @ inner

    def scatter_of(self, directions: np.ndarray) -> np.ndarray:
        """Return `ΨᵀHΨ @ directions`, `(r, k)`."""
        if self.scatter is not None:
            return self.scatter @ directions
        projected = self.project(directions)
        return self.adjoint(projected - projected.mean(axis=0))


def low_rank_space(matrix: Any, outward: Any = None) -> FeatureSpace:
    """Return the space of the kernel `K = matrix @ matrixᵀ`.

    Args:
        matrix: `Φ` `(n, m)`, dense or sparse; `(m, m)` matrices are formed.
        outward: As in `FeatureSpace`.
    """
    gram = _dense(matrix.T @ matrix)
    _require_finite(gram)
    values, vectors = scipy.linalg.eigh((gram + gram.T) / 2)
    # The scatter has the squares of these values.
    kept = values > np.sqrt(VANISHING) * max(values[-1], 0.0)
    root = vectors[:, kept] * np.sqrt(values[kept])
    mean = root.T @ np.asarray(matrix.mean(axis=0)).ravel()
    scatter = np.diag(values[kept] ** 2) - matrix.shape[0] * np.outer(mean, mean)
    return FeatureSpace(matrix, root, outward, scatter)


def primal_space(X: Any, formed: bool) -> FeatureSpace:
    """Return the space `Ψ = X`.

    Args:
        X: `(n, features)`, dense or sparse.
        formed: Whether the `(features, features)` scatter is formed.
    """
    scatter = None
    if formed:
        mean = np.asarray(X.mean(axis=0)).ravel()
        scatter = _dense(X.T @ X) - X.shape[0] * np.outer(mean, mean)
    return FeatureSpace(X, scatter=scatter)


def components(
    space: FeatureSpace,
    pairs: np.ndarray,
    regularization: float,
    count: int,
    random_state: Any = None,
    method: str = "components",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best directions and the values of the criterion that they reach.

    Args:
        space: Features of the samples.
        pairs: `E` `(n, q)`, from `pairs_of_domains` and `pairs_of_classes`.
        regularization: `ρ`, above 0.
        count: Number of directions; there are fewer where the samples span fewer.
        random_state: Seed of the first Lanczos vector.
        method: Name for the error.

    Returns:
        `P` `(r, k)` with `PᵀAP = I`, `PᵀΨᵀHΨP = diag(λ)`, and `λ` `(k,)`, descending.

    Raises:
        InputError: If products overflow, no direction has any variance, or the dense solver, which
            many components or a failure of Lanczos call for, would not fit into memory.
    """
    inverse_root = _inverse_root(space.adjoint(pairs), regularization)
    samples, size = space.shape
    values, vectors = _leading(space, inverse_root, min(count, size), random_state, method)
    mean = space.adjoint(np.full(samples, 1.0 / samples))
    # Centring leaves rounding errors in proportion to what is subtracted.
    floor = max(VANISHING * values[0], ROUNDING * samples * (mean @ mean) / regularization)
    kept = values > floor
    if not kept.any():
        raise InputError(
            "X: the kernel does not tell the samples apart, so that there is no component to "
            "find. Use a larger gamma, another kernel, or StandardScaler before."
        )
    return inverse_root(vectors[:, kept]), values[kept]


def scaled(directions: np.ndarray, values: np.ndarray, samples: int) -> np.ndarray:
    """Return directions in which the first component has variance one, component i `√(λᵢ/λ₁)`.

    The criterion leaves the scale of each component open. `λ` is of the order of a squared
    eigenvalue of the kernel, so these are the proportions of kernel PCA.

    Args:
        directions: From `components`.
        values: `λ`, from `components`.
        samples: How many samples they were found from.
    """
    return directions * np.sqrt(samples / values) * (values / values[0]) ** 0.25


def _leading(space, inverse_root, count, random_state, method):
    def operator(vectors):
        return inverse_root(space.scatter_of(inverse_root(vectors)))

    size = space.shape[1]
    if size > DENSE and 4 * count < size:
        start = check_random_state(random_state).standard_normal(size)
        _require_finite(operator(start))
        symmetric = scipy.sparse.linalg.LinearOperator(
            (size, size), matvec=lambda vector: operator(vector.ravel()), dtype=np.float64
        )
        try:
            values, vectors = scipy.sparse.linalg.eigsh(symmetric, count, v0=start, tol=1e-10)
            return values[::-1], vectors[:, ::-1]
        except scipy.sparse.linalg.ArpackError:
            pass  # Not converged, or there is no variance: the dense solver tells which.
    wide = 2 * space.shape[0] if space.scatter is None else 0
    check_memory(
        8.0 * size * (4 * size + wide),
        method,
        "Ask for fewer components (n_components), or use fewer samples.",
    )
    matrix = operator(np.eye(size))
    _require_finite(matrix)
    values, vectors = scipy.linalg.eigh(
        (matrix + matrix.T) / 2, subset_by_index=[size - count, size - 1]
    )
    return values[::-1], vectors[:, ::-1]


def _inverse_root(gaps: np.ndarray, regularization: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return `V ↦ (gaps gapsᵀ + ρI)^−½ V`."""
    _require_finite(gaps)
    scale = 1.0 / np.sqrt(regularization)
    if gaps.shape[1] == 0:
        return lambda vectors: scale * vectors
    basis, lengths, _ = scipy.linalg.svd(gaps, full_matrices=False)
    shrunk = 1.0 - np.sqrt(regularization / (regularization + lengths**2))

    def apply(vectors):
        along = basis.T @ vectors
        along = shrunk * along if along.ndim == 1 else shrunk[:, None] * along
        return scale * (vectors - basis @ along)

    return apply


def _dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if scipy.sparse.issparse(matrix) else np.asarray(matrix)


def _require_finite(values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise InputError(
            "X: products of the features overflow. Scale the features first, for instance with "
            "StandardScaler."
        )
