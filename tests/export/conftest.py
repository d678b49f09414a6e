"""Tiny models whose answers differ from image to image, with any head."""

import keras
import numpy as np
import pytest

from tl_keras import export
from tl_keras.models.builder import build_transfer_model

LABELS = ("ant", "bee", "çicada 蝉")


def small_network(shape=(16, 16, 3), policy="float32"):
    keras.utils.set_random_seed(0)
    images = keras.Input(shape)
    x = images
    for layer in (
        keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype=policy),
        keras.layers.Conv2D(8, 3, strides=2, padding="same", dtype=policy, name="stem"),
        keras.layers.BatchNormalization(dtype=policy),
        keras.layers.ReLU(dtype=policy),
    ):
        x = layer(x)
    return keras.Model(images, x, name="small")


def numbers_network(width=5):
    """A network of rows of numbers: exported in a fifth of the time, as it decodes no images."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((width,))
    for layer in (
        keras.layers.Dense(8),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
    ):
        x = layer(x)
    return keras.Model(inputs, x, name="numbers")


@pytest.fixture(scope="session")
def rows():
    """Twelve rows for a network of numbers."""
    return np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)


@pytest.fixture(scope="session")
def exported(build, tmp_path_factory):
    """A model of three classes and where it was exported to, as a SavedModel."""
    model = build(class_names=LABELS, head="mlp")
    return model, export.saved_model(model, tmp_path_factory.mktemp("exported") / "model")


@pytest.fixture(scope="session")
def network():
    """Function that makes a small convolutional network."""
    return small_network


@pytest.fixture(scope="session")
def build():
    """Function that builds a model on a small network, with large random weights in the head."""

    def build(num_classes=None, *, backbone=None, **arguments):
        model = build_transfer_model(backbone or small_network(), num_classes, **arguments)
        random = np.random.default_rng(0)
        for variable in model.head.trainable_variables:
            variable.assign(random.normal(0, 4.0, variable.shape))
        return model

    return build


@pytest.fixture(scope="session")
def images():
    """Twelve noisy images in different colours, float32 0–255."""
    random = np.random.default_rng(0)
    colours = random.integers(0, 200, (12, 1, 1, 3))
    return (colours + random.integers(0, 56, (12, 16, 16, 3))).astype(np.float32)
