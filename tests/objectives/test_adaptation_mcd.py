"""MCD: two classifiers, one update."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from sklearn.metrics import log_loss

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tl_keras.objectives.alignment.mcd import discrepancy
from tl_keras.utils.errors import InputError


def test_discrepancy():
    one, two = points(5, 4), points(5, 4, 1)
    expected = np.abs(softmax(one, axis=1) - softmax(two, axis=1)).mean(axis=1)
    np.testing.assert_allclose(discrepancy(one, two), expected, rtol=1e-5)


def test_one_update_trains_all_three_players():
    objective = tl.objectives.MCD(hidden_units=(6,), weight=lambda _: 0.5)
    objective.begin(setup())
    y = [0, 1, 2, 0]
    source, target = points(4, 8), points(5, 8, 1)
    first, second = objective.networks().values()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([source, target])
        losses = objective.losses(
            batch(
                source=domain(source, points(4, 3), y),
                target=domain(target, points(5, 3)),
            )
        )
        apart = tf.reduce_mean(discrepancy(first(target), second(target)))
        entropy = tf.add_n(
            [
                tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, one(source)))
                for one in (first, second)
            ]
        )
    expected = sum(log_loss(y, softmax(one(source), axis=1)) for one in (first, second))
    assert float(losses["mcd_cross_entropy"]) == pytest.approx(expected, rel=1e-5)
    assert float(losses["mcd_discrepancy"]) == pytest.approx(float(apart), rel=1e-5)
    assert float(losses["loss"]) == pytest.approx(float(entropy - apart), rel=1e-5)
    kernel = first.layers[0].kernel.value
    for what, gradient in (
        (kernel, tape.gradient(entropy, kernel) - tape.gradient(apart, kernel)),
        (source, 0.5 * tape.gradient(entropy, source)),
        (target, 4 * 0.5 * tape.gradient(apart, target)),
    ):
        found = tape.gradient(losses["loss"], what)
        np.testing.assert_allclose(found, gradient, rtol=1e-4, atol=1e-7)


def test_the_classifiers_begin_apart():
    objective = tl.objectives.MCD()
    objective.begin(setup())
    first, second = objective.networks().values()
    assert np.abs(first.layers[0].kernel - second.layers[0].kernel).max() > 0.01


def test_bad_arguments():
    with pytest.raises(InputError, match="MCD needs labels to train its classifiers with"):
        tl.objectives.MCD().begin(setup(labelled=()))
    with pytest.raises(InputError, match="hidden_units: expected a list of widths"):
        tl.objectives.MCD("128")
