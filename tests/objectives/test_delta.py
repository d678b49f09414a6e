"""DELTA against loops in NumPy, and its attention against channels that are left out."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax

import tl_keras as tl
from tests.conftest import tiny_network
from tests.objectives.passes import images, moved, one_pass, setup_of
from tl_keras.objectives import DELTA
from tl_keras.objectives.regularization.delta import (
    attended_distance,
    channel_attention,
    channel_rises,
)
from tl_keras.schedules import Stage, apply_freezing
from tl_keras.utils.errors import InputError

RANDOM = np.random.default_rng(0)
DATA = {"source": (images(4), [0, 1, 2, 0]), "target": images(3, 1)}


@pytest.fixture
def model():
    model = tl.build_transfer_model(tiny_network(), 3)
    apply_freezing(model, Stage(1, unfreeze="all"))
    return model


def test_distance_by_its_formula():
    now, start = RANDOM.normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    attention = softmax(RANDOM.normal(size=6)).astype(np.float32)
    expected = [
        6 * sum(attention[c] * ((now[i, ..., c] - start[i, ..., c]) ** 2).mean() for c in range(6))
        for i in range(3)
    ]
    np.testing.assert_allclose(attended_distance(now, start, attention), expected, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_strength_is_that_of_the_reference(seed):
    """Transfer-Learning-Library: 0.01 · ½ Σ over 48 examples of c · W_c ‖F_c − F⁰_c‖² / (h·w)."""
    random = np.random.default_rng(seed)
    now, start = random.normal(size=(2, 48, 3, 2, 6)).astype(np.float32)
    attention = softmax(random.normal(size=6) / 5).astype(np.float32)
    distance = np.sqrt(np.square(now - start).sum(axis=(1, 2)))
    reference = 0.01 * 0.5 * np.sum(6 * attention * distance**2 / (3 * 2))
    ours = DELTA().weight * np.mean(attended_distance(now, start, attention))
    assert ours == pytest.approx(reference, rel=1e-5)


def without(maps, channel):
    maps = maps.copy()
    maps[..., channel] = 0.0
    return maps


def test_rises_are_those_of_the_loss_without_a_channel():
    """For small features the first order is all there is."""
    features = 1e-3 * RANDOM.normal(size=(4, 2, 2, 6))
    kernel, y = RANDOM.normal(size=(6, 3)), np.array([0, 2, 1, 1])

    def losses(maps):
        return -log_softmax(maps.mean(axis=(1, 2)) @ kernel, axis=1)[np.arange(4), y]

    values = tf.constant(features, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        logits = tf.reduce_mean(values, axis=(1, 2)) @ tf.constant(kernel, tf.float32)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
    found = channel_rises(values, tape.gradient(loss, values)).numpy()
    expected = [losses(without(features, channel)) - losses(features) for channel in range(6)]
    np.testing.assert_allclose(found, np.array(expected).T, atol=2e-6)
    assert np.abs(found).max() > 1e-4


def reference_attention(rises):
    """Transfer-Learning-Library's, of how much the loss rises without each filter."""
    weight = (rises - np.mean(rises)) / np.std(rises)
    return softmax(weight / 5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
def test_attention_is_that_of_the_reference(scale):
    rises = scale * RANDOM.normal(size=64).astype(np.float32)
    attention = channel_attention(rises)
    np.testing.assert_allclose(attention, reference_attention(rises), rtol=1e-4)
    assert np.std(64 * attention.numpy()) == pytest.approx(0.2, abs=0.05)
    np.testing.assert_allclose(channel_attention(tf.zeros(8)), 1 / 8)


@pytest.mark.parametrize("attention", [True, False])
def test_the_attention_is_that_of_all_labelled_examples(model, attention):
    objective = DELTA(attention)
    data = DATA | {"source_b": (images(3, 5), [2, -1, 1])}
    objective.begin(setup_of(model, data))
    start = {n: one.feature_map.numpy().astype(float) for n, one in one_pass(model, data).items()}
    assert float(objective.losses(one_pass(model, data))["loss"]) == pytest.approx(0, abs=1e-8)
    moved(model)
    batch = one_pass(model, data)
    rows = np.concatenate([start["source"], start["source_b"][[0, 2]]])
    y = [0, 1, 2, 0, 2, 1]

    def loss(maps):
        logits = model.forward_from_feature_map(tf.constant(maps, tf.float32), False).logits
        return -log_softmax(logits.numpy().astype(float), axis=1)[np.arange(6), y].mean()

    # A channel that is a little smaller: the first order, without the head's other terms.
    rises = []
    for channel in range(8):
        smaller = rows.copy()
        smaller[..., channel] *= 0.99
        rises.append((loss(smaller) - loss(rows)) / 0.01)
    weights = reference_attention(np.array(rises)) if attention else np.full(8, 1 / 8)
    distances = [
        np.square(batch[name].feature_map.numpy() - start[name]).mean(axis=(1, 2)) for name in batch
    ]
    expected = 8 * np.mean(np.concatenate(distances) @ weights)
    assert float(objective.losses(batch)["loss"]) == pytest.approx(expected, rel=1e-3)
    if attention:
        assert np.std(8 * weights) > 0.1


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
