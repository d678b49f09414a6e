import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.objectives.views import begun, build, images, viewed
from tl_keras.objectives import SimCLR
from tl_keras.objectives.self_supervised.sim_clr import VIEWS, contrastive_loss
from tl_keras.utils.errors import InputError

FIRST, SECOND = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
ALL = np.ones(5, "float32")


def nt_xent(first, second, temperature):
    """Equation 1 of the paper, example by example."""
    z = np.concatenate([first, second]).astype("float64")
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    n = len(first)
    losses = []
    for i in range(2 * n):
        similar = np.exp(z @ z[i] / temperature)
        losses.append(-np.log(similar[(i + n) % (2 * n)] / (similar.sum() - similar[i])))
    return (np.array(losses[:n]) + losses[n:]) / 2


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_the_loss_by_its_formula(temperature):
    got = contrastive_loss(FIRST, SECOND, ALL, temperature)
    np.testing.assert_allclose(got, nt_xent(FIRST, SECOND, temperature), rtol=1e-4)


def test_rows_that_stand_in_for_nothing_are_nobodys_negatives():
    mask = np.array([1, 1, 0, 1, 1], "float32")
    got = contrastive_loss(FIRST, SECOND, mask, 0.5).numpy()
    there = mask > 0
    np.testing.assert_allclose(got[there], nt_xent(FIRST[there], SECOND[there], 0.5), rtol=1e-4)
    assert np.isfinite(got).all()


def test_gradients_of_zeros_are_finite():
    z = tf.zeros((1, 6))
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = contrastive_loss(z, z, np.zeros(1, "float32"), 0.1)
    np.testing.assert_allclose(loss, 0.0, atol=1e-6)
    assert np.isfinite(tape.gradient(loss, z)).all()


def test_two_different_views_are_all_that_is_run():
    model = build()
    data = {"data": images(4), "target": images(3, 1)}
    objective = begun(SimCLR(0.5, (16,), 8), model, data)
    batch = viewed(model, data, objective)
    first, second = (batch.views[view] for view in VIEWS)
    assert batch["data"].forward is None
    assert np.abs(first["data"].x - second["data"].x).mean() > 1
    projected = [
        np.concatenate([objective.networks()["projection"](one.features) for one in view.values()])
        for view in (first, second)
    ]
    assert projected[0].shape == (7, 8)
    expected = nt_xent(*projected, 0.5).mean()
    assert float(objective.losses(batch)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_with_an_objective_that_reads_the_images_they_are_run_too():
    from tl_keras.objectives import EntropyMinimization

    model, data = build(), {"data": images(4)}
    objectives = [begun(one, model, data) for one in (SimCLR(), EntropyMinimization())]
    batch = viewed(model, data, *objectives)
    expected = model.forward(data["data"]).logits
    np.testing.assert_allclose(batch["data"].logits, expected, atol=1e-3)


def test_views_by_own_layers():
    model, data = build(), {"data": images(4)}
    flip = keras.layers.RandomFlip("horizontal")
    objective = begun(SimCLR(augmentation=flip), model, data)
    seen = viewed(model, data, objective).views["sim_clr_1"]["data"].x.numpy()
    for picture, image in zip(seen, data["data"], strict=True):
        assert (picture == image).all() or (picture == image[:, ::-1]).all()


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="temperature: expected a number > 0, got 0"):
        SimCLR(temperature=0)
    with pytest.raises(InputError, match="size: expected a whole number ≥ 1"):
        SimCLR(size=0)
