import numpy as np
import pytest
import tensorflow as tf

from tests.objectives.views import begun, build, images, viewed
from tl_keras.objectives import VICReg
from tl_keras.objectives.self_supervised.vicreg import VIEWS, invariance, variance_and_covariance
from tl_keras.utils.errors import InputError

Z = np.random.default_rng(0).normal(0, [0.2, 0.5, 1.0, 2.0], (9, 4)).astype("float32")


def statistics(z):
    variance = np.maximum(0, 1 - np.sqrt(z.var(axis=0, ddof=1) + 1e-4)).mean()
    covariance = np.cov(z.T)
    off = covariance - np.diag(np.diag(covariance))
    return variance, np.square(off).sum() / z.shape[1]


def test_variance_and_covariance_by_numpy():
    got = variance_and_covariance(Z, np.ones(9, "float32"))
    np.testing.assert_allclose(got, statistics(Z), rtol=1e-4)


def test_rows_that_do_not_count_change_nothing():
    mask = np.array([1, 0, 1, 1, 1, 0, 1, 1, 1], "float32")
    got = variance_and_covariance(Z, mask)
    np.testing.assert_allclose(got, statistics(Z[mask > 0]), rtol=1e-4)


def test_gradients_of_a_share_without_examples_are_finite():
    z = tf.zeros((1, 4))
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = tf.add_n(variance_and_covariance(z, tf.zeros(1)))
    assert np.isfinite(tape.gradient(loss, z)).all()


def test_the_loss_is_the_weighted_sum_of_its_parts():
    model, data = build(), {"data": images(6)}
    objective = begun(VICReg(10, 20, 3, hidden_units=(), size=5), model, data)
    batch = viewed(model, data, objective)
    first, second = (
        objective.networks()["expander"](batch.views[view]["data"].features).numpy()
        for view in VIEWS
    )
    agreement = np.square(first - second).mean()
    (v1, c1), (v2, c2) = statistics(first), statistics(second)
    losses = objective.losses(batch)
    assert float(losses["vicreg_invariance"]) == pytest.approx(agreement, rel=1e-4)
    expected = 10 * agreement + 20 * (v1 + v2) / 2 + 3 * (c1 + c2)
    assert float(losses["loss"]) == pytest.approx(expected, rel=1e-3)
    np.testing.assert_allclose(invariance(first, second).numpy().mean(), agreement, rtol=1e-4)


def test_negative_weights_are_refused():
    with pytest.raises(InputError, match="covariance: expected a number ≥ 0, got -1"):
        VICReg(covariance=-1)
