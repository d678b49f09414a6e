"""Which weights of the features make the discrepancy of the domains largest."""

from collections.abc import Callable

import numpy as np
import scipy.optimize

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


def linear_scores(differences: np.ndarray) -> np.ndarray:
    """Return the unit `w ≥ 0` that maximises `Σ_j w_j d_j`, `d` being squared mean differences.

    Args:
        differences: Mean differences of source domains and target `(sources, features)`.

    Returns:
        `d / ‖d‖` with `d` averaged over sources; zeros if there is no difference.
    """
    squared = np.square(differences).mean(axis=0)
    length = np.linalg.norm(squared)
    return squared / length if length > 0 else squared


def polynomial_discrepancy(
    Z: np.ndarray, signs: np.ndarray, gamma: float, degree: int, coef0: float
) -> Objective:
    """Return `w ↦ (MMD², its gradient)` of the kernel `(γ Σ_j w_j x_j x′_j + coef0)^degree`.

    Args:
        Z: Samples of all domains `(n, features)`.
        signs: For each source domain `1/n` on its samples and `−1/m` on the target's, others 0,
            `(n, sources)`. The discrepancy is the mean over sources.
        gamma: Factor of the inner product.
        degree: 1 or more.
        coef0: 0 or more.
    """
    outer = signs @ signs.T / signs.shape[1]

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        base = gamma * ((Z * w) @ Z.T) + coef0
        inner = outer * base ** (degree - 1)
        return float((inner * base).sum()), degree * gamma * ((inner @ Z) * Z).sum(axis=0)

    return objective


def rbf_discrepancy(Z: np.ndarray, signs: np.ndarray, gamma: float) -> Objective:
    """Return `w ↦ (MMD², its gradient)` of the kernel `exp(−γ Σ_j w_j (x_j − x′_j)²)`.

    Args:
        Z: Samples of all domains `(n, features)`.
        signs: As of `polynomial_discrepancy`.
        gamma: Width.
    """
    outer = signs @ signs.T / signs.shape[1]

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        squares = (Z * Z) @ w
        distances = squares[:, None] + squares - 2 * ((Z * w) @ Z.T)
        inner = outer * np.exp(-gamma * np.maximum(distances, 0.0))
        spread = inner.sum(axis=1) @ (Z * Z) - ((inner @ Z) * Z).sum(axis=0)
        return float(inner.sum()), -2 * gamma * spread

    return objective


def kernel_scores(objective: Objective, starts: list[np.ndarray]) -> np.ndarray:
    """Return unit weights `w ≥ 0` at a maximum of the discrepancy, the best of several starts.

    Args:
        objective: `w ↦ (value, gradient)`.
        starts: Weights `(features,)` to begin from, not all zero.
    """
    best, best_value = starts[0], -np.inf
    for start in starts:
        unit = start / np.linalg.norm(start)
        scale = abs(objective(unit)[0]) or 1.0

        def descent(v: np.ndarray, scale: float = scale) -> tuple[float, np.ndarray]:
            length = max(np.linalg.norm(v), 1e-12)
            value, slope = objective(v / length)
            slope = (slope - (slope @ v) * v / length**2) / length
            return -value / scale, -slope / scale

        found = scipy.optimize.minimize(
            descent, unit, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(unit)
        )
        if -found.fun * scale > best_value and np.linalg.norm(found.x) > 0:
            best, best_value = found.x / np.linalg.norm(found.x), -found.fun * scale
    return best


def largest_gap(scores: np.ndarray) -> float:
    """Return the score below the largest gap between sorted scores; the highest if all agree."""
    ordered = np.sort(scores)
    gaps = np.diff(ordered)
    if not gaps.size or gaps.max() <= 1e-9 * abs(ordered[-1]):
        return float(ordered[-1])
    return float(ordered[gaps.argmax()])
