"""A run that was stopped goes on as if nothing had happened."""

import os
import pathlib
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
from tl_keras.training.runs.run_directory import CONFIG_FILE, MODEL_FILE
from tl_keras.utils.errors import InputError

STAGES = (
    tl.Stage(2, unfreeze=0, learning_rate=1e-2),
    tl.Stage(2, unfreeze=2, learning_rate=1e-3, warmup=0.2),
)


class CrashInValidation(keras.callbacks.Callback):
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


def train(blobs, output, callbacks=(), stages=STAGES, seed=0, **arguments):
    x, y = blobs
    keras.utils.set_random_seed(3)
    model = tl.build_transfer_model(tiny_network(), 3, head="mlp")
    watch = Watch()
    arguments.setdefault("checkpoints", tl.Checkpoints(steps=1))
    run = tl.fine_tune(
        model,
        (x, y),
        (x[::2], y[::2]),
        schedule=stages,
        batch_size=8,
        augmentation=arguments.pop("augmentation", None),
        callbacks=[*callbacks, watch],
        output=output,
        seed=seed,
        verbose=False,
        **arguments,
    )
    return run, watch


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


@pytest.mark.parametrize("steps", [1, 9, 12, 13, 24])
def test_a_crash_at_any_step_changes_nothing(undisturbed, tmp_path, steps):
    data, whole = undisturbed
    with pytest.raises(Stop):
        train(data, tmp_path / "run", [Crash(steps)])
    assert_same(train(data, tmp_path / "run"), whole)


def test_two_crashes_and_rare_checkpoints(undisturbed, tmp_path):
    data, whole = undisturbed
    for steps in (8, 9):
        with pytest.raises(Stop):
            train(data, tmp_path / "run", [Crash(steps)], checkpoints=tl.Checkpoints(steps=5))
    assert_same(train(data, tmp_path / "run"), whole)


def test_random_layers_and_augmentation_go_on_too(undisturbed, tmp_path):
    data, _ = undisturbed
    stages = (tl.Stage(3, unfreeze="all", ema_momentum=0.9, accumulation=2, learning_rate=1e-3),)
    flips = {"augmentation": keras.layers.RandomFlip(seed=1)}
    whole = train(data, None, stages=stages, **flips)
    with pytest.raises(Stop):
        train(data, tmp_path / "run", [Crash(9)], stages, **flips)
    assert_same(train(data, tmp_path / "run", stages=stages, **flips), whole)


def test_sigterm_saves_at_once_also_in_validation(undisturbed, tmp_path):
    data, whole = undisturbed
    with pytest.raises(SystemExit, match="143"):
        train(
            data,
            tmp_path / "run",
            [CrashInValidation()],
            checkpoints=tl.Checkpoints(seconds=None),
        )
    assert list((tmp_path / "run" / "checkpoints").glob("checkpoint-*.zip"))
    assert_same(train(data, tmp_path / "run"), whole)


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_sigterm_at_the_end_of_an_epoch_or_a_stage(undisturbed, tmp_path, epoch):
    data, whole = undisturbed
    with pytest.raises(SystemExit, match="143"):
        train(data, tmp_path / "run", [StopAtEpochEnd(epoch)])
    assert_same(train(data, tmp_path / "run"), whole)


def test_the_older_checkpoint_finds_its_best_weights(undisturbed, tmp_path):
    data, whole = undisturbed
    with pytest.raises(Stop):
        train(data, tmp_path / "run", [Crash(13)])
    newest = sorted((tmp_path / "run" / "checkpoints").glob("checkpoint-*.zip"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="is damaged and is passed over"):
        resumed = train(data, tmp_path / "run")
    assert_same(resumed, whole)


def test_a_run_that_never_took_a_step_does_not_bind(undisturbed, tmp_path):
    data, whole = undisturbed

    class Broken(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            raise Stop

    with pytest.raises(Stop):
        train(data, tmp_path / "run", [Broken()], seed=5)
    assert_same(train(data, tmp_path / "run"), whole)


def test_a_finished_run_is_taken_as_it_is(undisturbed, tmp_path, capsys):
    data, _ = undisturbed
    first, _ = train(data, tmp_path / "run")
    written = (tmp_path / "run" / MODEL_FILE).stat().st_mtime_ns
    assert not (tmp_path / "run" / "checkpoints").exists()
    second, _ = train(data, tmp_path / "run", [Crash(1)])
    assert (tmp_path / "run" / MODEL_FILE).stat().st_mtime_ns == written
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
    ],
)
def test_changed_settings_are_noticed(undisturbed, tmp_path, change, text):
    data, _ = undisturbed
    with pytest.raises(Stop):
        train(data, tmp_path / "run", [Crash(3)])
    before = sorted(path.name for path in (tmp_path / "run").rglob("*"))
    with pytest.raises(InputError, match=text):
        train(data, tmp_path / "run", **change)
    assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == before


def test_another_model_of_the_same_shapes_is_noticed(undisturbed, tmp_path):
    x, y = undisturbed[0]
    for pooling, error in (("average", None), ("max", "the layers of the model have changed")):
        head = tl.heads.HeadSpec(pooling=pooling)
        model = tl.build_transfer_model(tiny_network(), 3, head=head)
        arguments = {"schedule": tl.Stage(1), "output": tmp_path / "run", "verbose": False}
        if error is None:
            tl.fine_tune(model, (x, y), **arguments)
        else:
            with pytest.raises(InputError, match=error):
                tl.fine_tune(model, (x, y), **arguments)


def test_changed_data_and_code_are_noticed(undisturbed, tmp_path, capsys):
    (x, y), _ = undisturbed
    with pytest.raises(Stop):
        train((x, y), tmp_path / "run", [Crash(3)])
    other = x.copy()
    other[7, 3, 3, 1] ^= 1
    with pytest.raises(InputError, match="the training examples have changed"):
        train((other, y), tmp_path / "run")
    config = tmp_path / "run" / CONFIG_FILE
    config.write_text(config.read_text().replace('"keras": "', '"keras": "0.'))
    x_, y_ = x, y
    keras.utils.set_random_seed(3)
    model = tl.build_transfer_model(tiny_network(), 3, head="mlp")
    tl.fine_tune(
        model,
        (x_, y_),
        (x_[::2], y_[::2]),
        schedule=STAGES,
        batch_size=8,
        output=tmp_path / "run",
        checkpoints=tl.Checkpoints(steps=1),
    )
    assert "resumed under another keras: 0." in capsys.readouterr().out


def test_resume_can_be_refused(undisturbed, tmp_path):
    data, _ = undisturbed
    with pytest.raises(Stop):
        train(data, tmp_path / "run", [Crash(3)])
    with pytest.raises(InputError, match="already holds a run"):
        train(data, tmp_path / "run", resume=False)


@pytest.mark.slow
def test_kill_9_from_outside(tmp_path):
    script = textwrap.dedent(
        """
        import os, sys
        import keras, numpy as np
        import tl_keras as tl
        from tests.conftest import tiny_network
        x = np.random.default_rng(0).integers(0, 255, (45, 16, 16, 3)).astype(np.uint8)
        keras.utils.set_random_seed(3)
        model = tl.build_transfer_model(tiny_network(), 3)
        class Slow(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                import time; time.sleep(float(sys.argv[2]))
        tl.fine_tune(model, (x, np.arange(45) % 3), schedule=tl.Stage(4, unfreeze="all"),
            batch_size=8, output=sys.argv[1], deterministic=True, callbacks=[Slow()],
            checkpoints=tl.Checkpoints(steps=2), verbose=False)
        np.savez(sys.argv[1] + ".npz", *model.get_weights())
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["TL_KERAS_CACHE"] = str(tmp_path / "cache")

    def start(name, pause):
        command = [sys.executable, "-c", script, str(tmp_path / name), str(pause)]
        return subprocess.Popen(command, env=environment, cwd=pathlib.Path(__file__).parents[2])

    whole, killed = start("whole", 0), start("killed", 0.2)
    checkpoint = tmp_path / "killed" / "checkpoints" / "checkpoint-000003.zip"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL and checkpoint.exists()
    assert start("killed", 0).wait(120) == 0 and whole.wait(120) == 0
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
