"""CDAN: what the discriminator reads, and the weights of the examples."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import entropy

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tl_keras.objectives.alignment.cdan import entropy_weights, multilinear_map, randomised_map
from tl_keras.utils.errors import InputError


def test_the_map_has_all_products():
    f, p = points(5, 4), tf.nn.softmax(points(5, 3))
    expected = np.einsum("bi,bj->bij", f, p).reshape(5, 12)
    np.testing.assert_allclose(multilinear_map(f, p), expected, rtol=1e-6)


def test_the_random_map_keeps_inner_products():
    f, p = points(5, 4), tf.nn.softmax(points(5, 3))
    whole = multilinear_map(f, p).numpy()
    random = randomised_map(f, p, points(4, 200_000, 1), points(3, 200_000, 2)).numpy()
    np.testing.assert_allclose(random @ random.T, whole @ whole.T, atol=0.05)


def test_weights_are_of_the_entropy():
    p = tf.constant([[1.0, 0.0, 0.0], [0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]])
    expected = 1 + np.exp(-entropy(p.numpy(), axis=1))
    np.testing.assert_allclose(entropy_weights(p), expected, rtol=1e-6)


@pytest.mark.parametrize("entropy_weighted", [True, False])
def test_the_loss_is_the_weighted_cross_entropy(entropy_weighted):
    objective = tl.objectives.CDAN(entropy_weighted, hidden_units=(4,))
    objective.begin(setup())
    sides = [(points(4, 8, i), points(4, 3, i + 5)) for i in (0, 1)]
    found = objective.losses(batch(source=domain(*sides[0]), target=domain(*sides[1])))
    both = tf.nn.softmax(tf.concat([side[1] for side in sides], axis=0)).numpy().astype(float)
    mean = np.mean(1 + np.exp(-entropy(both, axis=1))) if entropy_weighted else 1.0
    expected = 0.0
    for sign, (features, logits) in zip((-1, 1), sides, strict=True):
        p = tf.nn.softmax(logits).numpy().astype(float)
        maps = np.einsum("bi,bj->bij", features, p).reshape(4, 24)
        answers = objective.discriminator(maps.astype(np.float32)).numpy()[:, 0]
        weights = 1 + np.exp(-entropy(p, axis=1)) if entropy_weighted else np.ones(4)
        expected += 0.5 / mean * np.mean(weights * np.log1p(np.exp(sign * answers)))
    assert float(found["loss"]) == pytest.approx(expected, rel=1e-5)
    assert not objective.memory()


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 50.0])
def test_weights_have_the_mean_one_however_sure_predictions_are(sharpness):
    """A discriminator that knows nothing has log 2 as its loss, weighted or not."""
    objective = tl.objectives.CDAN(hidden_units=(4,))
    objective.begin(setup())
    for weight in objective.discriminator.weights:
        weight.assign(tf.zeros_like(weight))
    sides = [domain(points(6, 8, i), sharpness * points(6, 3, i + 5)) for i in (0, 1)]
    found = objective.losses(batch(source=sides[0], target=sides[1]))
    assert float(found["loss"]) == pytest.approx(np.log(2), rel=1e-5)


def test_large_maps_are_random_and_kept():
    objective = tl.objectives.CDAN(largest_map=23, random_units=16)
    objective.begin(setup())
    first, second = objective.memory()
    assert first.shape == (8, 16) and second.shape == (3, 16)
    assert objective.discriminator.input_shape == (None, 16)
    assert not any(variable.trainable for variable in objective.memory())
    sides = [domain(points(4, 8, i), points(4, 3, i)) for i in (0, 1)]
    losses = objective.losses(batch(source=sides[0], target=sides[1]))
    assert np.isfinite(float(losses["loss"])) and 0 <= float(losses["cdan_accuracy"]) <= 1


def test_gradients_go_through_the_features_only():
    objective = tl.objectives.CDAN()
    objective.begin(setup())
    features, logits = points(4, 8), points(4, 3)
    with tf.GradientTape() as tape:
        tape.watch([features, logits])
        side = domain(features, logits)
        loss = objective.losses(batch(source=side, target=side))["loss"]
    of_features, of_logits = tape.gradient(loss, [features, logits])
    assert np.any(of_features) and of_logits is None


def test_bad_arguments():
    with pytest.raises(InputError, match="random_units: expected a whole number ≥ 1, got 0"):
        tl.objectives.CDAN(random_units=0)
    with pytest.raises(InputError, match="CDAN needs a head with one class per example"):
        tl.objectives.CDAN().begin(setup(classes=2, head="regression"))
