"""Checks of numbers that array methods take as arguments."""

import math
from typing import Any

import numpy as np
import scipy.sparse

from tl_keras.utils.arguments import is_real, is_whole
from tl_keras.utils.errors import InputError

LARGEST, SMALLEST = 1e60, 1e-150
"""Values beyond these have fourth powers that overflow, or squares that lose their digits."""


def is_number(value: Any, least: float, *, above: bool = False, whole: bool = False) -> bool:
    """Return whether a value is a finite number, not a bool, of at least this size.

    Args:
        value: Anything.
        least: The smallest that counts.
        above: Whether it must be larger than that.
        whole: Whether it must be a whole number, such as `3` and unlike `3.0`.
    """
    fits = is_whole(value) if whole else is_real(value)
    if not fits or isinstance(value, bool):
        return False
    return (least < value if above else least <= value) and value < math.inf


def check_count(name: str, value: Any, least: int) -> int:
    """Return a whole number of at least `least`.

    Raises:
        InputError: If it is not.
    """
    if is_number(value, least, whole=True):
        return int(value)
    raise InputError(f"{name}: expected a whole number of {least} or more, got {value!r}.")


def check_size(name: str, values: Any) -> None:
    """Refuse values whose powers overflow or vanish; NaN counts for nothing here.

    Args:
        name: Of the argument.
        values: Numbers of any shape, dense or sparse.

    Raises:
        InputError: If the largest absolute value is above `LARGEST`, or below `SMALLEST` and not 0.
    """
    numbers = values.data if scipy.sparse.issparse(values) else np.asarray(values)
    if not numbers.size:
        return
    ends = np.fmin.reduce(numbers, axis=None), np.fmax.reduce(numbers, axis=None)
    largest = max(abs(float(end)) for end in ends)
    if largest > LARGEST:
        raise InputError(
            f"{name}: expected values up to {LARGEST:g}, got {largest:.3g}, whose powers overflow. "
            "Scale them, for instance with StandardScaler."
        )
    if 0 < largest < SMALLEST:
        raise InputError(
            f"{name}: expected values of {SMALLEST:g} or more, the largest is {largest:.3g}, whose "
            "powers vanish. Scale them, for instance with StandardScaler."
        )
