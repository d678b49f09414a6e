"""Models that are each used once or twice are traced once each, which is nothing to warn of."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager.polymorphic_function import polymorphic_function

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.utils import tracing
from tl_keras.utils.tracing import PerBatch

X = np.random.default_rng(0).integers(0, 255, (6, 4, 4, 3)).astype(np.uint8)
Y = np.arange(6) % 2


def small(head="linear"):
    images = keras.Input((4, 4, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    network = keras.Model(images, keras.layers.Conv2D(2, 3)(scaled))
    return tl.build_transfer_model(network, 2 if head == "linear" else 1, head=head)


OFTEN = 2
"""Of ten calls, so many that trace a function are too many here; 5 are for TensorFlow."""


@pytest.fixture
def notices(monkeypatch):
    """What TensorFlow says about retracing."""
    monkeypatch.setattr(polymorphic_function, "FREQUENT_TRACING_WARNING_THRESHOLD", OFTEN)
    found = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())
    logger = logging.getLogger("tensorflow")
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def used(model, y):
    tl.fine_tune(model, (X, y), (X, y), schedule=tl.Stage(1), verbose=False)
    tl.evaluate(model, (X, y), verbose=False)
    tl.predict(model, X)
    model.features(X)
    model.logits(X)


def test_retracing_is_noticed(notices):
    for _ in range(OFTEN):
        assert not notices
        tf.function(len)(tf.ones(3))
    assert "retracing" in notices[0]


def test_a_loop_over_seeds_is_not_taken_for_retracing(notices):
    for _ in range(OFTEN):
        used(small(), Y)
        used(small("regression"), Y * 3.0)
    assert not [text for text in notices if "retracing" in text]


def test_calls_with_one_model_are_not_taken_for_retracing(notices):
    model = small()
    for size in range(1, 7):
        tl.evaluate(model, (X[:size], Y[:size]), verbose=False)
        tl.predict(model, X[:size])
        model.features(X[:size])
    assert not [text for text in notices if "retracing" in text]


def test_a_function_is_traced_once_for_each_type_of_batch():
    traced = []

    def double(batch):
        traced.append((batch.shape.as_list(), batch.dtype))
        return {"twice": 2 * batch}

    run = PerBatch(double, tf.TensorSpec([None, None, 2]))
    for size in (1, 3, 2):
        batch = np.ones((size, size, 2), np.float32)
        np.testing.assert_array_equal(run(batch)["twice"], 2 * batch)
    run(tf.ones((1, 5, 2), tf.int32))
    assert traced == [([None, None, 2], tf.float32), ([None, None, 2], tf.int32)]


def test_files_are_predicted_without_retracing_until_weights_are_set(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    keras.utils.save_img(tmp_path / "one.png", pixels, scale=False)
    model = tl.build_transfer_model(tiny_network(), 3)
    first = tl.predict(model, tmp_path).to_json()

    class Traced(Exception):
        pass

    def refuse(*_):
        raise Traced

    monkeypatch.setattr(tracing, "PerBatch", refuse)
    assert tl.predict(model, tmp_path).to_json() == first
    model.set_weights([0 * weight for weight in model.get_weights()])
    with pytest.raises(Traced):
        tl.predict(model, tmp_path)
