"""Feature norms and their gradients."""

import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tl_keras.errors import InputError
from tl_keras.objectives.afn import feature_norms, hard_loss, stepwise_loss


def test_norms():
    x = points(5, 4)
    np.testing.assert_allclose(feature_norms(x), np.linalg.norm(x, axis=1), rtol=1e-6)
    zeros = tf.zeros((1, 4))
    with tf.GradientTape() as tape:
        tape.watch(zeros)
        norm = feature_norms(zeros)
    assert np.isfinite(tape.gradient(norm, zeros)).all()


def test_a_step_is_a_constant_loss_that_makes_features_longer():
    x = points(5, 4)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = stepwise_loss(feature_norms(x), 0.5)
    np.testing.assert_allclose(loss, np.full(5, 0.25), rtol=1e-5)
    expected = -2 * 0.5 * x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(tape.gradient(loss, x), expected, rtol=1e-4)


def test_both_sides_are_summed():
    source, target = domain(points(4, 8)), domain(points(6, 8, 1) * 2)
    objective = tl.objectives.AFN(radius=3.0)
    objective.begin(setup())
    losses = objective.losses(batch(source=source, target=target))
    norms = [np.linalg.norm(one.features, axis=1) for one in (source, target)]
    expected = sum(np.mean((one - 3.0) ** 2) for one in norms)
    assert float(losses["loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(losses["afn_target_norm"]) == pytest.approx(norms[1].mean(), rel=1e-5)
    np.testing.assert_allclose(hard_loss(tf.constant([1.0]), 3.0), [4.0])


def test_stepwise_is_the_default():
    source, target = domain(points(4, 8)), domain(points(6, 8, 1))
    losses = tl.objectives.AFN(step=0.5).losses(batch(source=source, target=target))
    assert float(losses["loss"]) == pytest.approx(0.5, rel=1e-5)


def test_bad_arguments():
    with pytest.raises(InputError, match="step: expected a number > 0, got 0"):
        tl.objectives.AFN(step=0)
    with pytest.raises(InputError, match="radius: expected a number > 0, got -1"):
        tl.objectives.AFN(radius=-1)
    with pytest.raises(InputError, match="AFN needs a source domain"):
        tl.objectives.AFN().begin(setup(("target",)))
