"""Components in which domains have similar means: the mathematics that TCA, JDA and BDA share.

Samples have features `Ψ` `(n, r)`, the pairs of domains that should agree are columns of `E`
`(n, q)` (`1/n` over the samples of one, `−1/n` over those of the other), and directions `P`
`(r, k)` maximise

    tr((Pᵀ (ΨᵀE EᵀΨ + ρI) P)⁻¹ Pᵀ ΨᵀHΨ P)        H = I − 11ᵀ/n.

`ρ = regularization · tr(ΨᵀHΨ) / n`, the total variance of the features (`ComponentTransformer`).

`Ψ = K` is the kernel form (`P = W` weighs samples), `Ψ = X` the primal form. Where the kernel has
a low rank, `K = ΦΦᵀ` with `ΦᵀΦ = V diag(s) Vᵀ`, directions outside the span of `Φ` only cost, and
`Ψ = Φ V diag(√s)` gives the same components from `r × r` matrices.

`A = ΨᵀE EᵀΨ + ρI` is a multiple of the identity plus a matrix of low rank, so its inverse root is
applied in `O(r q)`. What is left is a symmetric problem, of which a few eigenvectors are wanted:
Lanczos finds them with two products with `Ψ` a step, and nothing of order `n³` is done.

For the linear kernel `X = UDVᵀ`, `Ψ = XVD = UD²`: columns are of the size of their squared singular
value, which features of different units spread over many powers of ten. Each column is kept to its
own rounding error: `C` with `CᵀC = ΨᵀHΨ` and `R` with `RᵀR = A` come from QR factorisations, which
never square (`C` from `XᵀX` where that loses no digits), and directions from the singular vectors
of `CR⁻¹`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from sklearn.utils import check_random_state

from tl_keras.features.feature_space import EPS, VANISHING, FeatureSpace
from tl_keras.features.products import require_finite, require_told_apart
from tl_keras.features.triangular_factor import with_rows
from tl_keras.utils.memory import check_memory

DENSE = 300
ROUNDING = 1e-13
POWER_STEPS = 5
# Of the components: the default regularization and this one were chosen together.
MEAN_VARIANCE = 4.0


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
    gaps = space.adjoint(pairs)
    require_finite(gaps)
    count = min(count, space.shape[1])
    if space.half is None:
        inverse_root = _inverse_root(gaps, regularization)
        values, vectors = _leading(space, inverse_root, count, random_state, method)
    else:
        inverse_root = _triangular_root(gaps, regularization)
        values, vectors = _leading_of_half(space.half, inverse_root, count, random_state, method)
    directions = inverse_root(vectors)
    kept = values > _floor(space, directions, values[0], regularization)
    require_told_apart(kept)
    return directions[:, kept], values[kept]


def _floor(space, directions, largest, regularization):
    """Return the values `(k,)` up to which directions may be rounding errors."""
    samples, size = space.shape
    mean = space.adjoint(np.full(samples, 1.0 / samples))
    # Centring leaves rounding errors in proportion to what is subtracted.
    subtracted = samples * (mean @ directions) ** 2
    if space.half is not None:
        digits = (EPS * max(samples, size)) ** 2
        return digits * np.maximum(largest, subtracted)
    if not space.ranked:
        subtracted = np.full(len(subtracted), samples * (mean @ mean) / regularization)
        return np.maximum(VANISHING * largest, ROUNDING * subtracted)
    noise = EPS * _norm(space) * np.sqrt(max(largest, 0.0) / regularization)
    return np.maximum(max(VANISHING * largest, noise), ROUNDING * subtracted)


def scaled(directions: np.ndarray, values: np.ndarray, samples: int) -> np.ndarray:
    """Return directions in which component i has a variance in proportion to `λᵢ`, with mean four.

    The criterion leaves the scale of the components open. With `PᵀAP = I` their variances are `λ`,
    and one factor for all keeps these proportions: components that tell the domains apart, and
    those of little variance, weigh less in a learner with a penalty. A learner whose penalty is
    made for standardised features would leave its decisions to the constant, and with it to the
    sources' shares of classes, if components were much smaller than that.

    Args:
        directions: From `components`.
        values: `λ`, from `components`.
        samples: How many samples they were found from.
    """
    return directions * np.sqrt(MEAN_VARIANCE * samples / values.mean())


def _norm(space: FeatureSpace) -> float:
    """Return the spectral norm of `Ψ` to within a factor of about two, by a few power steps."""
    vector = np.random.default_rng(0).standard_normal(space.shape[1])
    for _ in range(POWER_STEPS):
        vector = space.adjoint(space.project(vector / np.linalg.norm(vector)))
    return float(np.sqrt(np.linalg.norm(vector)))


def _leading(space, inverse_root, count, random_state, method):
    def operator(vectors):
        return inverse_root(space.scatter_of(inverse_root(vectors)))

    size = space.shape[1]
    found = _lanczos(operator, size, count, random_state)
    if found is not None:
        return found
    wide = 2 * space.shape[0] if space.scatter is None else 0
    _checkdense(8.0 * size * (4 * size + wide), method)
    matrix = operator(np.eye(size))
    require_finite(matrix)
    values, vectors = scipy.linalg.eigh(
        (matrix + matrix.T) / 2, subset_by_index=[size - count, size - 1]
    )
    return values[::-1], vectors[:, ::-1]


def _leading_of_half(half, inverse_root, count, random_state, method):
    whitened = inverse_root(half.T, transposed=True).T
    require_finite(whitened)
    size = half.shape[1]
    found = _lanczos(lambda V: whitened.T @ (whitened @ V), size, count, random_state)
    if found is not None and found[0][-1] > VANISHING * found[0][0]:
        return found
    _checkdense(8.0 * size * (2 * size + 6 * half.shape[0]), method)
    _, lengths, rows = scipy.linalg.svd(whitened, full_matrices=False)
    return lengths[:count] ** 2, rows[:count].T


def _lanczos(operator, size, count, random_state):
    """Return the leading eigenvalues and vectors, or None where the dense solver is called for."""
    if size <= DENSE or 4 * count >= size:
        return None
    start = check_random_state(random_state).standard_normal(size)
    require_finite(operator(start))
    symmetric = scipy.sparse.linalg.LinearOperator(
        (size, size), matvec=lambda vector: operator(vector.ravel()), dtype=np.float64
    )
    try:
        values, vectors = scipy.sparse.linalg.eigsh(symmetric, count, v0=start, tol=1e-10)
    except scipy.sparse.linalg.ArpackError:
        return None  # Not converged, or there is no variance: the dense solver tells which.
    return values[::-1], vectors[:, ::-1]


def _checkdense(needed, method):
    check_memory(needed, method, "Ask for fewer components (n_components), or use fewer samples.")


def _triangular_root(gaps: np.ndarray, regularization: float) -> Callable[..., np.ndarray]:
    """Return `V ↦ R⁻¹V`, or `R⁻ᵀV` on demand, with `RᵀR = gaps gapsᵀ + ρI`."""
    factor = np.sqrt(regularization) * np.eye(gaps.shape[0], order="F")
    if gaps.shape[1]:
        factor = with_rows(factor, np.array(gaps.T, order="F"))

    def apply(vectors, transposed=False):
        return scipy.linalg.solve_triangular(
            factor, vectors, trans=int(transposed), check_finite=False
        )

    return apply


def _inverse_root(gaps: np.ndarray, regularization: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return `V ↦ (gaps gapsᵀ + ρI)^−½ V`."""
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
