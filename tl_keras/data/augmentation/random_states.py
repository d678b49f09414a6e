"""Random states of Keras layers, set from outside for the length of one call."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tl_keras.utils.errors import InputError

# Keras' TensorFlow backend takes seeds modulo this number.
_SEEDS = tf.int32.max - 1


def seed_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Return the state of every `SeedGenerator` in a layer and the layers inside it."""
    weights = {id(weight) for weight in layer.weights}
    return [variable for variable in layer.variables if id(variable) not in weights]


def random_states(layer: keras.layers.Layer, seed: tf.Tensor) -> list[tf.Tensor]:
    """Return one state `(2,)` for each of the layer's generators, all from one seed `(2,)`."""
    count = len(seed_variables(layer))
    states = tf.random.stateless_uniform((count, 2), seed, 0, _SEEDS, dtype=tf.int64)
    return tf.unstack(states, num=count)


@contextlib.contextmanager
def reseeded(layer: keras.layers.Layer, states: list[tf.Tensor]) -> Iterator[None]:
    """Give the layer's generators other states inside the block, and let no variable change.

    Raises:
        InputError: If the layer changes another variable, which then would keep its old value.
    """
    mapping = list(zip(seed_variables(layer), states, strict=True))
    with keras.StatelessScope(state_mapping=mapping) as scope:
        yield
    own = {id(variable) for variable, _ in mapping}
    if set(scope.state_mapping) - own:
        name = type(layer).__name__
        raise InputError(
            f"augmentation: {name} {layer.name!r} changes variables when it is called, or draws "
            "random numbers without a seed; then a resumed run would see other pictures. In its "
            "__init__, set self.generator = keras.random.SeedGenerator(), and pass "
            "seed=self.generator to keras.random."
        )


def folded(seed: tf.Tensor, number: Any) -> tf.Tensor:
    """Return another seed, of a seed int64 `(2,)` and an integer or scalar tensor."""
    # The stubs of TensorFlow lack `random.experimental`.
    fold = tf.random.experimental.stateless_fold_in  # pyright: ignore[reportAttributeAccessIssue]
    return fold(seed, tf.cast(number, tf.int64))
