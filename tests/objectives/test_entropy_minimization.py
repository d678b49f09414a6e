import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import softmax

from tests.objectives.views import begun, build, images, viewed
from tl_keras.objectives import EntropyMinimization
from tl_keras.objectives.self_training.entropy_minimization import entropy, marginal_entropy
from tl_keras.objectives.self_training.unlabelled import (
    adapted,
    adapted_names,
    unlabelled_mask,
    unlabelled_mean,
)
from tl_keras.utils.errors import InputError

LOGITS = np.random.default_rng(0).normal(0, 2, (6, 4)).astype("float32")


def test_entropy_by_scipy():
    expected = stats.entropy(softmax(LOGITS, axis=1), axis=1)
    np.testing.assert_allclose(entropy(LOGITS), expected, rtol=1e-5)


def test_entropy_and_its_gradient_are_finite_for_certainty():
    logits = tf.constant([[1e4, -1e4], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        values = entropy(logits)
    np.testing.assert_allclose(values, [0, np.log(2)], atol=1e-6)
    assert np.isfinite(tape.gradient(values, logits)).all()


def test_marginal_entropy_counts_the_masked_examples():
    mask = np.array([1, 0, 1, 1, 0, 0], "float32")
    expected = stats.entropy(softmax(LOGITS[mask > 0], axis=1).mean(axis=0))
    assert float(marginal_entropy(LOGITS, mask)) == pytest.approx(expected, rel=1e-5)
    assert float(marginal_entropy(LOGITS, np.zeros(6, "float32"))) == 0.0


def test_target_domains_are_learned_from_or_all_where_there_is_none():
    assert adapted_names(["a", "target_b", "c", "target"]) == ("target_b", "target")
    assert adapted_names(["a", "b"]) == ("a", "b")


def test_means_run_over_examples_without_a_label():
    model = build()
    data = {"target": (images(4), np.array([0, -1, 2, -1])), "target_b": images(3, 1)}
    domain = adapted(viewed(model, data))
    np.testing.assert_array_equal(unlabelled_mask(domain), [0, 1, 0, 1, 1, 1, 1])
    values = np.arange(7, dtype="float32")
    assert float(unlabelled_mean(domain, values)) == pytest.approx((1 + 3 + 4 + 5 + 6) / 5)


def test_the_loss_by_its_formula():
    model = build()
    data = {"source": (images(5), np.arange(5) % 3), "target": (images(4, 1), [1, -1, -1, 0])}
    objective = begun(EntropyMinimization(diversity=0.5), model, data)
    batch = viewed(model, data)
    losses = objective.losses(batch)
    p = softmax(batch["target"].logits.numpy()[1:3], axis=1)
    conditional, marginal = stats.entropy(p, axis=1).mean(), stats.entropy(p.mean(axis=0))
    assert float(losses["loss"]) == pytest.approx(conditional - 0.5 * marginal, rel=1e-4)
    assert float(losses["marginal_entropy"]) == pytest.approx(marginal, rel=1e-4)


def test_diversity_below_0_is_refused():
    with pytest.raises(InputError, match="diversity: expected a number ≥ 0, got -1"):
        EntropyMinimization(diversity=-1)
