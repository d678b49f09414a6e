"""Arrays of any type as parts of a hash."""

from typing import Any

import numpy as np


def add_array(digest: Any, values: Any) -> None:
    """Add type, shape and values of an array to a hash of `hashlib`.

    Args:
        digest: The hash.
        values: An array, or a list of collections of names.
    """
    if isinstance(values, list):
        digest.update(repr([sorted(row, key=str) for row in values]).encode())
        return
    array = np.asarray(values)
    digest.update(repr((array.dtype.str, array.shape)).encode())
    if array.dtype.kind in "OUS" or array.ndim == 0:
        digest.update(repr(array.tolist()).encode())
    else:
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
