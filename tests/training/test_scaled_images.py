"""One warning where images were scaled to 0 … 1 for a model that scales them itself."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.data.domains import as_domains
from tl_keras.data.values import Values
from tl_keras.models.model_inputs import warn_of_doubtful_values

X = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)
Y = np.arange(6) % 3


def texts(model, data):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_doubtful_values(model, {"data": as_domains(data)})
    return [str(one.message) for one in caught]


def plain_network() -> keras.Model:
    """Return a network that takes what it is given."""
    images = keras.Input((16, 16, 3))
    return keras.Model(images, keras.layers.Conv2D(4, 3)(images))


@pytest.mark.parametrize(
    ("x", "span"),
    [
        (X / 255.0, "0 … 1"),
        (X / np.float32(127.5) - 1, "-1 … 1"),
        ((X / 255.0 - 0.45) / 0.22, "-2.05 … 2.5"),
        (X / 255.0 * 0.5, "0 … 0.5"),
        (tf.data.Dataset.from_tensor_slices(X / 255.0), "0 … 1"),
        ({"source": X, "target": X / 255.0}, "0 … 1"),
    ],
)
def test_scaled_images_are_noticed(x, span):
    (text,) = texts(tl.build_transfer_model(tiny_network(), 3), x)
    assert f"takes images of 0–255 and scales them itself, and all values are in {span}" in text
    assert text.startswith("data['target']:" if isinstance(x, dict) else "data:")


@pytest.mark.parametrize(
    "x",
    [
        X,
        X // 255,
        X.astype("float32"),
        X.astype("float32") * 1.1 - 10,
        np.zeros((2, 16, 16, 3)),
        tf.data.Dataset.from_tensor_slices(X),
        tf.data.Dataset.from_tensor_slices(X.astype("float32")),
    ],
    ids=["uint8", "binary", "float", "overshooting", "black", "dataset", "float dataset"],
)
def test_pixels_are_not_warned_of(x):
    assert texts(tl.build_transfer_model(tiny_network(), 3), x) == []


@pytest.mark.parametrize(
    ("preprocessing", "count"),
    [
        (None, 0),
        (tl.preprocessing.ImagePreprocessing(0.5, 0.5), 0),
        (tl.preprocessing.unit_range(), 1),
        (tl.preprocessing.imagenet_centred_bgr(), 1),
        (keras.layers.Rescaling(1 / 255), 1),
        (keras.layers.Normalization(mean=0.5, variance=0.1), 0),
    ],
)
def test_networks_that_take_scaled_images_are_left_alone(preprocessing, count):
    model = tl.build_transfer_model(plain_network(), 3, preprocessing=preprocessing)
    assert len(texts(model, X / 255.0)) == count


@pytest.mark.parametrize("name", ["EfficientNetB0", "MobileNetV3Small", "ConvNeXtTiny"])
@pytest.mark.slow
def test_applications_that_scale_inside_are_known(name):
    model = tl.build_transfer_model(name, weights=None, input_shape=(32, 32, 3))
    assert len(texts(model, np.full((2, 32, 32, 3), 0.5))) == 1


def test_feature_vectors_are_not_images():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    assert texts(tl.build_transfer_model(network, 3), np.full((5, 4), 0.5)) == []


def test_every_way_in_warns_once():
    def warned(train):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            train()
        return sum("takes images of 0–255" in str(one.message) for one in caught)

    stage = {"schedule": tl.Stage(1), "batch_size": 6, "verbose": False}
    model = tl.build_transfer_model(tiny_network(), 3)
    data = X / 255.0, Y
    assert warned(lambda: tl.fine_tune(model, data, data, **stage)) == 1
    both = {"source": data, "target": X / 255.0}
    adapted = [tl.objectives.Supervised(), tl.objectives.AdaBN()]
    assert warned(lambda: tl.fine_tune(model, both, objectives=adapted, **stage)) == 1
    decoded = [tl.objectives.Reconstruction()]
    assert warned(lambda: tl.pretrain(model, X / 255.0, objectives=decoded, **stage)) == 1
    assert warned(lambda: tl.objectives.adapt_batch_norm(model, X / 255.0, source=X)) == 1
    assert warned(lambda: tl.evaluate(model, data, verbose=False)) == 1


def test_one_look_finds_range_and_rows():
    x = np.random.default_rng(0).normal(size=(10, 4))
    x[[3, 7], 1] = np.nan, np.inf
    found = Values.of(x, rows_at_once=2)
    assert (found.not_finite, found.first) == (2, 3)
    x[[3, 7], 1] = 0.0
    assert Values.of(x, rows_at_once=3) == Values(x.min(), x.max())
    assert Values.of(x[:0]) == Values()
