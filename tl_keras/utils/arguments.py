"""Checks of numbers that the user gave."""

import math
import numbers
from collections.abc import Iterable
from typing import Any, TypeGuard

from tl_keras.utils.errors import InputError


def is_real(value: Any) -> TypeGuard[float]:
    """Return whether a value is a real number of Python or NumPy; `True` is one."""
    return isinstance(value, numbers.Real)


def is_whole(value: Any) -> TypeGuard[int]:
    """Return whether a value is an integer of Python or NumPy; `True` is one, `3.0` is not."""
    return isinstance(value, numbers.Integral)


def number(
    value: Any,
    argument: str,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Return a finite number as a float.

    Args:
        value: What the user gave.
        argument: Name that the error uses.
        above: It has to be larger than this.
        least: It has to be this or larger.
        below: It has to be smaller than this.

    Raises:
        InputError: If it is no number in that range.
    """
    if (
        isinstance(value, bool)
        or not is_real(value)
        or not (above < value < below and value >= least)
    ):
        limits = [f"> {above:g}"] if above > -math.inf else []
        limits += [f"≥ {least:g}"] if least > -math.inf else []
        limits += [f"< {below:g}"] if below < math.inf else []
        expected = " ".join(["a number", " and ".join(limits)]).strip()
        raise InputError(f"{argument}: expected {expected}, got {value!r}.")
    return float(value)


def whole(value: Any, argument: str, least: int = 1) -> int:
    """Return a whole number as an int.

    Raises:
        InputError: If it is none, or smaller than `least`.
    """
    fits = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not fits or value < least:
        raise InputError(f"{argument}: expected a whole number ≥ {least}, got {value!r}.")
    return int(value)


def hidden_units(value: Any, argument: str = "hidden_units") -> tuple[int, ...]:
    """Return widths of hidden layers as a tuple of ints; there can be none.

    Raises:
        InputError: If it is not a list of whole numbers ≥ 1.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InputError(
            f"{argument}: expected a list of widths, such as (128, 128), got {value!r}."
        )
    return tuple(whole(one, argument) for one in value)
