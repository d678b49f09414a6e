"""Two jobs with one directory: the second is refused, and where it cannot be, they do not mix.

`tools/torture/two_jobs.py` does the same with processes, which are killed and resumed.
"""

import contextlib
import errno
import os
import pathlib
import warnings

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tests.training.crashes import Crash, Stop
from tl_keras.training.runs.run_directory import RunDirectory
from tl_keras.training.runs.run_lock import LOCK_FILE
from tl_keras.utils import locks
from tl_keras.utils.errors import InputError

STAGE = tl.Stage(2, unfreeze=0, learning_rate=1e-2)


def train(output, seed, callbacks=(), **arguments):
    x = np.random.default_rng(0).integers(0, 255, (24, 16, 16, 3)).astype(np.uint8)
    keras.utils.set_random_seed(3)
    return tl.fine_tune(
        tl.build_transfer_model(tiny_network(), 3),
        (x, np.arange(24) % 3),
        schedule=STAGE,
        batch_size=8,
        callbacks=callbacks,
        output=output,
        seed=seed,
        verbose=False,
        checkpoints=tl.Checkpoints(steps=1),
        cache=None,  # Feature stores need locks, too, and other tests are about them.
        **arguments,
    )


class Other(keras.callbacks.Callback):
    """Starts another job after the first step, before the first checkpoint worth anything."""

    def __init__(self, job):
        super().__init__()
        self.job, self.error = job, None

    def on_train_batch_end(self, batch, logs=None):
        if self.job:
            job, self.job = self.job, None
            try:
                job()
            except (InputError, Stop) as error:
                self.error = error


def test_the_second_job_is_refused_in_one_line_and_the_first_goes_on(tmp_path):
    seen = []

    def second():
        seen.append(sorted(path.name for path in tmp_path.rglob("*")))
        train(tmp_path / "run", seed=1, overwrite=True)

    other = Other(second)
    run = train(tmp_path / "run", 0, [other])
    assert len(run.history["loss"]) == 2
    message = str(other.error)
    assert "is in use by another run (process " in message and "\n" not in message
    assert f"process {os.getpid()} on " in message and "Choose another directory" in message
    assert LOCK_FILE in seen[0] and not (tmp_path / "run" / LOCK_FILE).exists()
    assert train(tmp_path / "run", 0).history == run.history


def test_the_lock_goes_with_a_crash(tmp_path):
    with pytest.raises(Stop):
        train(tmp_path / "run", 0, [Crash(3)])
    assert not (tmp_path / "run" / LOCK_FILE).exists()


def test_workers_that_do_not_write_do_not_lock(tmp_path):
    with RunDirectory(tmp_path).locked(), RunDirectory(tmp_path, writes=False).locked():
        third = contextlib.ExitStack()
        with pytest.raises(InputError, match="in use"):
            third.enter_context(RunDirectory(tmp_path).locked())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, None])
def test_without_locks_a_line_says_so(tmp_path, monkeypatch, number):
    lock_nothing(monkeypatch, number)
    said = pytest.warns(UserWarning, match="cannot be locked here: take care that no two runs")
    with said, RunDirectory(tmp_path).locked():
        assert not list(tmp_path.iterdir())


def lock_nothing(monkeypatch, number=errno.ENOLCK):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    if number is None:
        monkeypatch.setattr(locks, "fcntl", None)
    else:
        monkeypatch.setattr(locks.fcntl, "flock", refuse)


def test_what_killed_processes_were_writing_goes_at_the_next_start(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in (".partial-1-1.model.keras", "checkpoints/.partial-ab-99-1.checkpoint-000001.zip"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".partial-1-1.saved_model").mkdir()
    with RunDirectory(tmp_path).locked():
        found = sorted(path.name for path in tmp_path.rglob("*"))
    assert found == ["checkpoints", LOCK_FILE]


def test_where_nothing_locks_neither_resumes_with_the_others_epochs(tmp_path, monkeypatch):
    alone = train(tmp_path / "alone", seed=1)
    lock_nothing(monkeypatch)
    run = tmp_path / "run"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*cannot be locked")
        other = Other(lambda: train(run, seed=1, callbacks=[Crash(4)]))
        with pytest.raises(Stop):
            train(run, 0, [other, Crash(5)])
        assert isinstance(other.error, Stop)
        with pytest.raises(InputError, match="seed: 1 before, 0 now"):
            train(run, 0)
        with pytest.warns(UserWarning, match="zip belong to another run. All that is kept in"):
            resumed = train(run, 1)
    assert len(list(run.glob("set-aside-1/checkpoints/checkpoint-*.zip"))) == 2
    for name in ("loss", "accuracy"):
        assert resumed.history[name] == alone.history[name]
    for one, two in zip(resumed.model.get_weights(), alone.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_run_that_begins_does_not_disturb_another_that_begins(tmp_path, monkeypatch):
    touch = pathlib.Path.touch

    def touch_and_wait(path, *arguments, **named):
        touch(path, *arguments, **named)
        monkeypatch.setattr(pathlib.Path, "touch", touch)
        with RunDirectory(tmp_path).locked():
            pass

    monkeypatch.setattr(pathlib.Path, "touch", touch_and_wait)
    RunDirectory(tmp_path)
    assert not list(tmp_path.iterdir())
