"""Pseudo-labels where the model is sure."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tl_keras.objectives.self_training.pseudo_label import pseudo_label_loss
from tl_keras.utils.errors import InputError

LOGITS = tf.constant([[4.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.0]])


def test_only_sure_predictions_count():
    p = softmax(LOGITS.numpy(), axis=1).max(axis=1)
    loss, sure = pseudo_label_loss(LOGITS, LOGITS, 0.9)
    np.testing.assert_array_equal(sure, [1, 0, 1, 0])
    np.testing.assert_allclose(loss, np.where(p >= 0.9, -np.log(p), 0.0), rtol=1e-5)
    loss, sure = pseudo_label_loss(LOGITS, LOGITS, 0.0)
    np.testing.assert_allclose(loss, -np.log(p), rtol=1e-5)


def test_labels_are_constants():
    with tf.GradientTape() as tape:
        tape.watch(LOGITS)
        loss, _ = pseudo_label_loss(LOGITS, LOGITS, 0.9)
    p = softmax(LOGITS.numpy(), axis=1)
    expected = (p - np.eye(3)[p.argmax(axis=1)]) * np.array([1, 0, 1, 0])[:, None]
    np.testing.assert_allclose(tape.gradient(loss, LOGITS), expected, atol=1e-6)


def test_the_mean_is_over_examples_without_a_label():
    objective = tl.objectives.SelfTraining(0.9)
    objective.begin(setup())
    values, _ = pseudo_label_loss(LOGITS, LOGITS, 0.9)
    source = domain(points(4, 8), LOGITS, [0, 1, 2, 0])
    whole = objective.losses(batch(source=source, target=domain(points(4, 8), LOGITS)))
    assert float(whole["loss"]) == pytest.approx(values.numpy().mean(), rel=1e-5)
    assert float(whole["self_training_share"]) == pytest.approx(0.5)
    partly = domain(points(4, 8), LOGITS, [0, 1, 2, 0], [1, 0, 0, 0])
    part = objective.losses(batch(source=source, target=partly))
    assert float(part["loss"]) == pytest.approx(values.numpy()[1:].mean(), rel=1e-5)
    assert float(part["self_training_share"]) == pytest.approx(1 / 3)


def test_bad_arguments():
    with pytest.raises(InputError, match="threshold: expected a number ≥ 0 and < 1, got 1"):
        tl.objectives.SelfTraining(1)
    with pytest.raises(InputError, match="SelfTraining needs a target domain"):
        tl.objectives.SelfTraining().begin(setup(("source",)))
