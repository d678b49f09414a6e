"""JAN against NumPy, and where it sees what MMD does not."""

import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tests.objectives.test_adaptation_mmd import WIDTHS, kernels
from tl_keras.errors import InputError
from tl_keras.objectives.jan import squared_joint_mmd
from tl_keras.objectives.mmd import squared_mmd


def test_equals_the_sums_over_the_product_of_kernels():
    source = [points(6, 4), points(6, 2, seed=1)]
    target = [points(5, 4, seed=2, shift=0.5), points(5, 2, seed=3)]
    k = np.prod([kernels(np.concatenate(pair)) for pair in zip(source, target, strict=True)], 0)
    expected = k[:6, :6].mean() + k[6:, 6:].mean() - 2 * k[:6, 6:].mean()
    assert float(squared_joint_mmd(source, target, WIDTHS)) == pytest.approx(expected, rel=1e-4)


def test_one_layer_is_mmd():
    source, target = points(6, 4), points(5, 4, seed=2)
    joint = float(squared_joint_mmd([source], [target]))
    assert joint == pytest.approx(float(squared_mmd(source, target)), rel=1e-5)


def test_it_sees_classes_that_are_matched_crosswise():
    classes = np.arange(20) % 2
    features = points(20, 2) * 0.1 + tf.cast(classes[:, None], tf.float32) * 4
    right = tf.one_hot(classes, 2) * 10
    objective = tl.objectives.JAN()
    objective.begin(setup())
    losses = [
        float(
            objective.losses(
                batch(source=domain(features, right), target=domain(features, logits))
            )["loss"]
        )
        for logits in (right, 10 - right)
    ]
    assert losses[0] == pytest.approx(0, abs=1e-5) and losses[1] > 0.1


def test_it_needs_a_classifier():
    with pytest.raises(InputError, match="JAN needs a head with one class per example"):
        tl.objectives.JAN().begin(setup(classes=2, head="regression"))
    with pytest.raises(InputError, match="JAN needs a target domain"):
        tl.objectives.JAN().begin(setup(("source",)))
