"""A run that was stopped goes on as if nothing had happened."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tests.training.crashes import Crash, Stop
from tl_keras.training.runs.checkpoints import checkpoint_states
from tl_keras.training.runs.run_directory import CONFIG_FILE, MODEL_FILE
from tl_keras.utils.errors import InputError

STAGES = (
    tl.Stage(2, unfreeze=0, learning_rate=1e-2),
    tl.Stage(2, unfreeze=2, learning_rate=1e-3, warmup=0.2),
)
EVERY_STEP, EVERY_FIVE_STEPS = tl.Checkpoints(steps=1), tl.Checkpoints(steps=5)


class Broken(keras.callbacks.Callback):
    """Crashes before the first step."""

    def on_train_batch_begin(self, batch, logs=None):
        raise Stop


class StopInValidation(keras.callbacks.Callback):
    """Asks to stop while validation runs, as a scheduler does."""

    def on_test_begin(self, logs=None):
        signal.raise_signal(signal.SIGTERM)


class StopAtEpochEnd(keras.callbacks.Callback):
    """Asks to stop when nothing but the end of a stage is left to do."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            signal.raise_signal(signal.SIGTERM)


class Watch(keras.callbacks.Callback):
    """Keeps the optimizer's variables at the end."""

    def on_train_end(self, logs=None):
        self.optimizer = [variable.numpy() for variable in self.model.optimizer.variables]


def train(blobs, output, callbacks=(), stages=STAGES, head="mlp", **arguments):
    x, y = blobs
    keras.utils.set_random_seed(3)
    model = tl.build_transfer_model(tiny_network(), 3, head=head)
    watch = Watch()
    arguments = {"checkpoints": EVERY_STEP, "verbose": False, **arguments}
    run = tl.fine_tune(
        model,
        (x, y),
        (x[::2], y[::2]),
        schedule=stages,
        batch_size=8,
        callbacks=[*callbacks, watch],
        output=output,
        **arguments,
    )
    return run, watch


def saved(output):
    """Return epoch and step of the newest checkpoint."""
    newest = checkpoint_states(output / "checkpoints")[-1]
    return newest["epoch"], newest["step"]


def assert_same(first, second):
    (a, watched_a), (b, watched_b) = first, second
    for one, two in zip(a.model.get_weights(), b.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(watched_a.optimizer, watched_b.optimizer, strict=True):
        np.testing.assert_array_equal(one, two)
    histories = [
        {name: values for name, values in run.history.items() if name != "seconds"}
        for run in (a, b)
    ]
    assert histories[0] == histories[1]
    assert (a.stage_starts, a.best_epoch) == (b.stage_starts, b.best_epoch)
    assert a.audits == b.audits


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    x = np.random.default_rng(0).integers(0, 255, (45, 16, 16, 3)).astype(np.uint8)
    y = np.arange(45) % 3
    return (x, y), train((x, y), tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def stopped(undisturbed, tmp_path_factory):
    """The directory of a run that was stopped; tests leave it as it is."""
    output = tmp_path_factory.mktemp("runs") / "stopped"
    with pytest.raises(Stop):
        train(undisturbed[0], output, [Crash(3)])
    return output


def test_crashes_at_any_step_change_nothing(undisturbed, tmp_path):
    """Each process goes on from where the one before had saved, and crashes in its turn."""
    (data, whole), output = undisturbed, tmp_path / "run"
    with pytest.raises(Stop):  # A run that never took a step does not bind.
        train(data, output, [Broken()], seed=5)
    for steps, checkpoints, found in (
        (1, EVERY_STEP, (0, 0)),  # In the first step,
        (9, EVERY_FIVE_STEPS, (0, 5)),  # in the second epoch, with nothing saved of it,
        (4, EVERY_STEP, (1, 2)),  # there again, with all but the last step saved,
        (4, EVERY_STEP, (1, 5)),  # in the last step of the stage,
        (2, EVERY_STEP, (2, 0)),  # in the first of the next one,
        (1, EVERY_STEP, (2, 0)),  # there again,
    ):
        with pytest.raises(Stop):
            train(data, output, [Crash(steps)], checkpoints=checkpoints)
        assert saved(output) == found
    # The older checkpoint, of the end of the first stage, finds its best weights.
    newest = sorted((output / "checkpoints").glob("checkpoint-*.zip"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    with (
        pytest.warns(UserWarning, match="is damaged and is passed over"),
        pytest.raises(Stop),
    ):
        train(data, output, [Crash(12)])
    assert saved(output) == (3, 5)  # It crashed in the last step of all.
    assert_same(train(data, output), whole)


def test_random_layers_and_augmentation_go_on_too(undisturbed, tmp_path):
    data, _ = undisturbed
    stages = (tl.Stage(2, unfreeze="all", ema_momentum=0.9, accumulation=2, learning_rate=1e-3),)
    flips = {"augmentation": keras.layers.RandomFlip(seed=1)}
    whole = train(data, None, stages=stages, **flips)
    with pytest.raises(Stop):
        train(data, tmp_path / "run", [Crash(9)], stages, **flips)
    assert_same(train(data, tmp_path / "run", stages=stages, **flips), whole)


def test_sigterm_saves_in_validation_and_at_the_end_of_an_epoch_and_of_a_stage(
    undisturbed, tmp_path
):
    """Each process goes on where the one before was stopped, and is stopped in its turn."""
    (data, whole), output = undisturbed, tmp_path / "run"
    for stop, checkpoints, found in (
        (StopInValidation(), tl.Checkpoints(seconds=None), (0, 6)),  # It saves at once.
        (StopAtEpochEnd(0), EVERY_STEP, (1, 0)),
        (StopAtEpochEnd(1), EVERY_STEP, (2, 0)),
        (StopAtEpochEnd(3), EVERY_STEP, (4, 0)),
    ):
        with pytest.raises(SystemExit, match="143"):
            train(data, output, [stop], checkpoints=checkpoints)
        assert saved(output) == found
    assert_same(train(data, output), whole)


def test_a_finished_run_is_taken_as_it_is(undisturbed):
    data, (first, _) = undisturbed
    written = (first.path / MODEL_FILE).stat().st_mtime_ns
    assert not (first.path / "checkpoints").exists()
    second, _ = train(data, first.path, [Crash(1)])
    assert (first.path / MODEL_FILE).stat().st_mtime_ns == written
    assert (first.history, first.audits) == (second.history, second.audits)
    flags = [[layer.trainable for layer in r.model._flatten_layers()] for r in (first, second)]
    assert flags[0] == flags[1]
    for one, two in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seed": 1}, r"seed: 0 before, 1 now"),
        ({"stages": STAGES[:1]}, r"stages: \d of them before, 1 of them now"),
        ({"class_weight": "balanced"}, r"objectives\["),
        ({"resume": False}, "already holds a run"),
    ],
)
def test_changed_settings_are_noticed_and_resume_can_be_refused(undisturbed, stopped, change, text):
    before = sorted(path.name for path in stopped.rglob("*"))
    with pytest.raises(InputError, match=text):
        train(undisturbed[0], stopped, **change)
    assert sorted(path.name for path in stopped.rglob("*")) == before


def test_another_model_of_the_same_shapes_is_noticed(undisturbed):
    data, (run, _) = undisturbed
    with pytest.raises(InputError, match="the layers of the model have changed"):
        train(data, run.path, head=tl.heads.mlp(pooling="max"))


def test_changed_data_and_code_are_noticed(undisturbed, stopped, tmp_path, capsys):
    (x, y), _ = undisturbed
    output = shutil.copytree(stopped, tmp_path / "run")
    other = x.copy()
    other[7, 3, 3, 1] ^= 1
    with pytest.raises(InputError, match="the training examples have changed"):
        train((other, y), output)
    config = output / CONFIG_FILE
    config.write_text(config.read_text().replace('"keras": "', '"keras": "0.'))
    with pytest.raises(Stop):
        train((x, y), output, [Crash(1)], verbose=True)
    said = capsys.readouterr().out
    assert "resumed under another keras: 0." in said and "resumed in epoch 1 after step 2" in said


@pytest.mark.slow
def test_kill_9_from_outside(tmp_path):
    script = textwrap.dedent(
        """
        import os, sys
        import keras, numpy as np
        import tl_keras as tl
        from tests.conftest import tiny_network
        x = np.random.default_rng(0).integers(0, 255, (45, 16, 16, 3)).astype(np.uint8)
        class Slow(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                import time; time.sleep(float(sys.argv[1]))
        for output in sys.argv[2:]:
            keras.utils.set_random_seed(3)
            model = tl.build_transfer_model(tiny_network(), 3)
            tl.fine_tune(model, (x, np.arange(45) % 3), schedule=tl.Stage(4, unfreeze="all"),
                batch_size=8, output=output, deterministic=True, callbacks=[Slow()],
                checkpoints=tl.Checkpoints(steps=2), verbose=False)
            np.savez(output + ".npz", *model.get_weights())
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["TL_KERAS_CACHE"] = str(tmp_path / "cache")

    def start(pause, *names):
        outputs = [str(tmp_path / name) for name in names]
        command = [sys.executable, "-c", script, str(pause), *outputs]
        return subprocess.Popen(command, env=environment, cwd=pathlib.Path(__file__).parents[2])

    killed = start(0.2, "killed")
    checkpoint = tmp_path / "killed" / "checkpoints" / "checkpoint-000003.zip"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL and checkpoint.exists()
    assert start(0, "whole", "killed").wait(240) == 0
    one, two = (np.load(tmp_path / f"{name}.npz") for name in ("whole", "killed"))
    for name in one.files:
        np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.parametrize("reshuffles", [True, False])
def test_a_dataset_that_shuffles_itself_is_noticed_when_a_run_goes_on(blobs, tmp_path, reshuffles):
    data = tf.data.Dataset.from_tensor_slices(blobs)
    data = data.shuffle(45, seed=1, reshuffle_each_iteration=reshuffles).batch(8)
    model = tl.build_transfer_model(tiny_network(), 3)
    arguments = {"schedule": STAGES[0], "output": tmp_path / "run", "batch_size": 8}
    arguments |= {"checkpoints": tl.Checkpoints(steps=1), "verbose": False}
    with pytest.raises(Stop):
        tl.fine_tune(model, data, callbacks=Crash(7), **arguments)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = tl.fine_tune(tl.build_transfer_model(tiny_network(), 3), data, **arguments)
    assert len(run.history["loss"]) == 2
    said = [
        str(one.message) for one in caught if "in another order in each pass" in str(one.message)
    ]
    assert len(said) == reshuffles
