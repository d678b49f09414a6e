"""The quadratic program of kernel mean matching, by a primal-dual interior-point method.

    min ½ βᵀKβ − κᵀβ   subject to   0 ≤ βᵢ ≤ B   and   low ≤ Σβ ≤ high

`K` is a dense matrix, or a low-rank one plus a diagonal; a step solves one system with `K` plus a
diagonal, so that the number of steps hardly depends on how `K` is conditioned.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.linalg

STEPS = 100
TO_BOUNDARY = 0.995


class DenseGram:
    """A symmetric positive semi-definite matrix `(n, n)`."""

    def __init__(self, matrix: np.ndarray):
        self.matrix = matrix
        self.diagonal = matrix.diagonal()

    def product(self, vector: np.ndarray) -> np.ndarray:
        """Return `K v`, `(n,)`."""
        return self.matrix @ vector

    def solver(self, added: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function `b → (K + diag(added))⁻¹ b`, for `b` `(n,)` or `(n, k)`."""
        scale = 1.0 / np.sqrt(self.diagonal + added)
        factor = np.empty_like(self.matrix, order="F")
        for jitter in (1e-14, 1e-11, 1e-8, 1e-5):
            np.multiply(self.matrix.T, scale[:, None], out=factor)
            factor *= scale
            factor[np.diag_indices_from(factor)] = 1.0 + jitter
            try:
                lower = scipy.linalg.cholesky(
                    factor, lower=True, overwrite_a=True, check_finite=False
                )
                break
            except scipy.linalg.LinAlgError:
                continue

        def solve(b: np.ndarray) -> np.ndarray:
            rows = scale if b.ndim == 1 else scale[:, None]
            return rows * scipy.linalg.cho_solve((lower, True), rows * b, check_finite=False)

        return solve


class LowRankGram:
    """`ΦΦᵀ + diag(d)` without forming it.

    Args:
        features: `Φ` `(n, rank)`.
        diagonal: `d` `(n,)`, above 0.
    """

    def __init__(self, features: np.ndarray, diagonal: np.ndarray):
        self.features, self.added = features, diagonal
        self.diagonal = np.einsum("ij,ij->i", features, features) + diagonal
        self._scaled = np.empty_like(features)

    def product(self, vector: np.ndarray) -> np.ndarray:
        """Return `K v`, `(n,)`."""
        return self.features @ (self.features.T @ vector) + self.added * vector

    def solver(self, added: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function `b → (K + diag(added))⁻¹ b`, for `b` `(n,)` or `(n, k)`.

        By the identity of Woodbury; valid until the next call.
        """
        scale = 1.0 / np.sqrt(self.added + added)
        scaled = np.multiply(self.features, scale[:, None], out=self._scaled)
        inner = scaled.T @ scaled
        inner[np.diag_indices_from(inner)] += 1.0
        factor = scipy.linalg.cho_factor(inner, overwrite_a=True, check_finite=False)

        def solve(b: np.ndarray) -> np.ndarray:
            rows = scale if b.ndim == 1 else scale[:, None]
            right = rows * b
            inside = scipy.linalg.cho_solve(factor, scaled.T @ right, check_finite=False)
            return rows * (right - scaled @ inside)

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
        solve = gram.solver(curvature[:count])
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
                _longest(under, step),
                _longest(over, -step),
                _longest(pushed, push),
                _longest(pulled, pull),
            )
            if not correct:
                reached = (pushed + length * push) @ (under + length * step)
                reached += (pulled + length * pull) @ (over - length * step)
                centre = (reached / gap) ** 3 * gap / (2 * len(value))
                aim_low += centre - step * push
                aim_high += centre + step * pull
        length *= TO_BOUNDARY
        value = value + length * step
        under, over = under + length * step, over - length * step
        pushed, pulled = pushed + length * push, pulled + length * pull
        price += length * change
    return Solution(weights, objective, steps, converged)


def _longest(value: np.ndarray, change: np.ndarray) -> float:
    """Return the longest step, 1 at the most, that keeps `value` from falling below 0."""
    shrinking = change < 0
    return min(1.0, float((-value[shrinking] / change[shrinking]).min(initial=np.inf)))
