"""Early stopping by default, the estimate of the time, and the lines of a log that is a file."""

import dataclasses
import re
import subprocess
import sys
import textwrap

import keras
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.objectives import Supervised
from tl_keras.training.checks import resolve_settings
from tl_keras.training.early_stopping import with_early_stopping
from tl_keras.training.progress_lines import EpochLines, Pace, time_line
from tl_keras.training.runs.checkpoints import Checkpoints
from tl_keras.utils.errors import InputError

CHOSEN = tl.schedules.auto(200)
SUPERVISED = (Supervised(),)


def settings(**arguments):
    given = {
        "batch_size": 32, "early_stopping": "auto", "augmentation": None, "callbacks": (),
        "seed": 0, "checkpoints": Checkpoints(), "cache": None, "verbose": False,
    }  # fmt: skip
    return resolve_settings(**given | arguments)


def decided(stages=CHOSEN, validation=True, objectives=SUPERVISED, **arguments):
    return with_early_stopping(
        settings(**arguments), stages, CHOSEN, objectives, has_validation=validation
    )


def test_patience_is_a_fifth_of_the_stage_and_its_warm_up():
    found = decided()
    assert [stage.epochs for stage in CHOSEN] == [30, 40]
    assert [found.patience(stage) for stage in CHOSEN] == [6, 8 + 4]
    assert found.patience(tl.Stage(5)) == 3
    assert [settings(early_stopping=2).patience(stage) for stage in CHOSEN] == [2, 2]


def test_auto_is_on_with_validation_data_and_a_schedule_that_we_chose():
    assert decided().early_stopping == "auto"
    assert (
        decided([dataclasses.replace(s, ema_momentum=0.9) for s in CHOSEN]).early_stopping == "auto"
    )
    assert decided(early_stopping=4).early_stopping == 4
    assert decided([tl.Stage(30), tl.Stage(40, unfreeze="all")]).early_stopping is None
    assert decided(tl.schedules.two_stage()).early_stopping is None
    assert decided(validation=False).early_stopping is None
    assert decided(early_stopping=None).early_stopping is None
    own = keras.callbacks.EarlyStopping("val_accuracy", patience=20)
    assert decided(callbacks=[own]).early_stopping is None
    with pytest.raises(InputError, match=r"early_stopping: expected 'auto', .* got 'Auto'"):
        settings(early_stopping="Auto")


class Worse(keras.callbacks.Callback):
    """Writes a validation loss that is the smallest in the first epoch."""

    def on_epoch_end(self, epoch, logs=None):
        if "val_loss" in logs:
            logs["val_loss"] = 1.0 + epoch


@pytest.mark.parametrize(("patience", "epochs"), [("auto", 9), (None, 40), (2, 3)])
def test_the_default_schedule_stops_early_with_validation_data(blobs, capsys, patience, epochs):
    keras.utils.set_random_seed(0)
    x, y = blobs[0][:40], blobs[1][:40]
    model = tl.build_transfer_model(tiny_network(), 3)
    run = tl.fine_tune(
        model, (x, y), (x, y), early_stopping=patience, callbacks=[Worse()], batch_size=40
    )
    assert len(run.history["loss"]) == epochs
    assert run.best_epoch == 0
    said = capsys.readouterr().out
    text = "40 epochs (ends early after 8 without a better validation loss)"
    assert (text in said) == (patience == "auto")
    assert said.count("estimated time: ") == 1


def test_without_validation_data_every_epoch_runs(blobs):
    run = tl.fine_tune(
        tl.build_transfer_model(tiny_network(), 3), (blobs[0][:40], blobs[1][:40]), verbose=False
    )
    assert len(run.history["loss"]) == 40


def test_another_early_stopping_is_another_run(blobs, tmp_path):
    x, y = blobs[0][:40], blobs[1][:40]

    def tune(**arguments):
        model = tl.build_transfer_model(tiny_network(), 3)
        return tl.fine_tune(
            model, (x, y), (x, y), callbacks=[Worse()], output=tmp_path, verbose=False, **arguments
        )

    assert len(tune().history["loss"]) == len(tune().history["loss"]) == 9
    with pytest.raises(InputError, match="early_stopping"):
        tune(early_stopping=None)


def test_the_estimate_leaves_the_first_call_out():
    """10 steps of 2 s, the first of which compiles for 28 s more, and 18 epochs to come."""
    pace = Pace()
    assert pace.of_epoch(5.0, 10, 10) == pytest.approx(5.0)
    assert pace.of_epoch(5.0, 10, 10) is None
    pace = Pace()
    pace.first_calls = 30.0
    epoch = pace.of_epoch(48.0, 10, 10)
    assert epoch == pytest.approx(20.0)
    line = time_line(48.0, epoch * 18, 0, may_end_early=False)
    assert line == "estimated time: about 7 min in total, 6 min of it to come"
    line = time_line(48.0, 40.0, 1, may_end_early=True)
    assert line == "estimated time: at most about 40 s more in this stage; 1 stage follows"


def test_an_epoch_of_one_step_that_compiled_tells_nothing():
    pace = Pace()
    pace.first_calls = 30.0
    assert pace.of_epoch(30.5, 1, 1) is None
    assert pace.of_epoch(0.5, 1, 1) == pytest.approx(0.5)


def test_a_line_names_the_epoch_and_every_value(capsys):
    EpochLines(7).on_epoch_end(2, {"loss": 0.123456, "val_accuracy": 1.0, "learning_rate": 1e-5})
    assert capsys.readouterr().out == (
        "epoch 3 of 7: loss 0.1235, val_accuracy 1, learning_rate 1e-05\n"
    )


def test_a_log_in_a_pipe_has_one_plain_line_for_each_epoch():
    code = """
    import numpy as np, keras, tl_keras as tl
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    model = tl.build_transfer_model(network, 2, preprocessing=tl.preprocessing.identity())
    x, y = np.zeros((40, 8, 8, 3), "uint8"), np.arange(40) % 2
    stages = (tl.Stage(2), tl.Stage(2, unfreeze="all"))
    tl.fine_tune(model, (x, y), (x, y), schedule=stages, batch_size=8)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
    for text in (done.stdout, done.stderr):
        assert not re.search(rb"[\x1b\x08\r]", text)
    lines = done.stdout.decode().splitlines()
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line[:7] for line in epochs] == ["epoch 1", "epoch 2", "epoch 3", "epoch 4"]
    for name in (" loss ", " accuracy ", " val_loss ", " val_accuracy "):
        assert all(name in line for line in epochs), epochs
    times = [line for line in lines if line.startswith("estimated time: about")]
    assert len(times) == 2
    assert "1 stage follows" in times[0]
    assert "in total" in times[1]
