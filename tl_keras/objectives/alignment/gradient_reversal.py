"""Gradient reversal: values pass as they are, gradients come back with the other sign."""

from typing import Any

import keras
import tensorflow as tf

from tl_keras.utils.arguments import number


def reverse_gradient(values: Any, strength: Any = 1.0) -> Any:
    """Return the values; the gradient that comes back through them is multiplied by −strength.

    What follows learns to minimise a loss, what comes before to maximise it.

    Args:
        values: Tensor of any shape.
        strength: Number or scalar tensor; below 0 the gradient keeps its sign and is scaled.
    """
    strength = tf.cast(strength, values.dtype)

    @tf.custom_gradient
    def reversal(x):
        return tf.identity(x), lambda gradient: -strength * gradient

    return reversal(values)


@keras.saving.register_keras_serializable("tl_keras")
class GradientReversal(keras.layers.Layer):
    """Passes values on and turns gradients round.

    Ganin, Lempitsky: *Unsupervised Domain Adaptation by Backpropagation*, ICML 2015.

    Args:
        strength: What gradients are multiplied by, with the other sign; ≥ 0.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        values: Tensor of any shape.

    Returns:
        The same values.

    Raises:
        InputError: If the strength is below 0.
    """

    def __init__(self, strength: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.strength = number(strength, "strength", least=0)

    def call(self, values: Any) -> Any:
        """Return the values."""
        return reverse_gradient(values, self.strength)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape that came."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build the same layer."""
        return {**super().get_config(), "strength": self.strength}
