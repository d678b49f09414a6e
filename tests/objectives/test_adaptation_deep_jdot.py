"""The transport plan against SciPy's assignment, the cost against loops."""

import importlib.util
import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment
from scipy.special import log_softmax

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tl_keras.objectives.alignment.deep_jdot import exact_plan, transport_cost, transport_plan
from tl_keras.utils.errors import InputError

needs_pot = pytest.mark.skipif(
    importlib.util.find_spec("ot") is None, reason="POT is not installed"
)


def test_cost():
    source, target, logits = points(4, 3), points(5, 3, 1), points(5, 2, 2)
    y = np.array([[1, 0], [0, 1], [0.5, 0.5], [0, 0]], np.float32)
    expected = np.zeros((4, 5))
    for i in range(4):
        for j in range(5):
            near = np.sum((source[i] - target[j]) ** 2)
            expected[i, j] = 0.1 * near - 2.0 * y[i] @ log_softmax(logits[j])
    found = transport_cost(source, target, tf.constant(y), logits, 0.1, 2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@needs_pot
def test_the_plan_is_the_best_assignment():
    cost = np.random.default_rng(0).random((6, 6)).astype(np.float32)
    plan = transport_plan(tf.constant(cost)).numpy()
    rows, columns = linear_sum_assignment(cost)
    expected = np.zeros((6, 6))
    expected[rows, columns] = 1 / 6
    np.testing.assert_allclose(plan, expected, atol=1e-6)
    uneven = exact_plan(cost[:4])
    np.testing.assert_allclose(uneven.sum(axis=0), np.full(6, 1 / 6), rtol=1e-5)
    np.testing.assert_allclose(uneven.sum(axis=1), np.full(4, 1 / 4), rtol=1e-5)


@needs_pot
def test_a_cost_that_is_no_number_gives_an_even_plan():
    np.testing.assert_allclose(exact_plan(np.full((2, 3), np.nan)), np.full((2, 3), 1 / 6))


@needs_pot
def test_pairs_keep_to_classes_in_a_graph():
    objective = tl.objectives.DeepJDOT(feature_cost=1.0, label_cost=1.0)
    objective.begin(setup())
    classes = np.array([0, 1, 2, 0])
    source, logits = points(4, 8), 20 * tf.one_hot(classes[::-1], 3)

    @tf.function
    def loss(target):
        with tf.GradientTape() as tape:
            tape.watch(target)
            own = domain(source, logits, classes)
            value = objective.losses(batch(source=own, target=domain(target, logits)))["loss"]
        return value, tape.gradient(value, target)

    target = points(4, 8, 1)
    value, gradient = loss(target)
    near = np.sum((source.numpy()[:, None] - target.numpy()[None]) ** 2, axis=2)
    near += np.where(classes[:, None] == classes[::-1][None], 0, 20)
    rows, columns = linear_sum_assignment(near)
    assert float(value) == pytest.approx(near[rows, columns].mean(), rel=1e-4)
    expected = 2 * (target.numpy()[columns] - source.numpy()[rows]) / 4
    np.testing.assert_allclose(gradient.numpy()[columns], expected, rtol=1e-4, atol=1e-5)


def test_without_pot_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(InputError, match=r'pip install "tl_keras\[transport\]"'):
        tl.objectives.DeepJDOT().begin(setup())


def test_bad_arguments():
    with pytest.raises(InputError, match="feature_cost: expected a number ≥ 0, got -1"):
        tl.objectives.DeepJDOT(-1)
    with pytest.raises(InputError, match="DeepJDOT needs a source domain with labels"):
        tl.objectives.DeepJDOT().begin(setup(labelled=("target",)))
