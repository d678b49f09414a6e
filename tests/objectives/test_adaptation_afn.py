"""Feature norms and their gradients."""

import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tl_keras.objectives.alignment.afn import feature_norms, hard_loss, stepwise_loss
from tl_keras.utils.errors import InputError


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


def test_stepwise_is_a_constant():
    source, target = domain(points(4, 8)), domain(points(6, 8, 1))
    objective = tl.objectives.AFN(step=0.5)
    objective.begin(setup())
    losses = objective.losses(batch(source=source, target=target))
    assert float(losses["loss"]) == pytest.approx(0.5, rel=1e-5)


def paper(source, target):
    """The authors' loss of features whose norm begins at √500: `(mean ‖f‖ − 25)²` a domain."""
    return sum((np.linalg.norm(one, axis=1).mean() - 25) ** 2 for one in (source, target))


@pytest.mark.parametrize("scale", [1e-2, 1.0, 100.0])
def test_the_default_is_the_papers_radius_in_units_of_the_start(scale):
    objective = tl.objectives.AFN()
    objective.begin(setup())
    source, target = (scale * points(6, 8, seed) for seed in (0, 1))
    first = objective.losses(batch(source=domain(source), target=domain(target)))
    start = np.linalg.norm(source, axis=1).mean()
    unit = np.sqrt(500) / start
    expected = paper(unit * source, unit * target) / unit**2
    assert float(first["loss"]) == pytest.approx(expected, rel=1e-4)
    # Later features are measured by the norm of the first step.
    later = [tf.Variable(1.3 * source), tf.Variable(0.5 * target)]
    with tf.GradientTape() as tape:
        sides = [domain(one) for one in later]
        loss = objective.losses(batch(source=sides[0], target=sides[1]))["loss"]
    own = [unit * one.numpy() for one in later]
    assert float(loss) == pytest.approx(paper(*own) / unit**2, rel=1e-4)
    for found, values in zip(tape.gradient(loss, later), own, strict=True):
        norms = np.linalg.norm(values, axis=1, keepdims=True)
        expected = 2 * (norms.mean() - 25) * values / norms / len(values) / unit
        np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert float(objective.memory()[0].numpy()) == pytest.approx(start, rel=1e-5)


def test_features_of_the_radius_are_left_alone():
    """The loss ends: at 25/√500 = 1.118 times the norm of the first step nothing is pulled."""
    objective = tl.objectives.AFN()
    objective.begin(setup())
    features = points(6, 8)
    objective.losses(batch(source=domain(features), target=domain(features)))
    longer = tf.Variable(25 / np.sqrt(500) * features)
    with tf.GradientTape() as tape:
        side = domain(longer)
        loss = objective.losses(batch(source=side, target=side))["loss"]
    assert float(loss) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(tape.gradient(loss, longer), 0, atol=1e-3)


def test_bad_arguments():
    with pytest.raises(InputError, match="step: expected a number > 0, got 0"):
        tl.objectives.AFN(step=0)
    with pytest.raises(InputError, match="radius: expected a number > 0, got -1"):
        tl.objectives.AFN(radius=-1)
    with pytest.raises(InputError, match="step, radius: expected one of them or none"):
        tl.objectives.AFN(1.0, 5.0)
    with pytest.raises(InputError, match="AFN needs a source domain"):
        tl.objectives.AFN().begin(setup(("target",)))
