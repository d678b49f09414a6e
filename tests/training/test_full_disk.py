"""A disk that is full at any write leaves a directory that the run resumes in, and one line."""

import builtins
import errno
import os
import shutil
import zipfile

import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.training.runs.found_run import Found, prepare
from tl_keras.training.runs.run_directory import (
    BEST_WEIGHTS_FILE,
    CURVES_FILE,
    HISTORY_FILE,
    MODEL_FILE,
    SUMMARY_FILE,
    RunDirectory,
)
from tl_keras.utils.errors import InputError
from tools.torture.file_faults import file_size_limit

CONFIG = {"seed": 0}
ARRAYS = {"a": np.arange(6.0)}


class FakeModel:
    """Has a file to write."""

    def count_params(self):
        return 3

    def save(self, path):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("model.weights.h5", b"weights")


class FullDisk:
    """Counts what needs room on a disk, and lets the n-th of it fail, and all that follow."""

    def __init__(self, monkeypatch, first: int):
        self.left = first
        for owner, name in (
            (os, "fsync"),
            (os, "replace"),
            (os, "mkdir"),
            (builtins, "open"),
            (zipfile.ZipFile, "writestr"),
            (zipfile.ZipFile, "_open_to_write"),
        ):
            monkeypatch.setattr(owner, name, self.watched(getattr(owner, name), name))

    def watched(self, original, name):
        def call(*arguments, **named):
            if name != "open" or "w" in str(arguments[1:2]):
                self.left -= 1
                if self.left < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(*arguments, **named)

        return call


def job(path, done):
    """Write what a run writes, in its order; note the last position that was saved."""
    directory = RunDirectory(path)
    directory.run = "mine"
    with directory.locked():
        found, _ = prepare(directory, CONFIG, resume=True, overwrite=False)
        assert found == Found.NOTHING
        for epoch in range(3):
            if epoch:
                directory.write_best_weights(ARRAYS, epoch)
            best = epoch or None
            state = {"epoch": epoch, "step": 0, "best_epoch": best, "stage": 0}
            directory.write_checkpoint(ARRAYS, state)
            done.append(epoch)
        directory.write_json(HISTORY_FILE, {"loss": [1.0, 0.5, 0.2]})
        directory.write_objectives(ARRAYS)
        directory.write_json(SUMMARY_FILE, {"run": "mine"})
        directory.draw(CURVES_FILE, lambda path: path.write_bytes(b"curves"))
        directory.write_model(FakeModel())
        done.append("end")


def test_a_full_disk_at_every_write(tmp_path):
    failed, states = 0, set()
    for first in range(200):
        path, done = tmp_path / str(first), []
        with pytest.MonkeyPatch.context() as patch:
            FullDisk(patch, first)
            try:
                job(path, done)
                break
            except InputError as error:
                message = str(error)
        failed += 1
        assert message.startswith("output: ") and "\n" not in message
        assert "No space left on device" in message and str(path) in message
        assert not list(path.rglob(".partial-*")), message
        again = RunDirectory(path)
        again.run = "mine"
        with again.locked():
            found, _ = prepare(again, CONFIG, resume=True, overwrite=False)
        finished = (path / MODEL_FILE).exists()
        begun = list(path.glob("checkpoints/best-epoch-*.zip"))
        assert found == (Found.FINISHED if finished else Found.BEGUN if begun else Found.NOTHING)
        assert begun or finished or not done[1:]
        if found == Found.BEGUN:
            _, state = again.read_checkpoint()
            best = state["best_epoch"]
            assert state["epoch"] >= done[-1]
            assert best is None or again.read_best_weights(best) is not None
        states.add(found)
    # Once the model is in its place nothing is left that can fail.
    assert failed > 40 and states == {Found.NOTHING, Found.BEGUN}


@pytest.mark.parametrize("most", [0, 1000, 12_000, 20_000])
def test_no_size_of_files_ends_the_process(tmp_path, most):
    """HDF5, writing to the disk itself, does that where it may not write on."""
    model = tl.build_transfer_model(tiny_network(), 3)
    directory = RunDirectory(tmp_path)
    with file_size_limit(most), pytest.raises(InputError, match=r"^output: .*\(File too large\)"):
        directory.write_model(model)
    assert not list(tmp_path.iterdir())
    directory.write_model(model)
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST_WEIGHTS_FILE, MODEL_FILE]
    other = tl.build_transfer_model(tiny_network(1), 3)
    other.load_weights(tmp_path / BEST_WEIGHTS_FILE)
    for one, two in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_room_for_a_model_is_looked_for_before_it_is_written(tmp_path, monkeypatch):
    model = tl.build_transfer_model(tiny_network(), 3)
    space = shutil.disk_usage(tmp_path)._replace(free=7 * model.count_params())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: space)
    monkeypatch.setattr(model, "save", lambda path: pytest.fail("it was written"))
    with pytest.raises(InputError, match="No space left on device"):
        RunDirectory(tmp_path).write_model(model)


def test_what_hdf5_says_of_a_full_disk_is_one_line(tmp_path):
    said = "Unable to extend file, errno = 28, error message = 'no space left on device'\nfilename"
    with (
        pytest.raises(InputError, match=r"cannot be written \(No space left on device\)\. Choose"),
        RunDirectory(tmp_path).readable_errors(),
    ):
        raise RuntimeError(said)
