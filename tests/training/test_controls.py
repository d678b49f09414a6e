"""Accumulation, moving averages, clipping, and losses that are no numbers."""

import re

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.objectives import Supervised
from tl_keras.training import checks
from tl_keras.training.step.averaging import WeightAverage
from tl_keras.utils.errors import InputError


def train(blobs, stage, data=None, **arguments):
    x, y = blobs
    keras.utils.set_random_seed(0)
    model = tl.build_transfer_model(tiny_network(), 3)
    arguments = {"batch_size": 15, "verbose": False, "cache": None, **arguments}
    return tl.fine_tune(model, (x, y) if data is None else data, schedule=stage, **arguments)


def test_accumulated_slices_are_one_batch_on_one_device_and_on_two(blobs, two_devices):
    def weights(accumulation, strategy):
        stage = tl.Stage(
            2, unfreeze="all", optimizer="sgd", learning_rate=1e-2, accumulation=accumulation
        )
        return train(blobs, stage, strategy=strategy).model.get_weights()

    # Batches of 15 are cut into 8 and 7, or for two devices into 4, 4, 4 and 3.
    whole = weights(1, "one_device")
    for strategy in ("one_device", two_devices):
        for one, sliced in zip(whole, weights(2, strategy), strict=True):
            np.testing.assert_allclose(sliced, one, atol=2e-6)


def test_the_model_ends_with_the_moving_average(blobs):
    class Trace(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.kernels = []

        def on_train_batch_end(self, batch, logs=None):
            self.kernels.append(self.model.head.trainable_weights[0].numpy())

    trace, momentum = Trace(), 0.2
    stage = tl.Stage(2, learning_rate=0.05, ema_momentum=momentum)
    keras.utils.set_random_seed(0)
    average = tl.build_transfer_model(tiny_network(), 3).head.trainable_weights[0].numpy()
    run = train(blobs, stage, callbacks=[trace])
    assert len(trace.kernels) == 6
    for step, kernel in enumerate(trace.kernels):
        share = min(momentum, (1 + step) / (10 + step))
        average = share * average + (1 - share) * kernel
    np.testing.assert_allclose(run.model.head.trainable_weights[0].numpy(), average, atol=1e-6)
    assert np.abs(average - trace.kernels[-1]).max() > 1e-3


def test_after_100_steps_nothing_of_the_beginning_is_left_in_the_average():
    """The weight goes from 0 to 1 in the first step and stays; a plain average has .095 of it."""
    weight = keras.Variable(0.0)
    average = WeightAverage([weight], 0.999)
    weight.assign(1.0)
    for _ in range(100):
        average.update(True)
    average.finish()
    assert float(weight.numpy()) == pytest.approx(1.0, abs=1e-6)


def test_statistics_that_update_are_averaged_with_the_weights(blobs):
    """What is kept predicts as the average of every step's weights and statistics does."""

    class Trace(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if not values:
                self.on_train_batch_end(batch)

        def on_train_batch_end(self, batch, logs=None):
            values.append([w.numpy() for w in self.model.weights])

    values = []
    stage = tl.Stage(2, unfreeze="all", batch_norm="update", learning_rate=0.05, ema_momentum=0.2)
    run = train(blobs, stage, callbacks=[Trace()])
    average, names = values[0], [weight.path for weight in run.model.weights]
    for step, later in enumerate(values[1:]):
        share = min(0.2, (1 + step) / (10 + step))
        average = [share * a + (1 - share) * w for a, w in zip(average, later, strict=True)]
    moved = 0
    for name, found, expected, last in zip(
        names, run.model.get_weights(), average, values[-1], strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=2e-5, err_msg=name)
        moved += "moving" in name and np.abs(expected - last).max() > 1e-4
    assert len(values) == 7 and moved == 6


def test_validation_measures_the_moving_average(blobs):
    x, y = blobs
    run = train(blobs, tl.Stage(3, learning_rate=0.05, ema_momentum=0.8), validation=(x, y))
    report = tl.evaluate(run.model, (x, y), verbose=False)
    np.testing.assert_allclose(report.metrics["log_loss"], min(run.history["val_loss"]), rtol=1e-4)


def test_clipping_bounds_the_update(blobs):
    class Kernel(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.before = [w.numpy() for w in self.model.trainable_weights]

        def on_train_batch_end(self, batch, logs=None):
            after = [w.numpy() for w in self.model.trainable_weights]
            moved = sum(((a - b) ** 2).sum() for a, b in zip(after, self.before, strict=True))
            moves.append(np.sqrt(moved))

    moves = []
    stage = tl.Stage(
        1,
        optimizer="sgd",
        learning_rate=1.0,
        global_clipnorm=1e-3,
        weight_decay=0.0,
        decay="constant",
    )
    train(blobs, stage, callbacks=[Kernel()])
    # The first step of Nesterov momentum 0.9 moves by 1.9 times the clipped gradient.
    np.testing.assert_allclose(moves[0], 1.9e-3, rtol=1e-3)


class Fragile(Supervised):
    """Gives NaN for examples with huge features."""

    def losses(self, batch):
        huge = keras.ops.max(keras.ops.abs(batch["data"].feature_map)) > 1e9
        return {"loss": keras.ops.where(huge, np.nan, super().losses(batch)["loss"])}


@pytest.mark.parametrize(("batch_size", "named"), [(1, r"Its batch: row 11\."), (9, "and 5 more")])
def test_a_loss_that_is_no_number_names_step_and_batch_and_leaves_the_weights_as_they_were(
    blobs, batch_size, named
):
    x, y = blobs
    x = x.astype(np.float32)
    x[11] = 1e30
    keras.utils.set_random_seed(0)
    model = tl.build_transfer_model(tiny_network(), 3)
    before = model.get_weights()
    with pytest.raises(InputError, match=r"loss became nan in epoch 1, step \d+\.") as caught:
        tl.fine_tune(
            model,
            (x, y),
            schedule=tl.Stage(2, unfreeze="all"),
            objectives=[Fragile()],
            batch_size=batch_size,
            verbose=False,
        )
    assert re.search(named, str(caught.value)) and "learning_rate" in str(caught.value)
    for weight, was in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, was)


def test_after_it_the_model_has_its_best_weights(blobs):
    class Explode(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                kernel = self.model.head.trainable_weights[0]
                kernel.assign(kernel * np.nan)

        def on_epoch_end(self, epoch, logs=None):
            losses.append(logs["val_loss"])

    losses = []
    x, y = blobs
    keras.utils.set_random_seed(0)
    model = tl.build_transfer_model(tiny_network(), 3)
    with pytest.raises(InputError, match="epoch 3, step 1"):
        tl.fine_tune(
            model,
            (x, y),
            (x, y),
            schedule=tl.Stage(4, learning_rate=1e-2),
            callbacks=[Explode()],
            verbose=False,
        )
    kept = tl.evaluate(model, (x, y), verbose=False)
    assert len(losses) == 2 and losses[1] < losses[0]
    np.testing.assert_allclose(kept.metrics["log_loss"], losses[1], rtol=1e-4)


@pytest.mark.parametrize(
    ("stage", "arguments", "text"),
    [
        (tl.Stage(1, accumulation=16), {}, "batch_size: 15 examples cannot be cut"),
        (
            tl.Stage(1, unfreeze="all", batch_norm="update", accumulation=2),
            {},
            "accumulation: with batch_norm='update'",
        ),
        (tl.Stage(1), {"cache": tl.FeatureCache(views=2)}, "cache: views=2 stores augmented"),
    ],
)
def test_what_cannot_work_is_refused_before_training(blobs, stage, arguments, text):
    with pytest.raises(InputError, match=text):
        train(blobs, stage, **arguments)


def test_steps_that_loss_scaling_skips_do_not_count():
    kernel = keras.Variable(np.ones((2, 2), "float32"), name="kernel")
    average = WeightAverage([kernel], 0.9)
    kernel.assign(3.0 * kernel.value)
    average.update(False)
    with average.in_place():
        np.testing.assert_array_equal(kernel.numpy(), np.ones((2, 2)))
    np.testing.assert_array_equal(kernel.numpy(), np.full((2, 2), 3.0))
    average.update(True)
    average.finish()
    np.testing.assert_allclose(kernel.numpy(), np.full((2, 2), 0.1 + 0.9 * 3.0), rtol=1e-6)


def test_stop_training_ends_the_stage_after_the_step(blobs):
    class Stop(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            self.model.stop_training = True

    stop = Stop()
    train(blobs, (tl.Stage(3), tl.Stage(2)), callbacks=[stop])
    assert stop.steps == 2


def test_a_compiled_model_stays_compiled(blobs):
    x, y = blobs
    model = tl.build_transfer_model(tiny_network(), 3)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    tl.fine_tune(model, (x, y), schedule=tl.Stage(1), verbose=False)
    model.fit(x, y, epochs=1, verbose=0)


def test_losses_of_frozen_layers_do_not_disturb_the_store(blobs):
    images = keras.Input((16, 16, 3))
    hidden = keras.layers.Conv2D(
        4, 3, strides=2, name="block1_conv", activity_regularizer=keras.regularizers.L2(1e-3)
    )(images)
    network = keras.Model(images, keras.layers.Conv2D(4, 3, name="block2_conv")(hidden))
    model = tl.build_transfer_model(network, 3)
    run = tl.fine_tune(model, blobs, schedule=tl.Stage(2, unfreeze=1), verbose=False)
    assert np.isfinite(run.history["loss"]).all()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"seed": 1.5}, "seed: expected a whole number"),
        ({"checkpoints": 60}, r"checkpoints: expected tl\.Checkpoints"),
        ({"cache": False}, r"cache: expected tl\.FeatureCache"),
        ({"callbacks": [print]}, "callbacks: expected objects of"),
        (
            {"callbacks": [keras.callbacks.ReduceLROnPlateau()]},
            "callbacks: ReduceLROnPlateau sets the learning rate",
        ),
        ({"data": (np.zeros((6, 8, 8, 3)), [0, 1, 2] * 2)}, r"data: the model takes inputs of"),
    ],
)
def test_arguments_of_another_kind_are_refused(blobs, tmp_path, arguments, text):
    with pytest.raises(InputError, match=text):
        train(blobs, tl.Stage(1), output=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


def test_tensorboard_without_its_package_is_refused(blobs, monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "_is_installed", lambda package: False)
    board = keras.callbacks.TensorBoard(tmp_path / "logs")
    with pytest.raises(InputError, match="callbacks: TensorBoard needs the package tensorboard"):
        train(blobs, tl.Stage(1), callbacks=board)


def test_a_wrong_second_stage_is_found_before_the_first_one_trains(blobs):
    stages = (tl.Stage(1), tl.Stage(1, unfreeze=1, learning_rates={"blok*": 1e-3}))
    with pytest.raises(InputError, match="learning_rates: no block is named like 'blok"):
        train(blobs, stages)
