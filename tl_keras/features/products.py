"""Products of feature matrices: their form, and what can be wrong with them."""

from typing import Any

import numpy as np
import scipy.sparse

from tl_keras.utils.errors import InputError


def dense(matrix: Any) -> np.ndarray:
    """Return a matrix as an array."""
    return matrix.toarray() if scipy.sparse.issparse(matrix) else np.asarray(matrix)


def require_finite(values: np.ndarray) -> None:
    """Raise `InputError` unless all values are finite."""
    if not np.isfinite(values).all():
        raise InputError(
            "X: products of the features overflow. Scale the features first, for instance with "
            "StandardScaler."
        )


def require_told_apart(kept: np.ndarray) -> None:
    """Raise `InputError` where no direction is kept `(k,)`."""
    if not kept.any():
        raise InputError(
            "X: the kernel does not tell the samples apart, so that there is no component to "
            "find. Use a larger gamma, another kernel, or StandardScaler before."
        )
