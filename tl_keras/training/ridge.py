"""Ridge regression whose strength the data choose, in closed form."""

import numpy as np

STRENGTHS = np.logspace(-8, 1, 37)
"""Strengths that are tried, for each example: features have mean square length 1."""


def ridge_regression(
    features: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fit `((x − center) / spread) · kernel + bias` by least squares with a penalty.

    Every output has the strength whose leave-one-out error is smallest. With centred features
    `X Xᵀ = U diag(d) Uᵀ`, shares `w = d / (d + λ)` and leverages `h = (U ∘ U) w + 1/n`, that error
    is the mean of `((y − ŷ) / (1 − h))²`: no model is fitted twice.

    Args:
        features: `(n, channels)`.
        y: `(n, outputs)`.

    Returns:
        `kernel (channels, outputs)`, `bias (outputs,)`, `center (channels,)` and `spread ()`: mean
        and total standard deviation of the features.

    Hoerl, Kennard: *Ridge Regression*, Technometrics 1970; Golub, Heath, Wahba: *Generalized
    Cross-Validation as a Method for Choosing a Good Ridge Parameter*, Technometrics 1979.
    """
    x, y = features.astype(np.float64), y.astype(np.float64)
    center, bias = x.mean(axis=0), y.mean(axis=0)
    spread = np.sqrt(x.var(axis=0).sum())
    if not spread > 0:
        return np.zeros((x.shape[1], y.shape[1])), bias, center, np.ones(())
    x = (x - center) / spread
    left, squares, right = _decomposed(x)
    along = left.T @ (y - bias)
    kernel = np.zeros((x.shape[1], y.shape[1]))
    for output, values in enumerate((y - bias).T):
        errors = [
            _left_out_error(left, squares, along[:, output], values, strength * len(y))
            for strength in STRENGTHS
        ]
        strength = STRENGTHS[int(np.argmin(errors))] * len(y)
        kernel[:, output] = right @ (np.sqrt(squares) / (squares + strength) * along[:, output])
    return kernel, bias, center, spread


def _decomposed(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `U`, `d` and `V` of `x = U diag(√d) Vᵀ`, from the smaller of the two products."""
    is_wide = x.shape[1] > len(x)
    squares, vectors = np.linalg.eigh(x @ x.T if is_wide else x.T @ x)
    kept = squares > 1e-12 * squares[-1]
    squares, vectors = squares[kept], vectors[:, kept]
    others = (x.T @ vectors if is_wide else x @ vectors) / np.sqrt(squares)
    return (vectors, squares, others) if is_wide else (others, squares, vectors)


def _left_out_error(left, squares, along, y, strength: float) -> float:
    """Return the mean squared leave-one-out error."""
    shares = squares / (squares + strength)
    leverages = left**2 @ shares + 1 / len(y)
    return float(np.mean(((y - left @ (shares * along)) / np.maximum(1 - leverages, 1e-9)) ** 2))
