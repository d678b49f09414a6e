"""Trying something inside a TensorFlow graph, which has no try and except."""

from collections.abc import Callable

import tensorflow as tf


def attempt(
    function: Callable[[tf.Tensor], tf.Tensor], value: tf.Tensor, otherwise: tf.Tensor
) -> tf.Tensor:
    """Return what a function makes of a value, or something else where its operations fail.

    A `tf.data` pipeline of one element that leaves out elements with errors is the only way to go
    on after an operation failed that loads with plain TensorFlow. It costs the less the fewer
    operations the function has.

    Args:
        function: From a tensor to a tensor.
        value: What it is called with.
        otherwise: What is returned where it fails, of the same type.

    Returns:
        The function's result, or `otherwise`.

    Example:
        >>> int(attempt(tf.io.decode_png, tf.constant(b"not a PNG"), tf.zeros([], tf.uint8)))
        0
    """
    traced_alike = tf.autograph.experimental.do_not_convert(function)
    results = tf.data.Dataset.from_tensors(value).map(traced_alike).ignore_errors()
    results = results.concatenate(tf.data.Dataset.from_tensors(otherwise))
    return results.take(1).get_single_element()
