"""MCC against loops in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from scipy.stats import entropy

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tl_keras.objectives.self_training.mcc import class_confusion
from tl_keras.utils.errors import InputError


def test_equals_the_loops():
    logits = points(7, 4) * 3
    p = softmax(logits.numpy().astype(float) / 2.0, axis=1)
    w = 1 + np.exp(-entropy(p, axis=1))
    w = 7 * w / w.sum()
    confusion = np.zeros((4, 4))
    for j in range(4):
        for k in range(4):
            confusion[j, k] = sum(p[i, j] * w[i] * p[i, k] for i in range(7))
    confusion /= confusion.sum(axis=1, keepdims=True)
    expected = sum(confusion[j, k] for j in range(4) for k in range(4) if j != k) / 4
    assert float(class_confusion(logits, 2.0)) == pytest.approx(expected, rel=1e-5)


def test_sure_predictions_confuse_nothing_and_even_ones_most():
    sure = 1000.0 * tf.one_hot([0, 1, 2, 2], 3)
    assert float(class_confusion(sure)) == pytest.approx(0, abs=1e-6)
    assert float(class_confusion(tf.zeros((4, 3)))) == pytest.approx(2 / 3, rel=1e-5)


def test_a_class_that_is_never_predicted_has_a_finite_gradient():
    logits = 1000.0 * tf.one_hot([0, 1, 1, 0], 3)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = class_confusion(logits)
    assert np.isfinite(float(loss)) and np.isfinite(tape.gradient(loss, logits)).all()


def test_it_reads_the_target_only():
    objective = tl.objectives.MCC()
    objective.begin(setup(("target",), ()))
    logits = points(6, 3)
    loss = objective.losses(batch(target=domain(points(6, 8), logits)))["loss"]
    assert float(loss) == pytest.approx(float(class_confusion(logits)))


def test_a_share_without_a_source_example_counts():
    objective = tl.objectives.MCC()
    objective.begin(setup())
    target, empty = (
        domain(points(6, 8), points(6, 3)),
        domain(points(1, 8), points(1, 3), real=False),
    )
    assert float(objective.losses(batch(source=empty, target=target))["loss"]) > 0.01
    assert float(objective.losses(batch(source=target, target=empty))["loss"]) == 0.0


def test_bad_arguments():
    with pytest.raises(InputError, match="temperature: expected a number > 0, got 0"):
        tl.objectives.MCC(0)
    with pytest.raises(InputError, match="MCC needs a target domain"):
        tl.objectives.MCC().begin(setup(("source",)))
