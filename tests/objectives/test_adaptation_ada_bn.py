"""BatchNorm statistics of the target, alone and at the end of a run."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tests.objectives.eager import setup
from tl_keras.data.domains import as_domains
from tl_keras.objectives import Counts
from tl_keras.objectives.alignment.ada_bn import adapt_batch_norm
from tl_keras.objectives.alignment.batch_norm_statistics import (
    Statistics,
    batch_norm_layers,
    move_to_target,
    moved_statistics,
    pooled_statistics,
)
from tl_keras.training.step.domain_pass import Training, domain_pass
from tl_keras.utils.errors import InputError


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
        adapt_batch_norm(model(tiny_network()), x, source=images(4))
    with pytest.raises(InputError, match=text.replace("data:", "source:")):
        adapt_batch_norm(model(tiny_network()), images(4), source=x)


def test_without_a_source_it_is_refused_and_nothing_changes():
    model = tl.build_transfer_model(tiny_network(), 3)
    before = model.get_weights()
    with pytest.raises(InputError, match=r"source: expected the examples .* Pass source=train"):
        adapt_batch_norm(model, images(4))
    assert_equal(model.get_weights(), before)


def strange_statistics(model, seed=0):
    """Give BatchNorm layers statistics that are those of no data at hand."""
    random = np.random.default_rng(seed)
    for layer in batch_norm_layers(model):
        size = layer.moving_mean.shape
        layer.moving_mean.assign(random.normal(0.0, 1.0, size))
        layer.moving_variance.assign(random.uniform(0.3, 3.0, size))
    return model


def own_statistics(model, x, batch_size=64):
    """Give all layers the statistics of images, each batch normalised by itself."""
    domains = as_domains(x)
    layers = batch_norm_layers(model)
    move_to_target(model, domains, domains, batch_size=batch_size, seed=0, updating=layers)
    return model


def assert_equal(weights, others):
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_moved_statistics_normalise_the_target_to_what_the_source_is():
    random = np.random.default_rng(0)
    source, target = random.normal(2.0, 3.0, (500, 4)), random.normal(-1.0, 0.5, (300, 4))
    now = Statistics(random.normal(size=4), random.uniform(0.5, 2.0, 4))
    of = [Statistics(one.mean(0), one.var(0)) for one in (source, target)]
    moved = moved_statistics(now, *of, epsilon=0.0)
    seen = (source - now.mean) / np.sqrt(now.variance)
    found = (target - moved.mean) / np.sqrt(moved.variance)
    np.testing.assert_allclose(found.mean(0), seen.mean(0))
    np.testing.assert_allclose(found.var(0), seen.var(0))
    for one, other in zip(moved_statistics(of[0], *of, epsilon=1e-3), of[1], strict=True):
        np.testing.assert_allclose(one, other)
    for one, other in zip(moved_statistics(now, of[0], of[0], epsilon=1e-3), now, strict=True):
        np.testing.assert_array_equal(one, other)
    # A channel that is the same for all of the target, or of the source, ends in a number.
    flat = Statistics(np.zeros(4), np.zeros(4))
    for pair in ((flat, of[1]), (of[0], flat), (flat, flat)):
        moved = moved_statistics(now, *pair, epsilon=1e-3)
        assert np.isfinite(moved.mean).all() and (moved.variance >= 0).all()


def test_statistics_of_the_source_become_those_of_the_target_without_dropout():
    model = tl.build_transfer_model(with_dropout(), 2)
    model.backbone.trainable = False
    x, source = images(11), images(9, 1, top=100)
    own_statistics(model, source)
    before = model.get_weights()
    adapt_batch_norm(
        model,
        {"target_a": x[:4], "target_b": (x[4:], np.arange(7) % 2)},
        source={"a": source[:5], "b": source[5:]},
        batch_size=3,
    )
    (layer,) = batch_norm_layers(model)
    values = model.backbone.get_layer("conv")(x.astype(np.float32)).numpy()
    np.testing.assert_allclose(layer.moving_mean, values.mean(axis=(0, 1, 2)), rtol=1e-3, atol=0.05)
    np.testing.assert_allclose(layer.moving_variance, values.var(axis=(0, 1, 2)), rtol=1e-3)
    assert layer.momentum == 0.99 and not layer.trainable and "call" not in vars(layer)
    assert model.backbone.layers[2].rate == 0.9
    changed = sum(
        not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)
    )
    assert changed == 2


def test_one_batch_of_all_data_is_what_training_would_normalise_with():
    model, x = tl.build_transfer_model(tiny_network(), 3), images(12)
    expected = model.backbone(x.astype(np.float32), training=True)
    own_statistics(model, x)
    found = model.backbone(x.astype(np.float32), training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_the_target_looks_to_every_layer_as_the_source_did():
    """One batch each: behind every BatchNorm layer, mean and deviation are the source's."""
    model = strange_statistics(tl.build_transfer_model(tiny_network(), 3))
    source, target = images(40), images(40, 1, top=90)
    names = [layer.name for layer in batch_norm_layers(model)]
    outputs = [model.backbone.get_layer(name).output for name in names]
    behind = keras.Model(model.backbone.input, outputs)

    def seen(x):
        return [
            (np.mean(one, (0, 1, 2)), np.std(one, (0, 1, 2))) for one in behind(x.astype("float32"))
        ]

    before, unmoved = seen(source), seen(target)
    adapt_batch_norm(model, target, source=source)
    for of_source, of_target, old in zip(before, seen(target), unmoved, strict=True):
        left, there_was = (np.abs(np.subtract(one, of_source)).max() for one in (of_target, old))
        # Over ten seeds: at most .017.
        assert left < 0.05 * there_was


def test_equal_domains_change_nothing():
    model = strange_statistics(tl.build_transfer_model(tiny_network(), 3))
    before, x = model.get_weights(), images(9)
    adapt_batch_norm(model, x, source=x, batch_size=4)
    assert_equal(model.get_weights(), before)


@pytest.fixture
def eagerly():
    """Run the few steps of a run without traces, which take most of the time."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


HEAD_ONLY = tl.Stage(2, learning_rate=0.1)
ALL = tl.Stage(1, unfreeze="all", learning_rate=0.01)


@pytest.mark.parametrize(
    ("stages", "settings"),
    [
        ((HEAD_ONLY,), {"cache": None}),
        ((HEAD_ONLY, ALL), {}),
        ((tl.Stage(1, unfreeze=1, batch_norm="update"), HEAD_ONLY), {}),
    ],
    ids=["not stored", "two stages, the first stored", "updated, then frozen and stored"],
)
@pytest.mark.usefixtures("eagerly")
def test_equal_domains_change_nothing_at_the_end_of_a_run(stages, settings):
    """The run with AdaBN ends with the weights and predictions that the run without ends with."""
    x, y = images(12), np.arange(12) % 3
    ended = []
    for own in ([], [tl.objectives.AdaBN(batch_size=8)]):
        model = strange_statistics(tl.build_transfer_model(tiny_network(), 3))
        if stages[0].batch_norm == "update" and not own:
            # Domains that are normalised apart update the statistics twice as often.
            own = [DomainsApart()]
        tl.fine_tune(
            model,
            {"source": (x, y), "target": x},
            schedule=stages,
            objectives=[tl.objectives.Supervised(), *own],
            batch_size=8,
            verbose=False,
            **settings,
        )
        ended.append(model.get_weights())
    for one, other in zip(*ended, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


class DomainsApart(tl.objectives.AdaBN):
    def finish(self, model, domains):
        """Leave the statistics as they are."""


@pytest.mark.usefixtures("eagerly")
def test_best_weights_of_a_frozen_stage_keep_how_the_source_looks():
    """The last stage updates statistics, and makes such steps that the first one stays the best."""
    x, y = images(12), np.arange(12) % 3
    model = strange_statistics(tl.build_transfer_model(tiny_network(), 3))
    before = model.backbone.get_weights()
    worse = tl.Stage(1, unfreeze="all", batch_norm="update", learning_rate=5.0, optimizer="sgd")
    run = tl.fine_tune(
        model,
        {"source": (x, y), "target": x},
        (x, y),
        schedule=(tl.Stage(1), worse),
        objectives=[tl.objectives.Supervised(), tl.objectives.AdaBN()],
        verbose=False,
    )
    assert run.best_epoch == 0
    assert_equal(model.backbone.get_weights(), before)
    assert run.audits[1][0].trainable and model.backbone.layers[-1].trainable


@pytest.mark.parametrize("apart", [True, False])
def test_while_training_each_domain_is_normalised_by_itself(apart):
    model = tl.build_transfer_model(tiny_network(), 3)
    x = {"source": tf.constant(images(6)), "target": tf.constant(images(6, 1, top=120))}
    counts = {name: Counts(tf.constant(6.0), None) for name in x}
    objectives = [tl.objectives.AdaBN()] if apart else []
    batch = domain_pass(model, model.forward, x, {}, counts, Training(objectives))
    alone = model.forward(x["target"], training=True).features
    assert np.allclose(batch["target"].features, alone, rtol=1e-3, atol=1e-4) == apart


@pytest.mark.usefixtures("eagerly")
def test_layers_that_updated_their_statistics_end_with_the_target_s(tmp_path):
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
    own_statistics(model, data["target"], batch_size=8)
    for one, other, again in zip(trained, saved, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, again, rtol=1e-5, atol=1e-6)


def test_bad_arguments():
    with pytest.raises(InputError, match="batch_size: expected a whole number ≥ 1, got 0"):
        tl.objectives.AdaBN(0)
    with pytest.raises(InputError, match="AdaBN needs a target domain"):
        tl.objectives.AdaBN().begin(setup(("source",)))
    with pytest.raises(InputError, match="AdaBN needs a source domain"):
        tl.objectives.AdaBN().begin(setup(("target",)))
    inputs = keras.Input((16, 16, 3))
    plain = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    with pytest.raises(InputError, match="its backbone has no BatchNormalization layers"):
        adapt_batch_norm(tl.build_transfer_model(plain, 2), images(4), source=images(4))
