"""JAN against NumPy, and where it sees what MMD does not."""

import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tests.objectives.test_adaptation_mmd import WIDTHS, reference_kernels
from tl_keras.objectives.alignment.jan import squared_joint_mmd
from tl_keras.objectives.alignment.mmd import squared_mmd
from tl_keras.utils.errors import InputError


def reference(source, target):
    """Transfer-Learning-Library's kernels: five of features, times one of probabilities."""
    features, probabilities = (np.concatenate(pair) for pair in zip(source, target, strict=True))
    distances = np.square(probabilities[:, None] - probabilities[None]).sum(axis=2)
    k = reference_kernels(features) * np.exp(-distances / (2 * 0.92**2))
    m = len(source[0])
    return k[:m, :m].mean() + k[m:, m:].mean() - 2 * k[:m, m:].mean()


def outputs(count, seed, scale=1.0, shift=0.0):
    logits = scale * points(count, 3, seed + 20)
    return {"features": points(count, 4, seed, shift), "probabilities": tf.nn.softmax(logits)}


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 100.0])
def test_equals_the_sums_of_the_reference(scale):
    """However sure the predictions are: at scale 100, half of their distances are about 0."""
    source, target = outputs(6, 0, scale), outputs(5, 2, scale, shift=0.5)
    expected = reference(*([v.numpy() for v in one.values()] for one in (source, target)))
    assert float(squared_joint_mmd(source, target)) == pytest.approx(expected, rel=1e-3)


def test_noise_of_sure_predictions_does_not_hide_the_features():
    """All are sure of class 0, up to noise of 1e-5; features differ by a shift, as for MMD."""
    source, target = points(20, 4), points(20, 4, seed=1, shift=0.7)
    p, q = (tf.nn.softmax(tf.constant([[12.0, 0.0, 0.0]]) + points(20, 3, seed)) for seed in (2, 3))
    joint = squared_joint_mmd(
        {"features": source, "probabilities": p}, {"features": target, "probabilities": q}
    )
    assert float(joint) == pytest.approx(float(squared_mmd(source, target)), rel=1e-3)


def test_one_layer_is_mmd():
    source, target = points(6, 4), points(5, 4, seed=2)
    joint = float(squared_joint_mmd({"features": source}, {"features": target}, WIDTHS))
    assert joint == pytest.approx(float(squared_mmd(source, target, WIDTHS)), rel=1e-5)


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
