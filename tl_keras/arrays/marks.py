"""What stands for a label that is not there, and how it survives among strings."""

from typing import Any

import numpy as np


def is_missing(value: Any) -> bool:
    """Return whether a value is None, NaN or the NA of pandas."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # NA does not know whether it is equal to itself.
        return True


def is_mark(value: Any) -> bool:
    """Return whether a value marks an unlabelled sample: −1 or a missing value."""
    return is_missing(value) or bool(value == -1)


def keep_marks(y: Any) -> Any:
    """Return labels from which NumPy makes an array in which marks are marks still.

    Of a list with strings in it NumPy makes strings only, so that −1 becomes the class `"-1"`. Here
    marks among strings stay as they are, in an array of objects; all else becomes a string as
    before.

    Args:
        y: Labels; what has a dtype is returned as it is.
    """
    if y is None or hasattr(y, "dtype") or np.asarray(y).dtype.kind not in "UO":
        return y
    labels = np.array(y, dtype=object)
    strings = [isinstance(value, str) for value in labels.flat]
    if all(strings) or not any(strings):
        return y
    for index, (value, is_string) in enumerate(zip(labels.flat, strings, strict=True)):
        if not is_string and not is_mark(value):
            labels.flat[index] = str(value)
    return labels
