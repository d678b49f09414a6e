"""The triangular factor of features, `XᵀX = RᵀR`, with every column exact to its own rounding."""

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse

from tl_keras.features.products import dense, require_finite

# Times by which the Gram matrix may magnify rounding errors before QR takes its place.
MAGNIFIED = 1e4
ROWS = 2048
PANEL = 32


def triangular_factor(X: Any) -> np.ndarray:
    """Return `R` `(1 + features, features)` with `RᵀR = XᵀX`, and `RᵀR` of its lower rows `XᵀHX`.

    Args:
        X: `(n, features)`, dense or sparse, at least as many samples as features.
    """
    factor = _factor_by_cholesky(X)
    return _factor_by_qr(X) if factor is None else factor


def _factor_by_cholesky(X: Any) -> np.ndarray | None:
    """Return what `triangular_factor` does from `XᵀX`; None where that would lose digits."""
    gram = dense(X.T @ X)
    require_finite(gram)
    first = np.sqrt(X.shape[0]) * np.asarray(X.mean(axis=0)).ravel()
    centred = gram - np.outer(first, first)
    squares, left = np.diag(gram), np.diag(centred)
    filled = squares > 0
    if not (left[filled] * MAGNIFIED > squares[filled]).all():
        return None
    scale = np.sqrt(np.where(filled, left, 1.0))
    correlation = centred / np.outer(scale, scale) + np.diag(1.0 - filled)
    upper, failed = scipy.linalg.lapack.dpotrf(correlation, clean=1, lower=0)
    if failed:
        return None
    length = np.abs(correlation).sum(axis=0).max()
    reciprocal, _ = scipy.linalg.lapack.dpocon(upper, length)
    magnified = (squares[filled] / left[filled]).max(initial=1.0)
    if not magnified < MAGNIFIED * reciprocal:
        return None
    return np.vstack([first, upper * np.where(filled, scale, 0.0)])


def _factor_by_qr(X: Any) -> np.ndarray:
    """Return what `triangular_factor` does from QR of the columns `(1, X)`, some rows at a time."""
    X = X.tocsr() if scipy.sparse.issparse(X) else X
    size = X.shape[1] + 1
    factor = np.zeros((size, size), order="F")
    rows = max(ROWS, 2 * size)
    for start in range(0, X.shape[0], rows):
        part = dense(X[start : start + rows])
        block = np.ones((part.shape[0], size), order="F")
        block[:, 1:] = part
        factor = with_rows(factor, block)
    return factor[:, 1:]


def with_rows(factor: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Return the upper triangular `R` `(r, r)` with `RᵀR = factorᵀfactor + blockᵀblock`."""
    panel = min(PANEL, factor.shape[0])
    return scipy.linalg.lapack.dtpqrt(0, panel, factor, block, overwrite_a=1, overwrite_b=1)[0]
