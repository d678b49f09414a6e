"""A tiny model whose answers differ from image to image, with any head."""

import keras
import numpy as np
import pytest

from tl_keras.builder import build_transfer_model


def spread_weights(model, seed=0):
    """Give every kernel and bias of the head large random values, so that classes differ."""
    random = np.random.default_rng(seed)
    for variable in model.head.trainable_variables:
        variable.assign(random.normal(0, 4.0, variable.shape))
    return model


@pytest.fixture
def gray():
    """A one-layer network of 12 × 12 gray images."""
    keras.utils.set_random_seed(1)
    images = keras.Input((12, 12, 1))
    x = keras.layers.Rescaling(1 / 255)(images)
    return keras.Model(images, keras.layers.Conv2D(6, 3, activation="relu")(x), name="gray")


@pytest.fixture
def build(network):
    """Function that builds a model on the tiny network, or another, with a random head."""

    def build(num_classes=3, *, backbone=None, **arguments):
        return spread_weights(build_transfer_model(backbone or network, num_classes, **arguments))

    return build


@pytest.fixture
def images():
    """Twelve noisy images in different colours, float32 0–255."""
    random = np.random.default_rng(0)
    colours = random.integers(0, 200, (12, 1, 1, 3))
    return (colours + random.integers(0, 56, (12, 16, 16, 3))).astype(np.float32)


@pytest.fixture
def mixed():
    """A small network with BatchNorm that computes in float16."""
    keras.utils.set_random_seed(2)
    images = keras.Input((16, 16, 3))
    x = images
    for layer in (
        keras.layers.Rescaling(1 / 255, dtype="mixed_float16"),
        keras.layers.Conv2D(6, 3, dtype="mixed_float16", name="stem"),
        keras.layers.BatchNormalization(dtype="mixed_float16"),
        keras.layers.ReLU(dtype="mixed_float16"),
    ):
        x = layer(x)
    return keras.Model(images, x, name="mixed")
