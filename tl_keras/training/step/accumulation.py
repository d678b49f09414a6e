"""Gradients of one batch from its slices, one after the other."""

from collections.abc import Callable

import tensorflow as tf

from tl_keras.data.rows import Part, share_of


def accumulate(gradients_of: Callable, x, y, counts, slices: int):
    """Sum gradients and losses over slices of a batch, one after the other to save memory.

    Args:
        gradients_of: Function of `(x, y, counts, slice index)` to `(gradients, name → sum)`.
        x: Domain name → images or features `(b, …)`.
        y: Domain name → targets.
        counts: Of the whole batch, which sums are divided by.
        slices: How many.

    Returns:
        What `gradients_of` would give for the whole batch, were there memory for it.
    """

    def one(index):
        part = Part(index, slices)
        own = [{name: share_of(both[name], part) for name in both} for both in (x, y)]
        gradients, sums = gradients_of(*own, counts, index)
        connected = {
            position: tf.convert_to_tensor(gradient)
            for position, gradient in enumerate(gradients)
            if gradient is not None
        }
        return (connected, sums), len(gradients)

    def body(index, so_far):
        more, _ = one(index)
        return index + 1, tf.nest.map_structure(tf.add, so_far, more)

    first, count = one(tf.constant(0, tf.int64))
    start = (tf.constant(1, tf.int64), first)
    _, (connected, sums) = tf.while_loop(
        lambda index, _: index < slices, body, start, parallel_iterations=1
    )
    return [connected.get(position) for position in range(count)], sums
