"""BatchNorm statistics of the target, alone and at the end of a run."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tests.objectives.eager import setup
from tl_keras.errors import InputError
from tl_keras.objectives import Counts
from tl_keras.objectives.ada_bn import adapt_batch_norm, batch_norm_layers, pooled_statistics
from tl_keras.training.domain_pass import domain_pass


def images(count, seed=0, top=255):
    random = np.random.default_rng(seed)
    return random.integers(0, top, (count, 16, 16, 3)).astype(np.uint8)


def with_dropout():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.Dropout(0.9)(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    return keras.Model(inputs, keras.layers.ReLU()(x))


def test_batches_are_pooled_as_one():
    parts = [np.random.default_rng(i).normal(i, 1 + i, (5 + i, 3)) for i in range(3)]
    mean, variance = pooled_statistics(
        [len(one) for one in parts],
        [one.mean(axis=0) for one in parts],
        [one.var(axis=0) for one in parts],
    )
    together = np.concatenate(parts)
    np.testing.assert_allclose(mean, together.mean(axis=0))
    np.testing.assert_allclose(variance, together.var(axis=0))


@pytest.mark.parametrize(
    ("model", "x", "text"),
    [
        (
            tl.build_transfer_model,
            images(4)[:, :8],
            r"inputs of shape \(16, 16, 3\), got \(8, 16, 3\)",
        ),
        (
            lambda network: network,
            images(4),
            "expected one made by tl.build_transfer_model, got Fun",
        ),
        (tl.build_transfer_model, "pictures", "For files on disk pass tl.data.image_folder"),
    ],
)
def test_what_does_not_fit_is_refused(model, x, text):
    with pytest.raises(InputError, match=text):
        adapt_batch_norm(model(tiny_network()), x)


def test_statistics_are_those_of_the_data_without_dropout():
    model = tl.build_transfer_model(with_dropout(), 2)
    model.backbone.trainable = False
    x = images(11)
    before = model.get_weights()
    adapt_batch_norm(
        model, {"target_a": x[:4], "target_b": (x[4:], np.arange(7) % 2)}, batch_size=3
    )
    (layer,) = batch_norm_layers(model)
    values = model.backbone.get_layer("conv")(x.astype(np.float32)).numpy()
    np.testing.assert_allclose(layer.moving_mean, values.mean(axis=(0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, values.var(axis=(0, 1, 2)), rtol=1e-4)
    assert layer.momentum == 0.99 and not layer.trainable
    assert model.backbone.layers[2].rate == 0.9
    changed = sum(
        not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)
    )
    assert changed == 2


def test_one_batch_of_all_data_is_what_training_would_normalise_with():
    model = tl.build_transfer_model(tiny_network(), 3)
    x = images(12)
    adapt_batch_norm(model, x, batch_size=12)
    expected = model.backbone(x.astype(np.float32), training=True)
    adapt_batch_norm(model, x, batch_size=12)
    found = model.backbone(x.astype(np.float32), training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("apart", [True, False])
def test_while_training_each_domain_is_normalised_by_itself(apart):
    model = tl.build_transfer_model(tiny_network(), 3)
    x = {"source": tf.constant(images(6)), "target": tf.constant(images(6, 1, top=120))}
    counts = {name: Counts(tf.constant(6.0), None) for name in x}
    objectives = [tl.objectives.AdaBN()] if apart else []
    batch = domain_pass(model, model.forward, x, {}, counts, objectives=objectives, training=True)
    alone = model.forward(x["target"], training=True).features
    assert np.allclose(batch["target"].features, alone, rtol=1e-3, atol=1e-4) == apart


def test_at_the_end_of_a_run_the_model_has_the_statistics_of_the_target(tmp_path):
    source = (images(12), np.arange(12) % 3)
    data = {"source": source, "target": images(8, 1, top=120)}
    model = tl.build_transfer_model(tiny_network(), 3)
    run = tl.fine_tune(
        model,
        data,
        source,
        schedule=tl.Stage(1, unfreeze="all", batch_norm="update"),
        objectives=[tl.objectives.Supervised(), tl.objectives.AdaBN(batch_size=8)],
        batch_size=6,
        output=tmp_path / "run",
        verbose=False,
    )
    assert run.history["ada_bn"] == [0.0]
    trained = model.get_weights()
    saved = keras.saving.load_model(tmp_path / "run" / "model.keras").get_weights()
    adapt_batch_norm(model, data["target"], batch_size=8)
    for one, other, again in zip(trained, saved, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, again, rtol=1e-5, atol=1e-6)


def test_bad_arguments():
    with pytest.raises(InputError, match="batch_size: expected a whole number ≥ 1, got 0"):
        tl.objectives.AdaBN(0)
    with pytest.raises(InputError, match="AdaBN needs a target domain"):
        tl.objectives.AdaBN().begin(setup(("source",)))
    inputs = keras.Input((16, 16, 3))
    plain = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    with pytest.raises(InputError, match="its backbone has no BatchNormalization layers"):
        adapt_batch_norm(tl.build_transfer_model(plain, 2), images(4))
