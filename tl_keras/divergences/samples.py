"""The two sets of samples that a divergence compares."""

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
from sklearn.utils import check_array

from tl_keras.arrays.checks import check_size
from tl_keras.arrays.frames import match_columns
from tl_keras.utils.errors import InputError
from tl_keras.utils.memory import check_memory

REMEDY = "Reduce the features first, for instance with PCA or TruncatedSVD, or take fewer samples."


def checked_pair(source: Any, target: Any, fewest: int = 1) -> tuple[Any, Any]:
    """Return both sets as float64, dense or CSR, after checking that they can be compared.

    Args:
        source: `(n, features)`.
        target: `(m, features)`. Columns of two tables are matched by their names.
        fewest: Samples that each must have.

    Raises:
        InputError: If they differ in features or their names, are too few, or so large that their
            powers overflow, or so small that they vanish.
        ValueError: If a set is not finite or not two-dimensional.
    """
    pair = {}
    for name, X in match_columns({"source": source, "target": target}).items():
        X = check_array(
            X, accept_sparse="csr", dtype=np.float64, ensure_min_samples=0, input_name=name
        )
        if X.shape[0] < fewest:
            raise InputError(
                f"{name}: expected {fewest} samples or more, got {X.shape[0]}. Add samples."
            )
        check_size(name, X)
        pair[name] = X
    source, target = pair["source"], pair["target"]
    if source.shape[1] != target.shape[1]:
        raise InputError(
            f"target: expected as many features as the source, {source.shape[1]}, got "
            f"{target.shape[1]}. Bring both to the same features first."
        )
    return source, target


def compact_pair(source: Any, target: Any, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Return both sets dense, and turned into their common span where that is smaller.

    All scalar products between samples stay, so that means, covariances and the distances between
    them keep their norms. `(n, features)` becomes `(n, n + m)` where there are more features.

    Args:
        source: `(n, features)`.
        target: `(m, features)`.
        method: Name for the error.

    Raises:
        InputError: If that would not fit into memory.
    """
    count, features = source.shape[0] + target.shape[0], source.shape[1]
    sparse = scipy.sparse.issparse(source) or scipy.sparse.issparse(target)
    if features <= count:
        if sparse:
            check_memory(16.0 * count * features, method, REMEDY)
        return _dense(source), _dense(target)
    check_memory(8.0 * count * (3 * count if sparse else count + 2 * features), method, REMEDY)
    if sparse:
        rows = scipy.sparse.vstack([source, target], format="csr")
        values, vectors = scipy.linalg.eigh((rows @ rows.T).toarray())
        spanned = vectors * np.sqrt(np.maximum(values, 0.0))
    else:
        spanned = scipy.linalg.qr(np.vstack([source, target]).T, mode="r")[0][:count].T
    return spanned[: source.shape[0]], spanned[source.shape[0] :]


def _dense(X: Any) -> np.ndarray:
    return X.toarray() if scipy.sparse.issparse(X) else X
