"""Shares of a batch without examples, which some of TensorFlow's and Keras' layers fail on."""

from typing import Any

import tensorflow as tf


def filled(batch: Any) -> tuple[Any, tf.Tensor]:
    """Put an example of zeros into a batch that has none; any other batch stays as it is.

    A convolution of zero images, for one, has the wrong shape on CPUs with oneDNN.

    Args:
        batch: Tensors `(b, …)` in any structure.

    Returns:
        The batch and whether it is real: where it is not, what is computed from it must not count.
    """
    real = tf.shape(tf.nest.flatten(batch)[0])[0] > 0

    def zeros(tensor: tf.Tensor) -> tf.Tensor:
        return tf.zeros(tf.concat([[1], tf.shape(tensor)[1:]], axis=0), tensor.dtype)

    chosen = tf.cond(
        real,
        lambda: tf.nest.map_structure(tf.identity, batch),
        lambda: tf.nest.map_structure(zeros, batch),
    )
    for tensor, given in zip(tf.nest.flatten(chosen), tf.nest.flatten(batch), strict=True):
        tensor.set_shape([None, *given.shape[1:]])
    return chosen, real
