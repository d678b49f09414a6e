"""Source and target samples as one set."""

from typing import Any

import numpy as np
import scipy.sparse


def stacked(first: Any, second: Any) -> Any:
    """Return the rows of both, dense or CSR as they are."""
    if scipy.sparse.issparse(first):
        return scipy.sparse.vstack((first, second), format="csr")
    return np.vstack((first, second))
