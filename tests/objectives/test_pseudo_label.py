import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax

from tests.objectives.views import begun, build, images, viewed
from tl_keras.objectives import PseudoLabel
from tl_keras.objectives.self_training.pseudo_label import pseudo_label_loss
from tl_keras.utils.errors import InputError

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 2, (7, 4)).astype("float32")
GUIDE = RANDOM.normal(0, 2, (7, 4)).astype("float32")


def expected_loss(logits, guide, threshold):
    q, log_p = softmax(guide, axis=1), log_softmax(logits, axis=1)
    sure = q.max(axis=1) >= threshold
    return np.where(sure, -log_p[np.arange(len(q)), q.argmax(axis=1)], 0.0), sure


@pytest.mark.parametrize("threshold", [0.0, 0.6, 1.0])
def test_the_loss_by_its_formula(threshold):
    values, confident = pseudo_label_loss(LOGITS, GUIDE, threshold)
    expected, sure = expected_loss(LOGITS, GUIDE, threshold)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    np.testing.assert_array_equal(confident, sure)


def test_no_gradient_goes_through_the_guide():
    guide = tf.constant(GUIDE)
    with tf.GradientTape() as tape:
        tape.watch(guide)
        values, _ = pseudo_label_loss(tf.constant(LOGITS), guide, 0.0)
    assert tape.gradient(values, guide) is None


def test_examples_with_a_label_do_not_count():
    model = build()
    data = {"data": (images(5), np.array([0, -1, 2, -1, -1]))}
    objective = begun(PseudoLabel(threshold=0.35), model, data)
    batch = viewed(model, data)
    losses = objective.losses(batch)
    logits = batch["data"].logits.numpy()[[1, 3, 4]]
    expected, sure = expected_loss(logits, logits, 0.35)
    assert float(losses["loss"]) == pytest.approx(expected.mean(), rel=1e-4)
    assert float(losses["pseudo_label_confident"]) == pytest.approx(sure.mean())


def test_a_threshold_above_1_is_refused():
    with pytest.raises(InputError, match="threshold: expected a probability"):
        PseudoLabel(threshold=1.5)
    with pytest.raises(InputError, match="threshold: expected a number"):
        PseudoLabel(threshold="high")


def test_a_regression_head_is_refused():
    with pytest.raises(InputError, match="PseudoLabel needs a head with one class per example"):
        begun(PseudoLabel(), build(head="regression"), {"data": images(2)})
