"""Checks of numbers that array methods take as arguments."""

import math
import numbers
from typing import Any

from tl_keras.errors import InputError


def is_number(value: Any, least: float, *, above: bool = False, whole: bool = False) -> bool:
    """Return whether a value is a finite number, not a bool, of at least this size.

    Args:
        value: Anything.
        least: The smallest that counts.
        above: Whether it must be larger than that.
        whole: Whether it must be a whole number, such as `3` and unlike `3.0`.
    """
    kind = numbers.Integral if whole else numbers.Real
    if not isinstance(value, kind) or isinstance(value, bool):
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
