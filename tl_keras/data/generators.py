"""Datasets of what a Python function generates."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.py_datasets import plain
from tl_keras.utils.errors import InputError, describe


def generated(function: Callable[[], Iterator[Any]], argument: str) -> tf.data.Dataset:
    """Return a dataset over what a function generates, called again in each pass.

    Args:
        function: Takes nothing and returns an iterator over `x` or `(x, y)`; the first element of
            the first call says types and axes, and the first axis may have any length.
        argument: Name that errors use.

    Raises:
        InputError: If it takes arguments, gives something else, or nothing.
    """
    try:
        elements = iter(function())
    except TypeError as error:
        raise InputError(
            f"{argument}: expected a function of no arguments that returns an iterator over x or "
            f"(x, y), got {describe(function)}: {error}."
        ) from error
    first = next(elements, None)
    if first is None:
        raise InputError(f"{argument}: the function generates nothing. Check what it reads.")
    first = plain(first, argument)

    def again() -> Iterator[Any]:
        return (plain(element, argument) for element in function())

    return tf.data.Dataset.from_generator(
        again, output_signature=tf.nest.map_structure(_of_any_length, first)
    )


def _of_any_length(part: np.ndarray) -> tf.TensorSpec:
    shape = [None, *part.shape[1:]] if part.ndim else []
    dtype = tf.string if part.dtype.kind in "OSU" else tf.as_dtype(part.dtype)
    return tf.TensorSpec(shape, dtype)
