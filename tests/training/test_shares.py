"""Batches that cannot be cut evenly: replicas and slices without examples."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.utils.errors import InputError


def train(stage, strategy, blobs, count=41, **arguments):
    x, y = blobs
    keras.utils.set_random_seed(0)
    model = tl.build_transfer_model(tiny_network(), 3)
    return tl.fine_tune(
        model,
        (x[:count], y[:count]),
        (x[:9], y[:9]),
        schedule=stage,
        strategy=strategy,
        batch_size=8,
        verbose=False,
        **arguments,
    )


def sgd(**arguments):
    return tl.Stage(2, optimizer="sgd", learning_rate=1e-2, **arguments)


def assert_close(one, other, atol):
    for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, atol=atol)
    for name in ("loss", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(other.history[name], one.history[name], atol=1e-5)


def test_a_device_without_features_does_not_count(blobs, two_devices):
    one, two = train(sgd(), "one_device", blobs), train(sgd(), two_devices, blobs)
    assert_close(one, two, 2e-6)


def test_a_device_or_a_slice_without_examples_does_not_count(blobs, two_devices):
    one = train(sgd(unfreeze="all"), "one_device", blobs)
    assert_close(one, train(sgd(unfreeze="all"), two_devices, blobs), 2e-6)
    four = train(sgd(unfreeze="all", accumulation=4), "one_device", blobs)
    assert_close(one, four, 2e-6)


def test_statistics_that_are_updated_are_those_of_the_whole_batch(blobs, two_devices):
    stage = sgd(unfreeze="all", batch_norm="update")
    one = train(stage, "one_device", blobs, count=40)
    two = train(stage, two_devices, blobs, count=40)
    moved = [w.numpy() for w in one.model.weights if w.path.endswith("moving_mean")]
    assert max(np.abs(values).max() for values in moved) > 0.01
    assert_close(one, two, 2e-5)


def test_statistics_need_an_example_on_every_device(blobs, two_devices):
    with pytest.raises(
        InputError, match="batch_size: the last batch of a domain has 1 example for 2"
    ):
        train(sgd(unfreeze="all", batch_norm="update"), two_devices, blobs)


def test_data_in_another_order_in_each_pass_cannot_be_shared(blobs, two_devices):
    x, y = blobs
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(45).batch(8)
    model = tl.build_transfer_model(tiny_network(), 3)
    with pytest.raises(InputError, match="data: the dataset comes in another order"):
        tl.fine_tune(model, data, schedule=sgd(), strategy=two_devices, verbose=False)


def test_data_in_another_order_in_each_pass_is_not_deterministic(blobs):
    model = tl.build_transfer_model(tiny_network(), 3)
    data = tf.data.Dataset.from_tensor_slices(blobs).shuffle(45).batch(8)
    with pytest.raises(InputError, match=r"and deterministic=True could not be kept\. Leave"):
        tl.fine_tune(model, data, schedule=sgd(), deterministic=True, verbose=False)
