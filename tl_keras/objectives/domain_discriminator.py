"""Small networks beside the model: the domain discriminator and auxiliary classifiers."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tl_keras.objectives.batch import DomainBatch


def perceptron(
    inputs: int, hidden_units: Sequence[int], outputs: int, *, seed: int, name: str
) -> keras.Sequential:
    """Return a built network of Dense layers with ReLU between them, in float32.

    Args:
        inputs: Length of the vectors it reads.
        hidden_units: Widths of the hidden layers; none for a linear one.
        outputs: Length of what it gives; there is no activation on it.
        seed: Of the initial weights.
        name: Of the network.
    """
    layers = [keras.Input((inputs,), name=f"{name}_input")]
    for index, units in enumerate((*hidden_units, outputs)):
        last = index == len(hidden_units)
        layers.append(
            keras.layers.Dense(
                units,
                activation=None if last else "relu",
                kernel_initializer=keras.initializers.GlorotUniform(seed=(seed + index) % 2**31),
                dtype="float32",
                name=f"{name}_{index}",
            )
        )
    return keras.Sequential(layers, name=name)


def domain_discriminator(
    inputs: int, hidden_units: Sequence[int], *, seed: int, name: str
) -> keras.Sequential:
    """Return a network from vectors `(b, inputs)` to one logit `(b, 1)`: > 0 means source."""
    return perceptron(inputs, hidden_units, 1, seed=seed, name=name)


def domain_cross_entropy(logits, *, is_source: bool):
    """Return `−log σ(l)` of source examples, `−log(1 − σ(l))` of target ones; logits `(b, 1)`."""
    logits = tf.squeeze(logits, axis=-1)
    return tf.nn.softplus(-logits if is_source else logits)


def domain_confusion(
    source: DomainBatch,
    target: DomainBatch,
    source_logits,
    target_logits,
    *,
    source_weights=1.0,
    target_weights=1.0,
):
    """Return how badly, and how often rightly, a discriminator tells two domains apart.

    Args:
        source: Source examples.
        target: Target examples.
        source_logits: The discriminator's answers `(b, 1)`.
        target_logits: The same for the target.
        source_weights: Weight per example `(b,)` of its cross-entropy.
        target_weights: The same for the target.

    Returns:
        This replica's parts of the cross-entropy and of the accuracy, both with half the weight
        on either domain; 0.5 is the accuracy of guessing.
    """
    loss = source.mean(source_weights * domain_cross_entropy(source_logits, is_source=True))
    loss += target.mean(target_weights * domain_cross_entropy(target_logits, is_source=False))
    right = source.mean(source_logits[:, 0] > 0.0) + target.mean(target_logits[:, 0] <= 0.0)
    return 0.5 * loss, 0.5 * right
