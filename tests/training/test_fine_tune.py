import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.training import trainer
from tl_keras.utils.errors import InputError

LABELS = ("red", "green", "blue")


def new_model(**arguments) -> tl.TransferModel:
    return tl.build_transfer_model(tiny_network(), 3, class_names=LABELS, **arguments)


def weights(model) -> list[np.ndarray]:
    return [w.numpy() for w in model.weights]


def largest_difference(a, b) -> float:
    return max(float(np.abs(x - y).max()) for x, y in zip(weights(a), weights(b), strict=True))


def test_a_run_learns_and_leaves_its_files(blobs, tmp_path, monkeypatch):
    x, y = blobs
    carried = []
    original = trainer.carry_slots
    monkeypatch.setattr(trainer, "carry_slots", lambda old, new: carried.append(original(old, new)))
    schedule = (tl.Stage(10, learning_rate=3e-2), tl.Stage(6, unfreeze="all", learning_rate=3e-3))
    output = tmp_path / "run"
    run = tl.fine_tune(
        new_model(), blobs, (x[:9], y[:9]), schedule=schedule, output=output, verbose=False
    )
    assert run.history["val_accuracy"][-1] == 1.0
    assert {len(values) for values in run.history.values()} == {16}
    assert run.stage_starts == (0, 10)
    # The head's kernel and bias have a first and a second moment each.
    assert carried == [0, 4]
    assert run.best_epoch == int(np.argmin(run.history["val_loss"]))
    line = f"Run(16 epochs in 2 stages, best epoch {run.best_epoch + 1}: loss "
    assert repr(run).startswith(line) and repr(run).endswith(f"{str(output)!r})")
    assert "\n" not in repr(run)
    config = json.loads((output / "config.json").read_text())
    assert config["training_examples"] == 45 and len(config["stages"]) == 2
    assert json.loads((output / "history.json").read_text()) == run.history
    assert (output / "curves.png").stat().st_size > 5000
    loaded = tl.load_run_model(output)
    images = x.astype(np.float32)
    assert np.array_equal(loaded(images), run.model(images))
    best = new_model()
    best.load_weights(output / "best.weights.h5")
    assert largest_difference(best, run.model) == 0
    with pytest.raises(InputError, match="holds a run with other settings"):
        tl.fine_tune(new_model(), blobs, output=output, verbose=False)
    with pytest.raises(InputError, match="already holds a run, which is not overwritten"):
        tl.fine_tune(new_model(), blobs, output=output, resume=False, verbose=False)


def test_the_model_ends_with_the_best_validation_weights(blobs):
    x, y = blobs
    labels = y[:12].copy()
    labels[:2] = (labels[:2] + 1) % 3  # with two wrong labels, confidence costs more and more
    held_out = x[:12], labels
    run = tl.fine_tune(
        new_model(),
        blobs,
        held_out,
        schedule=tl.Stage(8, unfreeze="all", learning_rate=0.3, optimizer="sgd", decay="constant"),
        verbose=False,
    )
    log_loss = tl.evaluate(run.model, held_out, verbose=False).metrics["log_loss"]
    best = min(run.history["val_loss"])
    assert log_loss == pytest.approx(best, rel=1e-4)
    assert run.best_epoch == np.argmin(run.history["val_loss"])
    assert run.history["val_loss"][-1] > best + 1


def test_one_step_of_sgd_is_the_gradient_of_the_mean_loss(blobs):
    x, y = blobs
    weight = np.array([0.5, 1.0, 2.0], "float32")
    model, twin = new_model(), new_model()
    stage = tl.Stage(
        1, unfreeze="all", optimizer="sgd", learning_rate=0.1, weight_decay=0.0, decay="constant"
    )
    tl.fine_tune(
        model,
        blobs,
        schedule=stage,
        batch_size=45,
        class_weight={"red": 0.5, "green": 1.0, "blue": 2.0},
        label_smoothing=0.1,
        verbose=False,
    )
    twin.trainable = True
    for layer in twin._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    with tf.GradientTape() as tape:
        targets = np.eye(3, dtype="float32")[y] * 0.9 + 0.1 / 3
        losses = -tf.reduce_sum(targets * tf.nn.log_softmax(twin.logits(tf.constant(x))), axis=1)
        # The weight of an example is that of its own class.
        loss = tf.reduce_mean(losses * weight[y])
    variables = twin.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        # The first step of Nesterov momentum 0.9 is 1.9 gradients long.
        variable.assign_sub(0.1 * 1.9 * gradient)
    assert largest_difference(model, twin) < 1e-6


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_two_devices_equal_one(blobs, optimizer, two_devices):
    first = tl.Stage(2, unfreeze=2, learning_rate=1e-3, optimizer=optimizer)
    if optimizer == "sgd":
        head = tl.Stage(2, learning_rate=1e-2, optimizer=optimizer, decay="constant")
        schedule = (head, first)
    else:
        schedule = (first, dataclasses.replace(first, unfreeze="all"))
    models, histories = [], []
    for strategy in ("one_device", two_devices):
        model = new_model()
        run = tl.fine_tune(
            model, blobs, schedule=schedule, strategy=strategy, batch_size=16, verbose=False
        )
        models.append(model)
        histories.append(run.history)
    # Batches of 16, 16 and 13: the last one is split 7 and 6. Adam divides by the root of a
    # squared gradient, so rounding of the smallest gradients shows in its last digits.
    assert largest_difference(*models) < (1e-6 if optimizer == "sgd" else 2e-5)
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-5)


def test_a_model_built_in_the_strategys_scope_is_trained_itself(blobs, two_devices):
    with two_devices.scope():
        model = new_model()
        run = tl.fine_tune(model, blobs, schedule=tl.Stage(3), verbose=False)
    assert run.model is model and run.history["loss"][-1] < run.history["loss"][0]


def test_computed_features_train_the_head_like_images(blobs):
    models = []
    for augmentation in (None, keras.layers.Identity()):
        model = new_model()
        stage = tl.Stage(5, learning_rate=1e-2)
        tl.fine_tune(model, blobs, schedule=stage, augmentation=augmentation, verbose=False)
        models.append(model)
    assert largest_difference(*models) < 1e-5


def test_early_stopping_ends_the_stage_with_its_best_weights(blobs):
    x, y = blobs
    stage = tl.Stage(40, unfreeze="all", learning_rate=0.3, optimizer="sgd", decay="constant")
    run = tl.fine_tune(
        new_model(), blobs, (x[:12], y[:12]), schedule=stage, early_stopping=3, verbose=False
    )
    epochs = len(run.history["loss"])
    assert epochs < 40 and run.best_epoch == epochs - 4


def test_keras_callbacks_work(blobs, tmp_path):
    x, y = blobs
    path = tmp_path / "checkpoint.keras"
    seen = []
    callbacks = [
        keras.callbacks.ModelCheckpoint(path, monitor="val_loss", save_best_only=True),
        keras.callbacks.EarlyStopping(monitor="loss", patience=0, min_delta=100.0),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs)),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    run = tl.fine_tune(
        new_model(), blobs, (x, y), schedule=tl.Stage(9), callbacks=callbacks, verbose=False
    )
    assert len(run.history["loss"]) == len(seen) < 9
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"} <= set(seen[0])
    assert len((tmp_path / "log.csv").read_text().splitlines()) == len(seen) + 1
    keras.saving.load_model(path)


@pytest.mark.parametrize("form", ["integers", "names", "one-hot", "dataset", "folder"])
def test_every_form_of_data_trains_the_same_head(blobs, form, tmp_path):
    x, y = blobs
    data = {
        "integers": (x, y),
        "names": (x, np.array(LABELS)[y]),
        "one-hot": (x, np.eye(3)[y]),
        "dataset": tf.data.Dataset.from_tensor_slices((x, y)).batch(7),
    }.get(form)
    if form == "folder":
        for index, (image, label) in enumerate(zip(x, y, strict=True)):
            path = tmp_path / LABELS[label] / f"{index:02}.png"
            path.parent.mkdir(exist_ok=True)
            keras.utils.save_img(path, image, scale=False)
        data = tl.data.image_folder(tmp_path, image_size=16)
    model = new_model()
    tl.fine_tune(model, data, schedule=tl.Stage(30, learning_rate=0.2), verbose=False)
    found = np.argmax(model(x.astype(np.float32)), axis=1)
    assert np.mean(found == y) > 0.95


def test_the_first_step_is_read_on_a_clock_that_has_just_started(blobs, monkeypatch):
    monkeypatch.setattr("tl_keras.training.stage_epochs.time.perf_counter", lambda: 0.0)
    run = tl.fine_tune(new_model(), blobs, schedule=tl.Stage(1), batch_size=8, verbose=False)
    assert np.isfinite(run.history["loss"][0])
