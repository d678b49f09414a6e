"""Checks of arguments that several maps of features share."""

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


def checked_components(value: Any) -> int | None:
    """Return `n_components` if it is a whole number above 0 or None.

    Raises:
        InputError: If it is neither.
    """
    if value is None:
        return None
    if not is_number(value, 1, whole=True):
        raise InputError(
            f"n_components: expected a whole number, 1 or more, or None, got {value!r}."
        )
    return int(value)
