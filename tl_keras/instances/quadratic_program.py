"""The quadratic program of kernel mean matching, by a primal-dual interior-point method.

    min ½ βᵀKβ − κᵀβ   subject to   0 ≤ βᵢ ≤ B   and   low ≤ Σβ ≤ high

`K` is a dense matrix, or a low-rank one plus a diagonal; a step solves one system with `K` plus a
diagonal, so that the number of steps hardly depends on how `K` is conditioned.

Products with matrices call SciPy's BLAS like its factorisations do. NumPy has a BLAS of its own,
and the threads of two, each waiting for more work, take the cores from each other.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.linalg
from scipy.linalg.blas import dgemv, dsymv, dsyrk

STEPS = 100
TO_BOUNDARY = 0.995
# Least diagonal of a Cholesky factor, of a matrix with ones there, that single precision can have.
CLEAR = 3e-3
# Duality gap relative to the objective down to which directions may be rough.
ROUGH = 1e-3


class DenseGram:
    """A symmetric positive semi-definite matrix `(n, n)`."""

    def __init__(self, matrix: np.ndarray):
        self.matrix = np.asarray(matrix.T, np.float64, order="F")  # Symmetric: no copy.
        self.diagonal = self.matrix.diagonal()
        self._single = self.matrix.astype(np.float32)

    def product(self, vector: np.ndarray) -> np.ndarray:
        """Return `K v`, `(n,)`."""
        return dsymv(1.0, self.matrix, vector)

    def solver(self, added: np.ndarray, rough: bool = False) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function `b → (K + diag(added))⁻¹ b`, for `b` `(n,)`.

        Args:
            added: `(n,)`, above 0.
            rough: Whether single precision, at half the cost, will do; it is used unless the
                matrix is conditioned too badly for it.
        """
        scale = 1.0 / np.sqrt(self.diagonal + added)
        factor = _factor(self._single, scale) if rough else None
        if factor is None or factor.diagonal().min() < CLEAR:
            factor = next(
                found
                for jitter in (1e-14, 1e-11, 1e-8, 1e-5)
                if (found := _factor(self.matrix, scale, jitter)) is not None
            )

        def solve(b: np.ndarray) -> np.ndarray:
            right = (scale * b).astype(factor.dtype)
            return scale * scipy.linalg.cho_solve((factor, False), right, check_finite=False)

        return solve


def _factor(matrix: np.ndarray, scale: np.ndarray, jitter: float = 0.0) -> np.ndarray | None:
    """Return the upper Cholesky factor of the matrix scaled to a diagonal of one; None if none."""
    scale = scale.astype(matrix.dtype)
    scaled = np.multiply(matrix, scale[:, None], order="F")
    scaled *= scale
    scaled[np.diag_indices_from(scaled)] = 1.0 + jitter
    try:
        return scipy.linalg.cho_factor(scaled, overwrite_a=True, check_finite=False)[0]
    except scipy.linalg.LinAlgError:
        return None


class LowRankGram:
    """`ΦΦᵀ + diag(d)` without forming it.

    Args:
        features: `Φ` `(n, rank)`.
        diagonal: `d` `(n,)`, above 0.
    """

    def __init__(self, features: np.ndarray, diagonal: np.ndarray):
        # BLAS wants Fortran's order, in which the transpose of `features` is no copy.
        self.rows, self.added = np.ascontiguousarray(features, np.float64).T, diagonal
        self.diagonal = np.einsum("ij,ij->j", self.rows, self.rows) + diagonal
        self._scaled = np.empty_like(self.rows)

    def product(self, vector: np.ndarray) -> np.ndarray:
        """Return `K v`, `(n,)`."""
        return dgemv(1.0, self.rows, dgemv(1.0, self.rows, vector), trans=1) + self.added * vector

    def solver(self, added: np.ndarray, rough: bool = False) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function `b → (K + diag(added))⁻¹ b`, for `b` `(n,)`.

        By the identity of Woodbury, always in double precision; valid until the next call.
        """
        scale = 1.0 / np.sqrt(self.added + added)
        scaled = np.multiply(self.rows, scale, out=self._scaled)
        inner = dsyrk(1.0, scaled)
        inner[np.diag_indices_from(inner)] += 1.0
        factor = scipy.linalg.cho_factor(inner, overwrite_a=True, check_finite=False)

        def solve(b: np.ndarray) -> np.ndarray:
            right = scale * b
            inside = scipy.linalg.cho_solve(factor, dgemv(1.0, scaled, right), check_finite=False)
            return scale * (right - dgemv(1.0, scaled, inside, trans=1))

        return solve


@dataclasses.dataclass(frozen=True)
class Solution:
    """What the method found.

    Attributes:
        weights: `β` `(n,)`, strictly between the bounds.
        objective: `½ βᵀKβ − κᵀβ`.
        steps: How many steps it took.
        converged: Whether the duality gap and the residuals fell below the tolerance.
    """

    weights: np.ndarray
    objective: float
    steps: int
    converged: bool


def box_program(
    gram: DenseGram | LowRankGram,
    linear: np.ndarray,
    upper: float,
    low: float,
    high: float,
    tolerance: float = 1e-8,
) -> Solution:
    """Minimise `½ βᵀKβ − κᵀβ` over a box and a slab (Mehrotra, SIAM J. Optimization 1992).

    The sum of the weights is one more variable `s`, between `low` and `high`, with the equation
    `Σβ = s`; if the two are equal it is a constant.

    Args:
        gram: `K`.
        linear: `κ` `(n,)`.
        upper: `B`, above `low / n`.
        low: Least sum of `β`.
        high: Largest sum, `low` or above.
        tolerance: Duality gap relative to the objective, and residuals relative to `κ`.

    Returns:
        The solution; its weights lie strictly between the bounds.
    """
    count, size = len(linear), float(np.abs(linear).max()) or 1.0
    total = (low + min(high, count * upper)) / 2
    fixed = not high > low
    value = np.full(count + 1 - fixed, total / count)
    least, most = np.zeros_like(value), np.full_like(value, upper)
    if not fixed:
        value[-1], least[-1], most[-1] = total, low, high
    under, over = value - least, most - value
    force = np.abs(gram.product(value[:count]) - linear).mean() + 1e-3 * size
    pushed, pulled, price = force * total / count / under, force * total / count / over, 0.0
    for steps in range(STEPS + 1):
        weights = value[:count]
        product = gram.product(weights)
        objective = float(weights @ (product / 2 - linear))
        stationary = pushed - pulled
        stationary[:count] += linear - product + price
        stationary[count:] -= price
        balance = (total if fixed else value[-1]) - weights.sum()
        gap = float(pushed @ under + pulled @ over)
        converged = (
            gap <= tolerance * max(abs(objective), 1e-3 * size * total)
            and np.abs(stationary).max() <= tolerance * size
            and abs(balance) <= tolerance * count
        )
        if converged or steps == STEPS:
            break
        curvature = pushed / under + pulled / over
        # Far from the solution a rough direction does; the last steps need a precise one.
        solve = gram.solver(curvature[:count], rough=gap > ROUGH * abs(objective))
        ones = solve(np.ones(count))
        give = 0.0 if fixed else 1.0 / curvature[-1]
        aim_low, aim_high = -pushed * under, -pulled * over

        # The second time around, aim at the central path, corrected by the first step.
        for correct in (False, True):
            right = stationary + aim_low / under - aim_high / over
            inner = solve(right[:count])
            change = balance - inner.sum() + give * right[count:].sum()
            change /= ones.sum() + give
            step = np.empty_like(value)
            step[:count] = inner + change * ones
            step[count:] = give * (right[count:] - change)
            push = (aim_low - pushed * step) / under
            pull = (aim_high + pulled * step) / over
            length = min(
                longest_step(under, step),
                longest_step(over, -step),
                longest_step(pushed, push),
                longest_step(pulled, pull),
            )
            if not correct:
                reached = (pushed + length * push) @ (under + length * step)
                reached += (pulled + length * pull) @ (over - length * step)
                center = (reached / gap) ** 3 * gap / (2 * len(value))
                aim_low += center - step * push
                aim_high += center + step * pull
        length *= TO_BOUNDARY
        value = value + length * step
        under, over = under + length * step, over - length * step
        pushed, pulled = pushed + length * push, pulled + length * pull
        price += length * change
    return Solution(weights, objective, steps, converged)


def longest_step(value: np.ndarray, change: np.ndarray) -> float:
    """Return the longest step, 1 at the most, that keeps `value` from falling below 0."""
    shrinking = change < 0
    return min(1.0, float((-value[shrinking] / change[shrinking]).min(initial=np.inf)))
