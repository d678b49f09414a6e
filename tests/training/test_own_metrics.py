"""Metrics that users bring are measured on validation data in every epoch, as `evaluate` does."""

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.utils.errors import InputError

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 255, (26, 16, 16, 3)).astype(np.uint8)
Y = np.arange(26) % 3
HELD = (X[:11], Y[:11])
STAGES = (tl.Stage(2, unfreeze=0, learning_rate=1e-2), tl.Stage(1, unfreeze=1, learning_rate=1e-3))


def spread(targets, predictions):
    """No mean over examples, so that nothing but all of the data gives it."""
    return float(np.std(predictions) + np.max(targets) / len(targets))


def metrics():
    return [keras.metrics.F1Score(average="macro", name="f1"), spread]


def train(model, data=(X, Y), validation=HELD, **options):
    keras.utils.set_random_seed(0)
    options = {"schedule": STAGES, "batch_size": 4, "verbose": False, **options}
    return tl.fine_tune(model, data, validation, **options)


@pytest.mark.parametrize("strategy", ["one", "two"])
def test_they_are_those_of_evaluate_and_can_be_monitored(request, strategy):
    strategy = request.getfixturevalue("two_devices") if strategy == "two" else "one_device"
    model = tl.build_transfer_model(tiny_network(), 3)
    best = keras.callbacks.EarlyStopping(
        "val_spread", mode="max", patience=9, restore_best_weights=True
    )
    run = train(model, strategy=strategy, metrics=metrics(), callbacks=[best])
    assert len(run.history["val_f1"]) == len(run.history["val_spread"]) == 3
    assert run.best_epoch == int(np.argmax(run.history["val_spread"]))
    report = tl.evaluate(model, HELD, metrics=metrics(), verbose=False)
    for name in ("f1", "spread"):
        assert run.history[f"val_{name}"][run.best_epoch] == pytest.approx(report[name], abs=1e-5)


def test_nothing_else_changes():
    alone, beside = (tl.build_transfer_model(tiny_network(), 3) for _ in range(2))
    first, second = train(alone), train(beside, metrics=metrics())
    assert first.history["val_loss"] == second.history["val_loss"]
    for one, other in zip(alone.get_weights(), beside.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_values_are_in_their_own_unit_and_rows_without_a_label_do_not_count():
    y = {"size": 1e5 + 100 * RANDOM.random(26), "kind": Y.astype(float)}
    held = {"size": np.where(np.arange(11) % 4, y["size"][:11], np.nan), "kind": y["kind"][:11]}
    seen = []

    def largest(targets, predictions):
        seen.append(len(targets))
        return float(targets.max())

    model = tl.build_transfer_model(
        tiny_network(), {"size": 1, "kind": 3}, head={"size": "regression", "kind": "linear"}
    )
    run = train(
        model,
        (X, y),
        (X[:11], held),
        schedule=tl.Stage(1),
        objectives=[tl.objectives.MultiTask()],
        metrics={"size": [largest]},
    )
    assert seen == [8]
    assert run.history["val_size_largest"] == pytest.approx([np.nanmax(held["size"])], rel=1e-6)


def test_what_cannot_be_measured_is_refused_before_training():
    model = tl.build_transfer_model(tiny_network(), 3)
    with pytest.raises(InputError, match="metrics: they are measured on validation data"):
        train(model, validation=None, metrics=metrics())
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    with pytest.raises(InputError, match="'accuracy' is measured anyway, as val_accuracy"):
        train(model, metrics=[accuracy])
    with pytest.raises(InputError, match=r"expected a keras\.metrics\.Metric"):
        train(model, metrics=["f1"])
