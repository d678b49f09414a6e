"""DELTA against loops in NumPy, and its attention against channels that are left out."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax

import tl_keras as tl
from tests.conftest import tiny_network
from tests.objectives.passes import images, moved, one_pass, setup_of
from tl_keras.errors import InputError
from tl_keras.objectives import DELTA
from tl_keras.objectives.delta import attended_distance, channel_attention
from tl_keras.schedules import Stage, apply_freezing

RANDOM = np.random.default_rng(0)
DATA = {"source": (images(4), [0, 1, 2, 0]), "target": images(3, 1)}


@pytest.fixture
def model():
    model = tl.build_transfer_model(tiny_network(), 3)
    apply_freezing(model, Stage(1, unfreeze="all"))
    return model


def test_distance_by_its_formula():
    now, start = RANDOM.normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    attention = softmax(RANDOM.normal(size=(3, 6)), axis=1).astype(np.float32)
    expected = [
        6
        * sum(attention[i, c] * ((now[i, ..., c] - start[i, ..., c]) ** 2).mean() for c in range(6))
        for i in range(3)
    ]
    np.testing.assert_allclose(attended_distance(now, start, attention), expected, rtol=1e-5)


def test_attention_is_the_rise_of_the_loss_without_a_channel():
    """For small features the first order is all there is."""
    features = 1e-3 * RANDOM.normal(size=(4, 2, 2, 6))
    kernel, y = RANDOM.normal(size=(6, 3)), np.array([0, 2, 1, 1])

    def losses(maps):
        return -log_softmax(maps.mean(axis=(1, 2)) @ kernel, axis=1)[np.arange(4), y]

    rises = []
    for channel in range(6):
        without = features.copy()
        without[..., channel] = 0.0
        rises.append(losses(without) - losses(features))
    values = tf.constant(features, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        logits = tf.reduce_mean(values, axis=(1, 2)) @ tf.constant(kernel, tf.float32)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
    found = channel_attention(values, tape.gradient(loss, values)).numpy()
    expected = softmax(np.array(rises).T, axis=1)
    np.testing.assert_allclose(found - 1 / 6, expected - 1 / 6, atol=2e-6)
    assert np.abs(found - 1 / 6).max() > 1e-4


def test_examples_without_a_label_weigh_all_channels_alike(model):
    objective = DELTA()
    objective.begin(setup_of(model, DATA))
    start = {name: one.feature_map.numpy() for name, one in one_pass(model, DATA).items()}
    assert float(objective.losses(one_pass(model, DATA))["loss"]) == pytest.approx(0, abs=1e-8)
    moved(model)
    batch = one_pass(model, DATA)
    target = ((batch["target"].feature_map - start["target"]) ** 2).numpy().mean((1, 2)).sum(1)
    attention = objective._attention(model, batch["source"], tf.constant(start["source"]))
    source = attended_distance(batch["source"].feature_map, start["source"], attention)
    expected = (target.sum() + source.numpy().sum()) / 7
    assert float(objective.losses(batch)["loss"]) == pytest.approx(expected, rel=1e-4)
    alike = DELTA(attention=False)._attention(model, batch["source"], tf.constant(start["source"]))
    np.testing.assert_allclose(alike, 1 / 8)
    assert np.abs(attention - 1 / 8).max() > 1e-6


def test_gradients_reach_the_backbone_and_not_the_head(model):
    objective = DELTA()
    objective.begin(setup_of(model, DATA))
    moved(model)
    with tf.GradientTape() as tape:
        loss = objective.losses(one_pass(model, DATA))["loss"]
    own = [variable.value for variable in model.backbone.trainable_variables]
    head = [variable.value for variable in model.head.trainable_variables]
    gradients = tape.gradient(loss, own + head)
    assert all(np.abs(one).max() > 0 for one in gradients[: len(own)])
    assert all(one is None for one in gradients[len(own) :])


def test_a_frozen_backbone_has_not_moved(model):
    objective = DELTA()
    objective.begin(setup_of(model, DATA))
    apply_freezing(model, Stage(1))
    assert float(objective.losses(one_pass(model, DATA))["loss"]) == 0.0


def test_attention_needs_classes():
    model = tl.build_transfer_model(tiny_network(), 2, head="regression")
    with pytest.raises(InputError, match="DELTA needs a head with one class per example"):
        DELTA().begin(setup_of(model, DATA))
    DELTA(attention=False).begin(setup_of(model, DATA))
