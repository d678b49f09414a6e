"""The features in which TCA, JDA and BDA look for components, one form for each kind of kernel."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse

from tl_keras.features.products import dense, require_finite, require_told_apart
from tl_keras.features.triangular_factor import triangular_factor

EPS = float(np.finfo(np.float64).eps)
VANISHING = 1e-12
ROWS = 512
PROBES = 100


@dataclasses.dataclass(frozen=True)
class FeatureSpace:
    """Features `Ψ = matrix @ root` of the samples.

    Attributes:
        matrix: `(n, m)`, an array, sparse matrix or linear operator.
        root: `(m, r)`; None stands for the identity.
        outward: Maps directions `(m, k)` to the coefficients of new samples; None: they are the
            same.
        scatter: `ΨᵀHΨ` `(r, r)` where it is small enough to be formed, else None.
        half: `C` `(c, r)` with `CᵀC = ΨᵀHΨ` where each column is exact to rounding, else None.
        ranked: Whether directions end at a rank. Those of smooth kernels fade into rounding errors
            and are cut off above the largest of these; of others each meets its own.
    """

    matrix: Any
    root: np.ndarray | None = None
    outward: Any = None
    scatter: np.ndarray | None = None
    half: np.ndarray | None = None
    ranked: bool = False

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

    def total_variance(self) -> float:
        """Return the sum of the variances of all features, `tr(ΨᵀHΨ) / n`.

        Raises:
            InputError: If products overflow, or all samples have the same features.
        """
        samples = self.shape[0]
        mean = self.adjoint(np.full(samples, 1.0 / samples))
        require_finite(mean)
        if self.half is not None:
            total = float(np.square(self.half).sum())
        elif self.scatter is not None:
            total = float(np.trace(self.scatter))
        else:
            total = _squares_around(self.matrix, mean)
        require_finite(np.array(total))
        rounding = EPS * samples * np.linalg.norm(mean)
        require_told_apart(np.array([total > samples * rounding**2]))
        return total / samples

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


def _squares_around(matrix: Any, mean: np.ndarray) -> float:
    """Return `‖matrix − 1 meanᵀ‖²`, the sum of all squared entries."""
    samples = matrix.shape[0]
    if isinstance(matrix, np.ndarray):
        return sum(
            float(np.square(matrix[start : start + ROWS] - mean).sum())
            for start in range(0, samples, ROWS)
        )
    if scipy.sparse.issparse(matrix):
        return float(np.square(matrix.data).sum()) - samples * float(mean @ mean)
    return _trace(
        lambda V: matrix.T @ (matrix @ V) - samples * np.outer(mean, mean @ V), matrix.shape[1]
    )


def _trace(product: Callable[[np.ndarray], np.ndarray], size: int) -> float:
    """Return the trace of a positive semidefinite matrix that is known by its products only.

    Exact up to rank `PROBES`: the trace is taken on the directions that the matrix stretches most,
    and what is left of it is estimated by random vectors (Hutch++: Meyer, Musco, Musco and
    Woodruff, "Hutch++: Optimal stochastic trace estimation", SOSA 2021).

    Args:
        product: `V` `(size, k)` ↦ `AV`.
        size: Number of rows of `A`.
    """
    random = np.random.default_rng(0)
    probes = min(PROBES, size)
    images = product(random.standard_normal((size, probes)))
    require_finite(images)
    basis = np.linalg.qr(images)[0]
    total = float(np.sum(basis * product(basis)))
    if probes < size:
        rest = random.choice([-1.0, 1.0], (size, probes))
        rest -= basis @ (basis.T @ rest)
        total += float(np.sum(rest * product(rest))) / probes
    return total


def low_rank_space(matrix: Any, outward: Any = None) -> FeatureSpace:
    """Return the space of the kernel `K = matrix @ matrixᵀ`.

    Args:
        matrix: `Φ` `(n, m)`, dense or sparse; `(m, m)` matrices are formed.
        outward: As in `FeatureSpace`.
    """
    gram = dense(matrix.T @ matrix)
    require_finite(gram)
    values, vectors = scipy.linalg.eigh((gram + gram.T) / 2)
    # The scatter has the squares of these values.
    kept = values > np.sqrt(VANISHING) * max(values[-1], 0.0)
    root = vectors[:, kept] * np.sqrt(values[kept])
    mean = root.T @ np.asarray(matrix.mean(axis=0)).ravel()
    scatter = np.diag(values[kept] ** 2) - matrix.shape[0] * np.outer(mean, mean)
    return FeatureSpace(matrix, root, outward, scatter)


def linear_space(X: Any) -> FeatureSpace:
    """Return the space of the kernel `K = XXᵀ` of samples at least as many as features.

    Args:
        X: `(n, features)`, dense or sparse; `(features, features)` matrices are formed.
    """
    factor = triangular_factor(X)
    _, lengths, rows = scipy.linalg.svd(factor, full_matrices=False)
    kept = lengths > max(X.shape) * EPS * lengths[0]
    require_told_apart(kept)
    root = rows[kept].T * lengths[kept]
    half = factor[1:] @ root
    require_finite(half)
    return FeatureSpace(X, root, half=half)


def primal_space(X: Any, formed: bool) -> FeatureSpace:
    """Return the space `Ψ = X`.

    Args:
        X: `(n, features)`, dense or sparse.
        formed: Whether the `(features, features)` scatter is formed.
    """
    scatter = None
    if formed:
        mean = np.asarray(X.mean(axis=0)).ravel()
        scatter = dense(X.T @ X) - X.shape[0] * np.outer(mean, mean)
    return FeatureSpace(X, scatter=scatter)
