"""A disk that is full at any write leaves a directory that the run resumes in, and one line."""

import builtins
import errno
import os
import zipfile

import numpy as np
import pytest

from tl_keras.errors import InputError
from tl_keras.training.found_run import Found, prepare
from tl_keras.training.run_directory import (
    CURVES_FILE,
    HISTORY_FILE,
    MODEL_FILE,
    SUMMARY_FILE,
    RunDirectory,
)

CONFIG = {"seed": 0}
ARRAYS = {"a": np.arange(6.0)}


class FakeModel:
    """Has files to write."""

    def save(self, path):
        with open(path, "wb") as file:
            file.write(b"model")

    save_weights = save


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
        directory.write_weights(FakeModel())
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
        # What is whole counts, even if nobody could tell whether its name had reached the disk.
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
    assert failed > 40 and states == set(Found)
