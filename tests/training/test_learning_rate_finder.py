import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.training import learning_rate_finder
from tl_keras.training.learning_rate_finder import find_learning_rate
from tl_keras.training.learning_rates import latest_smoothed, read_curve, smooth, steepest_fall
from tl_keras.utils.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:find_learning_rate")
RATES = np.geomspace(1e-6, 1, 121)


def found(losses, **arguments):
    rates = RATES[: len(losses)]
    return read_curve(rates, losses, width=5, fallback=0.123, **arguments)


class TestCurve:
    def test_smoothing_is_a_gaussian_mean(self):
        losses = np.random.default_rng(0).normal(size=12)
        expected = []
        for i in range(12):
            weights = [np.exp(-((i - j) ** 2) / (2 * 3.0**2)) for j in range(12)]
            expected.append(np.average(losses, weights=weights))
        np.testing.assert_allclose(smooth(losses, 3.0), expected, rtol=1e-12)
        assert latest_smoothed(losses, 3.0) == pytest.approx(expected[-1], rel=1e-12)

    def test_smoothing_keeps_lines(self):
        line = 2.0 - 0.01 * np.arange(101)
        np.testing.assert_allclose(smooth(line, 5)[25:-25], line[25:-25], atol=1e-7)

    @pytest.mark.parametrize("centre", [-4.5, -3.0, -2.0])
    def test_a_logistic_fall_is_steepest_at_its_centre(self, centre):
        losses = 0.2 + 0.5 / (1 + np.exp(6 * (np.log10(RATES) - centre)))
        result = found(losses)
        assert result.falls
        assert np.log10(result.suggestion) == pytest.approx(centre, abs=0.03)

    def test_the_rise_after_the_minimum_plays_no_part(self):
        decades = np.log10(RATES)
        losses = 1 / (1 + np.exp(6 * (decades + 3))) + np.where(decades > -1, decades + 1, 0)
        losses[-5:] = [1, 0.9, 0.5, 0.2, 0.1]
        assert np.log10(found(losses).suggestion) == pytest.approx(-3, abs=0.03)

    def test_an_exploding_step_moves_nothing(self):
        losses = 0.2 + 0.5 / (1 + np.exp(6 * (np.log10(RATES[:90]) + 3)))
        calm, exploded = found(losses), found([*losses, 1e9], diverged=True)
        assert exploded.suggestion == calm.suggestion
        assert exploded.losses[-1] == 1e9
        assert exploded.smoothed.max() < 1

    @pytest.mark.parametrize("losses", [np.ones(121), 1 + RATES, 1 - 1e-5 * RATES])
    def test_without_a_fall_the_fallback_is_suggested(self, losses):
        result = found(losses)
        assert not result.falls
        assert result.suggestion == 0.123

    def test_scatter_is_no_fall(self):
        random = np.random.default_rng(0)
        falls = [found(1 + 0.2 * random.normal(size=121)).falls for _ in range(100)]
        assert np.mean(falls) < 0.1
        trend = 1 / (1 + np.exp(6 * (np.log10(RATES) + 3)))
        found_again = [found(trend + 0.2 * random.normal(size=121)) for _ in range(20)]
        assert all(result.falls for result in found_again)
        positions = [np.log10(result.suggestion) for result in found_again]
        np.testing.assert_allclose(positions, -3, atol=0.8)

    def test_the_steepest_fall_lies_before_the_minimum(self):
        rates = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1])
        # Mean slopes to both sides are −0.5, −1.5, −2 and −0.5.
        assert steepest_fall(rates, np.array([5.0, 4.5, 2.0, 0.5, 1.0])) == 2
        assert steepest_fall(rates, np.array([3.0, 2.0, 9.0, 8.0, 4.0])) == 0
        assert steepest_fall(rates, np.array([1.0, 9.0, 8.0, 4.0, 2.0])) is None

    def test_text(self):
        losses = 0.25 + 0.5 / (1 + np.exp(6 * (np.log10(RATES) + 3)))
        assert str(found(losses)) == (
            "learning rates 1e-06 … 1 in 121 steps, without divergence\n"
            "smallest loss 0.25 at 1\n"
            "suggestion 0.001 (steepest fall of the loss)"
        )
        assert "where the loss diverged" in str(found(losses, diverged=True))
        assert "suggestion 0.12 (the stage's own: no fall was found)" in str(found(np.ones(9)))


def linear_regression():
    """A head on averages of pixels, its data, and the features of a linear model."""
    images = keras.Input((2, 2, 3))
    network = keras.Model(images, keras.layers.Rescaling(1 / 255)(images))
    keras.utils.set_random_seed(0)
    model = tl.build_transfer_model(network, 1, head="regression")
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (8, 2, 2, 3)).astype(np.uint8)
    features = np.column_stack([x.mean(axis=(1, 2)) / 255, np.ones(8)])
    y = features @ [3.0, -2.0, 1.0, 0.5]
    return model, x, y, features


def test_losses_of_a_quadratic_are_those_of_momentum_by_hand():
    model, x, y, features = linear_regression()
    stage = tl.Stage(1, optimizer="sgd", weight_decay=0.0)
    result = find_learning_rate(
        model, (x, y), stage=stage, lowest=1e-3, highest=100, batch_size=8, verbose=False
    )
    # The loss is in units of the targets' variance.
    y = (y - y.mean()) / y.std()
    weights = np.concatenate([w.numpy().ravel() for w in model.head.trainable_weights])
    momentum, expected = np.zeros(4), []
    for rate in result.learning_rates:
        error = features @ weights - y
        expected.append(np.mean(error**2))
        gradient = 2 * features.T @ error / len(y)
        momentum = 0.9 * momentum - rate * gradient
        weights = weights + 0.9 * momentum - rate * gradient
    # Nesterov momentum is stable below 1.9 / (1.4 largest curvature). Above it the losses grow out
    # of what rounding left, which is another number on another processor.
    curvature = np.linalg.eigvalsh(2 * features.T @ features / len(y))[-1]
    stable = np.sum(np.array(result.learning_rates) < 1.9 / (1.4 * curvature))
    assert 30 < stable < len(result.losses) < 100
    np.testing.assert_allclose(result.losses[:stable], expected[:stable], rtol=1e-2, atol=1e-6)
    np.testing.assert_allclose(
        result.learning_rates, np.geomspace(1e-3, 100, 100)[: len(result.losses)]
    )
    curvature = np.linalg.eigvalsh(2 * features.T @ features / len(y)).max()
    largest_stable = (2 + 2 * 0.9) / (1 + 2 * 0.9) / curvature
    assert result.diverged and result.falls
    assert largest_stable < result.learning_rates[-1] < 5 * largest_stable
    assert result.suggestion < largest_stable


def state(model):
    return (
        [(variable.path, variable.numpy().tobytes()) for variable in model.variables],
        [layer.trainable for layer in model._flatten_layers()],
        [variable.trainable for variable in model.variables],
        getattr(model, "optimizer", None),
    )


@pytest.fixture
def model(network):
    built = tl.build_transfer_model(network, 3, head="mlp")
    for index, layer in enumerate(network.layers):
        layer.trainable = index % 3 > 0
    return built


@pytest.mark.parametrize(
    "stage",
    [
        None,
        tl.Stage(1, unfreeze=1, optimizer="sgd", learning_rates={"head": 1e-2}, accumulation=2),
        tl.Stage(
            1,
            unfreeze="all",
            batch_norm="update",
            layer_decay=0.5,
            ema_momentum=0.9,
            global_clipnorm=1.0,
        ),
    ],
)
def test_the_model_is_left_as_it_was(stage, model, blobs):
    before = state(model)
    result = find_learning_rate(model, blobs, stage=stage, steps=12, batch_size=15, verbose=False)
    assert state(model) == before
    assert len(np.unique(result.losses)) > 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_model_is_left_as_it_was_after_an_interruption(error, model, blobs, monkeypatch):
    changed = []

    def interrupt(*_):
        changed.append(state(model))
        if len(changed) == 3:
            raise error
        return 1.0

    before = state(model)
    monkeypatch.setattr(learning_rate_finder, "latest_smoothed", interrupt)
    stage = tl.Stage(1, unfreeze="all", batch_norm="update")
    with pytest.raises(error):
        find_learning_rate(model, blobs, stage=stage, steps=10, batch_size=15, verbose=False)
    assert all(now != then for now, then in zip(changed[2][:3], before[:3], strict=True))
    assert state(model) == before


def test_an_easy_problem_is_learnt(network, blobs):
    model = tl.build_transfer_model(network, 3)
    result = find_learning_rate(model, blobs, steps=60, batch_size=15, verbose=False)
    assert result.falls
    assert result.losses[:5].mean() > 2 * result.smoothed.min()
    assert 1e-4 < result.suggestion < 1


def test_the_same_seed_gives_the_same_losses(model, blobs):
    first, second, other = (
        find_learning_rate(model, blobs, steps=10, batch_size=10, seed=seed, verbose=False).losses
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


class Counting(keras.layers.Layer):
    """Counts the images that come by."""

    images = 0

    def count(self, images):
        Counting.images += len(images)
        return images

    def call(self, images):
        counted = tf.py_function(self.count, [images], images.dtype)
        return tf.ensure_shape(counted, images.shape)


def test_frozen_blocks_run_once_for_each_image(blobs, monkeypatch):
    images = keras.Input((16, 16, 3))
    network = keras.Model(images, tiny_network()(Counting()(images)))
    model = tl.build_transfer_model(network, 3)
    results = []
    for limit, steps, expected in ((2**30, 12, 30), (2**30, 10, 30), (0, 10, 10 * (10 + 30))):
        Counting.images = 0
        monkeypatch.setattr(learning_rate_finder, "MEMORY_LIMIT", limit)
        arguments = {"steps": steps, "batch_size": 10, "verbose": False, "highest": 1e-2}
        results.append(find_learning_rate(model, (blobs[0][:35], blobs[1][:35]), **arguments))
        assert Counting.images == expected
    np.testing.assert_allclose(results[1].losses[:3], results[2].losses[:3], rtol=1e-5)


def test_the_test_ends_where_the_loss_diverges(network, blobs):
    model = tl.build_transfer_model(network, 3)
    stage = tl.Stage(1, optimizer="sgd")
    result = find_learning_rate(
        model, blobs, stage=stage, highest=1e6, steps=60, batch_size=15, verbose=False
    )
    assert result.diverged
    assert len(result.losses) == len(result.learning_rates) == len(result.smoothed) < 60
    assert np.isfinite(result.losses).all()


def test_a_loss_that_never_falls_is_told(model, blobs):
    with pytest.warns(UserWarning, match=r"does not fall between 1e-12 and 1e-11, so .*, 0\.05\."):
        result = find_learning_rate(
            model,
            blobs,
            stage=tl.Stage(1, learning_rate=0.05),
            lowest=1e-12,
            highest=1e-11,
            steps=10,
            verbose=False,
        )
    assert not result.falls
    assert result.suggestion == 0.05


def test_broken_weights_are_told(network, blobs):
    network.get_layer("stem").kernel.assign(np.full((3, 3, 3, 8), np.nan))
    model = tl.build_transfer_model(network, 3)
    with pytest.raises(InputError, match="model: the loss is nan before the first update"):
        find_learning_rate(model, blobs, verbose=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stage": "head"}, r"stage: expected one tl\.Stage or None, got 'head'"),
        ({"steps": 5}, r"steps: expected at least 10, got 5"),
        ({"steps": 1.5}, r"steps: expected a whole number ≥ 1, got 1\.5"),
        ({"batch_size": 0}, r"batch_size: expected a whole number ≥ 1, got 0"),
        ({"lowest": 0}, r"lowest: expected 0 < lowest < highest, got lowest=0 and highest=1\.0"),
        ({"lowest": 1e-3, "highest": "1"}, r"lowest=0\.001 and highest='1'"),
        ({"stage": tl.Stage(1, unfreeze=99)}, r"unfreeze: expected at most \d+ blocks"),
    ],
)
def test_arguments_that_cannot_be_used(arguments, message, model, blobs):
    before = state(model)
    with pytest.raises(InputError, match=message):
        find_learning_rate(model, blobs, verbose=False, **arguments)
    assert state(model) == before


def test_models_and_data_that_cannot_be_used(network, blobs):
    with pytest.raises(InputError, match="model: expected one made by build_transfer_model"):
        find_learning_rate(network, blobs)
    with pytest.raises(InputError, match="model: it has no head"):
        find_learning_rate(tl.build_transfer_model(network), blobs)
    model = tl.build_transfer_model(network, 3)
    with pytest.raises(InputError, match="data: expected examples with labels"):
        find_learning_rate(model, blobs[0])


def test_strategies_are_refused(network, blobs, two_devices):
    message = "strategy: find_learning_rate runs on one device, with a model that was built out"
    model = tl.build_transfer_model(network, 3)
    with two_devices.scope():
        inside = tl.build_transfer_model(tiny_network(), 3)
        with pytest.raises(InputError, match=message):
            find_learning_rate(model, blobs)
    with pytest.raises(InputError, match=message):
        find_learning_rate(inside, blobs)


def test_a_saved_model_keeps_its_mode(network, blobs, tmp_path):
    network.export(tmp_path / "module", verbose=False)
    model = tl.build_transfer_model(str(tmp_path / "module"), 3, input_shape=(16, 16, 3))
    before = state(model)
    modes = [layer for layer in model._flatten_layers() if hasattr(layer, "inference_only")]
    assert [layer.inference_only for layer in modes] == [False]
    stage = tl.Stage(1, unfreeze="all")
    result = find_learning_rate(model, blobs, stage=stage, steps=10, batch_size=15, verbose=False)
    assert len(np.unique(result.losses)) > 5
    assert [layer.inference_only for layer in modes] == [False]
    assert state(model) == before


@pytest.mark.parametrize("unfreeze", [0, "all"])
def test_float16(unfreeze, blobs):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        network = tiny_network()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    model = tl.build_transfer_model(network, 3)
    before = state(model)
    stage = tl.Stage(1, unfreeze=unfreeze)
    result = find_learning_rate(model, blobs, stage=stage, steps=20, batch_size=15, verbose=False)
    assert result.falls
    assert state(model) == before
