"""Regression heads learn in standard units and predict in the user's, whatever these are."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import RidgeCV

import tl_keras as tl
from tests.training.crashes import CrashAtOnce, Stop
from tl_keras.data.labels import encode_labels_in_graph
from tl_keras.tasks.targets import TargetSpec
from tl_keras.training.outlying_targets import _outlying
from tl_keras.training.ridge import STRENGTHS, ridge_regression
from tl_keras.utils.errors import InputError


def wide_network(channels=96):
    """A random network without training, whose averaged features are many and correlated."""
    images = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    x = keras.layers.Conv2D(channels, 5, strides=2, activation="relu")(x)
    return keras.Model(images, x)


def photographs(seed=0, count=160):
    """Images of random brightness and contrast, and both."""
    random = np.random.default_rng(seed)
    level = random.uniform(60, 190, (count, 1, 1, 1))
    width = random.uniform(5, 60, (count, 1, 1, 1))
    x = np.clip(random.normal(level, width, (count, 16, 16, 3)), 0, 255).astype(np.uint8)
    return x, x.mean((1, 2, 3)), x.std((1, 2, 3))


def r2(y, found):
    """Return the share of the variance that is explained, of each output."""
    return 1 - np.mean((y - found) ** 2, axis=0) / np.var(y, axis=0)


def predicted(model, x):
    """Return predictions without a graph: to trace one takes longer than to run the model."""
    return np.asarray(model(x.astype(np.float32)))


def build(seed=0, outputs=1, **arguments):
    keras.utils.set_random_seed(seed)
    head = tl.heads.regression(**arguments)
    return tl.build_transfer_model(wide_network(), outputs, head=head)


def test_by_default_predictions_are_as_good_as_ridge_regression_in_any_unit():
    x, brightness, _ = photographs(1)
    y = np.stack([brightness, 1e5 * brightness + 1e7, 1e-5 * brightness], axis=1)
    model = build(1, outputs=3)
    run = tl.fine_tune(model, (x[:80], y[:80]), schedule=tl.Stage(30), verbose=False)
    features = np.asarray(model.features(tf.constant(x)))
    ridge = RidgeCV(np.logspace(-6, 3, 19), alpha_per_target=True).fit(features[:80], y[:80])
    found = predicted(model, x)
    assert np.all(r2(y[80:], found[80:]) > r2(y[80:], ridge.predict(features[80:])) - 0.05)
    # The loss is in units of the variance, the error in the data's.
    assert 0 < run.history["loss"][-1] < 1 / 3
    error = np.abs(found[:80] - y[:80]).mean()
    assert run.history["mae"][-1] == pytest.approx(error, rel=0.2)


def test_the_default_schedule_is_no_worse_than_ridge_regression():
    x, _, contrast = photographs(4)
    model = build(4)
    tl.fine_tune(model, (x[:80], contrast[:80] * 1e3), verbose=False)
    features = np.asarray(build(4).features(tf.constant(x)))
    ridge = RidgeCV(np.logspace(-6, 3, 19)).fit(features[:80], contrast[:80]).predict(features[80:])
    found = predicted(model, x[80:])[:, 0]
    assert r2(contrast[80:] * 1e3, found) > r2(contrast[80:], ridge) - 0.05


def test_every_output_has_units_of_its_own_and_those_reach_files_and_exports(tmp_path):
    x, brightness, contrast = photographs()
    y = np.stack([brightness + 1e6, contrast * 1e-4], axis=1)
    model = build(outputs=2)
    run = tl.fine_tune(
        model, (x, y), (x, y), schedule=tl.Stage(3), output=tmp_path / "run", verbose=False
    )
    layer = model.target_scales[""]
    np.testing.assert_allclose(layer.mean, y.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(layer.scale, y.std(axis=0), rtol=1e-5)
    found = predicted(model, x)
    assert np.all(r2(y, found) > 0.5)
    np.testing.assert_allclose(
        run.history["val_mae"][run.best_epoch], np.abs(found - y).mean(), rtol=2e-2
    )
    for copy in (
        keras.saving.load_model(tmp_path / "run" / "model.keras"),
        tl.fine_tune(  # A finished run is returned.
            build(outputs=2),
            *((x, y), (x, y)),
            schedule=tl.Stage(3),
            output=tmp_path / "run",
            verbose=False,
        ).model,
        tl.uniform_soup([model, model_of(build(outputs=2), model)]),
    ):
        np.testing.assert_allclose(predicted(copy, x), found, rtol=1e-6)
    tl.export.saved_model(model, tmp_path / "export")
    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    values = served(images=tf.constant(x, tf.float32))["values"]
    np.testing.assert_allclose(values, found, rtol=1e-5)
    tl.export.tflite(model, tmp_path / "model.tflite")
    lite = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    lite.allocate_tensors()
    lite.set_tensor(lite.get_input_details()[0]["index"], x[:1].astype(np.float32))
    lite.invoke()
    values = lite.get_tensor(lite.get_output_details()[0]["index"])
    np.testing.assert_allclose(values, found[:1], rtol=1e-5)


def model_of(copy, model):
    copy.set_weights(model.get_weights())
    return copy


def test_models_in_other_units_make_one_soup():
    x, y, _ = photographs(count=40)
    first, second = build(), build()
    tl.fine_tune(first, (x[:20], y[:20]), schedule=tl.Stage(2), verbose=False)
    tl.fine_tune(second, (x[20:], y[20:]), schedule=tl.Stage(2), verbose=False)
    # The backbone is the same, and heads are linear: the mean of weights is that of predictions.
    expected = (predicted(first, x) + predicted(second, x)) / 2
    soup = tl.uniform_soup([first, second])
    np.testing.assert_allclose(predicted(soup, x), expected, rtol=1e-4)
    average = tl.build_fusion_model([first, second], how="average")
    np.testing.assert_allclose(predicted(average, x), expected, rtol=1e-4)


def test_digits_that_float32_has_not_are_kept():
    y = 1e7 + np.arange(4) / 100
    spec = TargetSpec("regression", 1, standard=((1e7,), (0.01,)))
    np.testing.assert_allclose(spec.encode(y)[:, 0], [0, 1, 2, 3], rtol=1e-6)
    in_graph = encode_labels_in_graph(tf.constant(y, tf.float64), spec)
    np.testing.assert_allclose(in_graph[:, 0], [0, 1, 2, 3], rtol=1e-6)


def test_units_are_those_of_the_labelled_examples_of_all_domains():
    x, y, _ = photographs(count=24)
    some = y[12:].copy()
    some[::2] = np.nan
    model = build()
    data = {"source": (x[:12], y[:12]), "target": (x[12:], some)}
    tl.fine_tune(model, data, schedule=tl.Stage(1), verbose=False)
    known = np.concatenate([y[:12], y[13::2]])
    layer = model.target_scales[""]
    np.testing.assert_allclose([layer.mean[0], layer.scale[0]], [known.mean(), known.std()], 1e-5)


def test_two_devices_start_from_the_same_head_as_one(two_devices):
    x, y, _ = photographs(count=23)
    colour = np.arange(23) % 3
    found = []
    for strategy in ("one_device", two_devices):
        keras.utils.set_random_seed(0)
        model = tl.build_transfer_model(
            wide_network(), {"colour": 3, "size": 1}, head={"size": "regression"}
        )
        data = (x, {"colour": colour, "size": y})
        stage = tl.Stage(2, optimizer="sgd")
        tl.fine_tune(model, data, schedule=stage, strategy=strategy, batch_size=6, verbose=False)
        found.append(model(x.astype(np.float32))["size"])
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_a_model_that_is_trained_again_keeps_its_units():
    x, y, _ = photographs(count=24)
    model = build()
    tl.fine_tune(model, (x, y), schedule=tl.Stage(1), verbose=False)
    before = [w.numpy() for w in model.target_scales[""].weights]
    tl.fine_tune(model, (x[:9], y[:9] + 5), schedule=tl.Stage(1), verbose=False)
    for own, old in zip(model.target_scales[""].weights, before, strict=True):
        np.testing.assert_array_equal(own, old)
    with pytest.warns(UserWarning, match="keeps its units, was made for"), pytest.raises(Stop):
        tl.fine_tune(model, (x, 1e4 * y), callbacks=CrashAtOnce(), verbose=False)


def test_units_that_were_given_are_kept():
    x, y, _ = photographs(count=24)
    model = build(target_mean=100, target_scale=50)
    model = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    tl.fine_tune(model, (x, y), schedule=tl.Stage(1), verbose=False)
    layer = model.target_scales[""]
    assert (float(layer.mean[0]), float(layer.scale[0])) == (100, 50)
    with pytest.raises(InputError, match="target_mean: it and target_scale are given together"):
        tl.heads.regression(target_mean=3)
    arrays = tl.heads.regression(target_mean=np.array([1, 2]), target_scale=np.array([3, 4]))
    assert arrays == tl.heads.regression(target_mean=(1.0, 2.0), target_scale=(3.0, 4.0))
    with pytest.raises(InputError, match=r"head: target_mean has 3 numbers for 2 outputs"):
        build(outputs=2, target_mean=(1, 2, 3), target_scale=1)


def test_a_head_that_keras_trained_predicts_what_it_did_when_units_come():
    x, y, _ = photographs(count=24)
    model = build()
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(x, y[:, None] / 100, verbose=0)
    before = predicted(model, x)
    stage = tl.Stage(1, optimizer="sgd", learning_rate=1e-30, weight_decay=0)
    tl.fine_tune(model, (x, y / 100), schedule=stage, verbose=False)
    assert float(model.target_scales[""].mean[0]) == pytest.approx(y.mean() / 100)
    np.testing.assert_allclose(predicted(model, x), before, rtol=1e-4)


def test_what_cannot_be_learned_or_shown_is_said():
    x, y, _ = photographs(count=24)
    with pytest.warns(UserWarning, match="all values of output 0 are 7, which leaves nothing"):
        model = build()
        tl.fine_tune(model, (x, np.full(24, 7.0)), schedule=tl.Stage(1), verbose=False)
    np.testing.assert_allclose(predicted(model, x), 7.0, atol=0.2)
    with pytest.warns(UserWarning, match="predictions are float32, in steps"), pytest.raises(Stop):
        tl.fine_tune(build(), (x, 1e9 + y), callbacks=CrashAtOnce(), verbose=False)


@pytest.mark.parametrize("absurd", [-9999.0, 1e6, -999.0])
def test_a_mark_of_a_missing_value_is_named(absurd):
    x, y, _ = photographs(count=60)
    y[17] = absurd
    said = re.escape(f"target {absurd:g} in row 17 is far from")
    with pytest.warns(UserWarning, match=said), pytest.raises(Stop):
        tl.fine_tune(build(), (x, y), callbacks=CrashAtOnce(), verbose=False)


def test_usual_values_are_not_taken_for_marks():
    for seed in range(20):
        random = np.random.default_rng(seed)
        usual = random.normal(size=500), random.exponential(size=500), random.lognormal(size=500)
        for values in (*usual, random.poisson(0.2, 500), np.ones(9), np.zeros(0)):
            assert _outlying(np.asarray(values, float)) is None


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
def test_the_start_is_what_ridge_regression_of_scikit_learn_gives(shape):
    random = np.random.default_rng(0)
    x = random.normal(3, 1, shape) @ random.normal(0, 1, (shape[1], shape[1]))
    y = np.stack([x @ random.normal(0, 1, shape[1]) + random.normal(0, 2, shape[0])] * 2, axis=1)
    y[:, 1] = random.normal(5, 1, shape[0])  # Nothing but noise: another strength.
    kernel, bias, center, spread = ridge_regression(x, y)
    scaled = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0).sum())
    reference = RidgeCV(STRENGTHS * len(x), alpha_per_target=True).fit(scaled, y)
    np.testing.assert_allclose(
        (x - center) / spread @ kernel + bias, reference.predict(scaled), rtol=1e-6, atol=1e-6
    )
