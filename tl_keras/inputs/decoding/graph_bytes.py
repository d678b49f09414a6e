"""Reading bytes of an encoded image inside a TensorFlow graph."""

from typing import Any, TypeAlias

import tensorflow as tf

Tensor: TypeAlias = Any
"""A `tf.Tensor`, of which the stubs lack `~`, `%` and `[..., :3]`."""


def to_bytes(encoded: Tensor) -> Tensor:
    """Return the bytes of a scalar string as uint8 `(n,)`; one zero if it is empty."""
    return tf.cond(
        tf.strings.length(encoded) > 0,
        lambda: tf.io.decode_raw(encoded, tf.uint8),
        lambda: tf.zeros([1], tf.uint8),
    )


def read_bytes(data: Tensor, offset: Tensor | int, count: Tensor | int) -> Tensor:
    """Read `count` bytes from `offset`; positions outside the data read as zero.

    Args:
        data: The encoded file as `to_bytes` gives it.
        offset: First position, a scalar.
        count: Number of bytes, a scalar.

    Returns:
        The bytes as int64 `(count,)`.
    """
    positions = tf.cast(offset, tf.int64) + tf.range(tf.cast(count, tf.int64))
    size = tf.size(data, out_type=tf.int64)
    inside = (positions >= 0) & (positions < size)
    values = tf.gather(data, tf.clip_by_value(positions, 0, size - 1))
    return tf.where(inside, tf.cast(values, tf.int64), tf.zeros_like(positions))


def read_integer(
    data: Tensor, offset: Tensor | int, width: int, little_endian: Tensor | bool
) -> Tensor:
    """Read an unsigned integer of `width` bytes as an int64 scalar."""
    parts = read_bytes(data, offset, width)
    # Constants for both: TensorFlow would take a reversed constant for a shape, and give up on
    # optimizing the graph around it.
    powers = [256**power for power in range(width)]
    little = tf.reduce_sum(parts * tf.constant(powers, tf.int64))
    big = tf.reduce_sum(parts * tf.constant(powers[::-1], tf.int64))
    return tf.where(little_endian, little, big)


def matches(data: Tensor, offset: Tensor | int, signature: bytes) -> Tensor:
    """Return whether the bytes at `offset` equal `signature`, as a boolean scalar."""
    expected = tf.constant(list(signature), tf.int64)
    return tf.reduce_all(read_bytes(data, offset, len(signature)) == expected)
