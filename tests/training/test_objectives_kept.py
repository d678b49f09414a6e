"""Layers of an objective's own end with the epoch that the model ends with, and come back."""

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tests.training.crashes import Crash, Stop
from tl_keras import objectives as found
from tl_keras.objectives import Objective, Supervised
from tl_keras.utils.errors import InputError

STAGE = {"unfreeze": "all", "learning_rate": 0.3, "optimizer": "sgd", "decay": "constant"}


class Reading(Objective):
    """Has a layer that learns the brightness of images from the features."""

    reads_images = True

    def begin(self, setup):
        self.layer = keras.layers.Dense(1, name="reading", kernel_initializer="ones")
        self.layer.build((None, setup.num_features))

    def networks(self):
        return {"reading": self.layer}

    def losses(self, batch):
        domain = batch["data"]
        brightness = keras.ops.mean(keras.ops.cast(domain.x, "float32"), axis=(1, 2, 3)) / 255
        error = self.layer(domain.features)[:, 0] - brightness
        return {"loss": domain.mean(keras.ops.tanh(keras.ops.square(error)))}


def train(blobs, epochs, objective, **arguments):
    x, y = blobs
    labels = y[:12].copy()
    labels[:2] = (labels[:2] + 1) % 3  # with two wrong labels, confidence costs more and more
    return tl.fine_tune(
        tl.build_transfer_model(tiny_network(), 3),
        {"data": blobs},
        {"data": (x[:12], labels)},
        objectives=[Supervised(), objective],
        schedule=tl.Stage(epochs, **STAGE),
        verbose=False,
        **arguments,
    )


def test_they_are_those_of_the_best_epoch_and_a_finished_run_gives_them_back(blobs, tmp_path):
    kept, first, again = Reading(), Reading(), Reading()
    run = train(blobs, 3, kept, output=tmp_path)
    assert run.best_epoch == 0
    train(blobs, 1, first)
    for one, other in zip(kept.layer.weights, first.layer.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)

    train(blobs, 3, again, output=tmp_path)
    assert np.abs(again.layer.kernel - 1).max() > 1e-3
    for one, other in zip(again.layer.weights, kept.layer.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    (tmp_path / "objectives.zip").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="objectives.zip is damaged"),
        pytest.raises(InputError, match=r"output: .*objectives\.zip' cannot be read"),
    ):
        train(blobs, 3, Reading(), output=tmp_path)


def test_they_train_with_the_heads_learning_rate(blobs):
    def moved(**stage):
        model, own = tl.build_transfer_model(tiny_network(), 3), Reading()
        sgd = {"optimizer": "sgd", "decay": "constant", "weight_decay": 0.0}
        tl.fine_tune(
            model,
            {"data": blobs},
            objectives=[Supervised(), own],
            schedule=tl.Stage(1, learning_rate=0.01, **sgd, **stage),
            batch_size=45,
            cache=None,
            verbose=False,
        )
        return own.layer.kernel.numpy() - 1.0

    plain = moved()
    assert np.abs(plain).max() > 1e-5
    np.testing.assert_allclose(moved(learning_rates={"head": 0.04}), 4 * plain, atol=1e-6)


def source_head():
    head = keras.layers.Dense(5, kernel_initializer=keras.initializers.GlorotUniform(seed=2))
    head.build((None, 8))
    return head


def remembering() -> list[Objective]:
    """Return objectives with layers, random numbers, an average, a teacher and starting weights."""
    return [
        found.CDAN(hidden_units=(8,), largest_map=20, random_units=16),
        found.MCD((8,)),
        found.MeanTeacher(0.9, keras.layers.RandomFlip()),
        found.LwF(source_head()),
        found.L2SP(),
    ]


@pytest.mark.slow
def test_what_they_remember_outlives_a_crash(blobs, tmp_path):
    x, y = blobs
    results = []

    def run(**arguments):
        model, own = tl.build_transfer_model(tiny_network(), 3), remembering()
        tl.fine_tune(
            model,
            {"source": (x[:24], y[:24]), "target": x[24:]},
            objectives=[Supervised(), *own],
            schedule=(tl.Stage(1), tl.Stage(2, unfreeze="all", learning_rate=1e-3)),
            batch_size=8,
            checkpoints=tl.Checkpoints(steps=1),
            verbose=False,
            **arguments,
        )
        own = {type(one).__name__: [v.numpy() for v in one.variables()] for one in own}
        results.append({"model": model.get_weights(), **own})

    run()
    with pytest.raises(Stop):
        run(output=tmp_path, callbacks=[Crash(5)])
    run(output=tmp_path)
    whole, resumed = results
    assert all(whole.values())
    for name, values in whole.items():
        for one, other in zip(values, resumed[name], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6, err_msg=name)
