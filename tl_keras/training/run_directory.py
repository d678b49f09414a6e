"""The files of a run, and how a run that was stopped finds itself again."""

import contextlib
import enum
import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tl_keras.data.whole_files import remove_partials, written_whole
from tl_keras.errors import InputError, warn_user
from tl_keras.training.array_files import read_arrays, write_arrays
from tl_keras.training.checkpoints import checkpoint_states, read_checkpoint, write_checkpoint
from tl_keras.transfer_model import TransferModel

MODEL_FILE = "model.keras"
CONFIG_FILE = "config.json"
HISTORY_FILE = "history.json"
SUMMARY_FILE = "summary.json"
BEST_WEIGHTS_FILE = "best.weights.h5"
CURVES_FILE = "curves.png"
OBJECTIVES_FILE = "objectives.zip"
CHECKPOINTS = "checkpoints"
RUN_FILES = (
    *(MODEL_FILE, BEST_WEIGHTS_FILE, OBJECTIVES_FILE, HISTORY_FILE),
    *(SUMMARY_FILE, CURVES_FILE, CONFIG_FILE),
)
BEST_OF_EPOCH = re.compile(r"best-epoch-(\d{4,})\.zip")


class Found(enum.IntEnum):
    """How far a run that is in a directory already has come."""

    NOTHING = 0
    BEGUN = 1
    FINISHED = 2


class RunDirectory:
    """The directory of a run. Every file gets its name after its last byte was written.

    Args:
        path: The directory, created if missing.
        writes: Whether this process writes; of several workers, only the chief does.

    Attributes:
        path: The directory.

    Raises:
        InputError: If it is no path, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike, *, writes: bool = True):
        if not isinstance(path, (str, os.PathLike)):
            raise InputError(f"output: expected the path of a directory, got {path!r}.")
        self.path = pathlib.Path(path)
        self._writes = writes
        with self._readable_errors():
            if writes:
                self.path.mkdir(parents=True, exist_ok=True)
                probe = self.path / ".writable"
                probe.write_text("")
                probe.unlink()

    def found(self) -> Found:
        """Return how far the run that is there already has come.

        A run that was stopped before its first step has nothing to lose, and counts as none.
        """
        if not (self.path / CONFIG_FILE).exists():
            return Found.NOTHING
        if (self.path / MODEL_FILE).exists():
            return Found.FINISHED
        states = checkpoint_states(self.path / CHECKPOINTS)
        begun = any((state["epoch"], state["step"]) != (0, 0) for state in states)
        return Found.BEGUN if begun else Found.NOTHING

    def clear(self) -> None:
        """Remove the files of the run that is there, and nothing else."""
        if not self._writes:
            return
        with self._readable_errors():
            # The model first: without it, what is left after a crash is no finished run.
            for name in RUN_FILES:
                (self.path / name).unlink(missing_ok=True)
            shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)

    def clear_checkpoints(self) -> None:
        """Remove checkpoints of a run that never got to its first step."""
        if self._writes:
            shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file."""
        text = json.dumps(content, indent=2, default=str) + "\n"
        self._write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run that is there."""
        return _read_json(self.path / name)

    def draw(self, name: str, plot: Callable[[pathlib.Path], Any]) -> None:
        """Write a picture; a picture that cannot be drawn is no reason to lose a model."""
        try:
            self._write(name, plot)
        except InputError:
            raise
        except Exception as error:
            warn_user(f"{name} could not be drawn: {error}")

    def write_weights(self, model: TransferModel) -> None:
        """Write the weights of the best epoch, which the model has at the end of a run."""
        self._write(BEST_WEIGHTS_FILE, model.save_weights)

    def write_model(self, model: TransferModel) -> None:
        """Write the whole model, which says that the run is finished; checkpoints go."""
        self._write(MODEL_FILE, model.save)
        if self._writes:
            shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)

    def write_checkpoint(self, arrays: Mapping[str, np.ndarray], state: dict[str, Any]) -> None:
        """Write a checkpoint, and remove best weights that no checkpoint speaks of any more."""
        if not self._writes:
            return
        folder = self.path / CHECKPOINTS
        write_checkpoint(folder, arrays, state)
        remove_partials(folder)
        needed = {state["best_epoch"] for state in checkpoint_states(folder)}
        for file in folder.iterdir():
            epoch = BEST_OF_EPOCH.fullmatch(file.name)
            if epoch and int(epoch.group(1)) not in needed:
                file.unlink(missing_ok=True)

    def read_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return arrays and state of the newest whole checkpoint, or None."""
        return read_checkpoint(self.path / CHECKPOINTS)

    def write_best_weights(self, arrays: Mapping[str, np.ndarray], epoch: int) -> None:
        """Write the weights of the best epoch so far.

        The epoch is in the name: a checkpoint from before keeps the weights that it knows.
        """
        if not self._writes:
            return
        with self._readable_errors():
            path = self._best(epoch)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(path, arrays, {})

    def write_objectives(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write what the objectives themselves trained: the exported model does without it."""
        if arrays and self._writes:
            with self._readable_errors():
                write_arrays(self.path / OBJECTIVES_FILE, arrays, {})

    def read_objectives(self) -> dict[str, np.ndarray]:
        """Return what `write_objectives` wrote; nothing where there is no such file."""
        path = self.path / OBJECTIVES_FILE
        found = read_arrays(path) if path.exists() else ({}, {})
        if found is None:
            raise InputError(
                f"output: {str(path)!r} cannot be read. Choose another directory, or load the "
                f"model alone from {MODEL_FILE}."
            )
        return found[0]

    def read_best_weights(self, epoch: int) -> dict[str, np.ndarray]:
        """Return what `write_best_weights` wrote."""
        found = read_arrays(self._best(epoch))
        if found is None:
            raise InputError(
                f"output: the weights of the best epoch, {str(self._best(epoch))!r}, cannot be "
                "read. Choose another directory."
            )
        return found[0]

    def _best(self, epoch: int) -> pathlib.Path:
        return self.path / CHECKPOINTS / f"best-epoch-{epoch:04}.zip"

    def _write(self, name: str, write: Callable[[pathlib.Path], Any]) -> None:
        if not self._writes:
            return
        with self._readable_errors(), written_whole(self.path / name) as path:
            write(path)

    @contextlib.contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:  # The latter is what HDF5 says of a full disk.
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"output: {str(self.path)!r} cannot be written ({reason}). Choose "
                "a directory that you may write to, on a disk with room; what was written before "
                "is intact."
            ) from error


def _read_json(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"output: {str(path)!r} cannot be read ({error}). Choose another directory."
        ) from error
