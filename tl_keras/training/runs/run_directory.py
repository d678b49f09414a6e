"""The files of a run, and how a run that was stopped finds itself again."""

import contextlib
import errno
import json
import os
import pathlib
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tl_keras.models.transfer_model import TransferModel
from tl_keras.training.runs.array_files import read_arrays, write_arrays
from tl_keras.training.runs.checkpoints import (
    BEST_OF_EPOCH,
    RUN,
    checkpoint_states,
    is_of_run,
    read_checkpoint,
    remove_checkpoints,
    write_checkpoint,
)
from tl_keras.training.runs.run_lock import run_lock
from tl_keras.utils.errors import InputError, first_line, warn_user
from tl_keras.utils.regular_files import read_regular
from tl_keras.utils.writing import (
    disk_error,
    opened_whole,
    partial_beside,
    remove_partials,
    write_text,
    written_whole,
)

MODEL_FILE = "model.keras"
CONFIG_FILE = "config.json"
HISTORY_FILE = "history.json"
SUMMARY_FILE = "summary.json"
BEST_WEIGHTS_FILE = "best.weights.h5"
WEIGHTS_IN_MODEL = "model.weights.h5"
"""Name of the weights in a `.keras` file, which is a ZIP archive."""

CURVES_FILE = "curves.png"
OBJECTIVES_FILE = "objectives.zip"
CHECKPOINTS = "checkpoints"
RUN_FILES = (
    *(MODEL_FILE, BEST_WEIGHTS_FILE, OBJECTIVES_FILE, HISTORY_FILE),
    *(SUMMARY_FILE, CURVES_FILE, CONFIG_FILE),
)
BYTES_OF_A_WEIGHT = 4


class RunDirectory:
    """The directory of a run. Every file gets its name after its last byte was written.

    Args:
        path: The directory, created if missing.
        writes: Whether this process writes; of several workers, only the chief does.

    Attributes:
        path: The directory.
        writes: As above.
        run: Digest of the configuration of the run that reads and writes here; it stands in its
            checkpoints, and those of other runs are not read.

    Raises:
        InputError: If it is no path, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike, *, writes: bool = True):
        if not isinstance(path, (str, os.PathLike)):
            raise InputError(f"output: expected the path of a directory, got {path!r}.")
        self.path = pathlib.Path(path)
        self.writes = writes
        self.run: str | None = None
        with self.readable_errors():
            if writes:
                self.path.mkdir(parents=True, exist_ok=True)
                with partial_beside(self.path / "writable") as probe:
                    probe.touch()  # A run that takes the lock meanwhile may remove it.

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out until the block ends, and remove what killed ones left unfinished.

        Raises:
            InputError: If another run has the directory.
        """
        if not self.writes:
            yield
            return
        with contextlib.ExitStack() as stack:
            with self.readable_errors():
                locked = stack.enter_context(run_lock(self.path))
                for folder in (self.path, self.path / CHECKPOINTS):
                    remove_partials(folder, in_use=not locked)
            yield

    @property
    def checkpoints(self) -> pathlib.Path:
        """The folder of checkpoints, which is there while a run is not finished."""
        return self.path / CHECKPOINTS

    def clear(self) -> None:
        """Remove the files of the run that is there, and nothing else."""
        if not self.writes:
            return
        with self.readable_errors():
            # The model first: without it, what is left after a crash is no finished run.
            for name in RUN_FILES:
                (self.path / name).unlink(missing_ok=True)
            remove_checkpoints(self.checkpoints)

    def clear_checkpoints(self) -> None:
        """Remove checkpoints of a run that never got to its first step."""
        if self.writes:
            remove_checkpoints(self.checkpoints)

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file."""
        text = json.dumps(content, indent=2, default=str) + "\n"
        if self.writes:
            with self.readable_errors():
                write_text(self.path / name, text)

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run that is there."""
        path = self.path / name
        try:
            return json.loads(read_regular(path).decode())
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(
                f"output: {str(path)!r} cannot be read ({first_line(error)}). Choose another "
                "directory, or pass overwrite=True to replace the run that is there."
            ) from error

    def draw(self, name: str, plot: Callable[[pathlib.Path], Any]) -> None:
        """Write a picture; a picture that cannot be drawn is no reason to lose a model."""
        if not self.writes:
            return
        try:
            plot(self.path / name)
        except InputError:
            raise
        except Exception as error:
            warn_user(f"{name} could not be drawn: {error}")

    def write_model(self, model: TransferModel, *, weights: bool = True) -> None:
        """Write the whole model, which says that the run is finished; checkpoints go.

        Args:
            model: With the weights of the best epoch, if there is one.
            weights: Whether they are written to a file of their own too, before the model has its
                name. HDF5 does not write that file: on a full disk it ends the process.
        """
        if not self.writes:
            return
        with self.readable_errors():
            _require_room(self.path, model)
            with written_whole(self.path / MODEL_FILE) as partial:
                model.save(partial)
                if weights:
                    _extract(partial, WEIGHTS_IN_MODEL, self.path / BEST_WEIGHTS_FILE)
        remove_checkpoints(self.checkpoints)

    def write_checkpoint(self, arrays: Mapping[str, np.ndarray], state: dict[str, Any]) -> None:
        """Write a checkpoint, and remove best weights that no checkpoint speaks of any more."""
        if not self.writes:
            return
        write_checkpoint(self.checkpoints, arrays, state | {RUN: self.run})
        needed = {state["best_epoch"] for state in checkpoint_states(self.checkpoints)}
        for file in self.checkpoints.iterdir():
            epoch = BEST_OF_EPOCH.fullmatch(file.name)
            if epoch and int(epoch.group(1)) not in needed:
                with contextlib.suppress(OSError):  # It is in nobody's way.
                    file.unlink()

    def read_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return arrays and state of the newest whole checkpoint of this run, or None."""
        return read_checkpoint(self.checkpoints, self.run)

    def write_best_weights(self, arrays: Mapping[str, np.ndarray], epoch: int) -> None:
        """Write the weights of the best epoch so far.

        The epoch is in the name: a checkpoint from before keeps the weights that it knows.
        """
        if not self.writes:
            return
        with self.readable_errors():
            path = self.best_weights_file(epoch)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(path, arrays, {RUN: self.run})

    def write_objectives(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write what the objectives themselves trained: the exported model does without it."""
        if arrays and self.writes:
            with self.readable_errors():
                write_arrays(self.path / OBJECTIVES_FILE, arrays, {RUN: self.run})

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

    def read_best_weights(self, epoch: int) -> dict[str, np.ndarray] | None:
        """Return what `write_best_weights` wrote; None if it is not there, or not whole."""
        path = self.best_weights_file(epoch)
        found = read_arrays(path) if path.exists() else None
        return found[0] if found is not None and is_of_run(found[1], self.run) else None

    def best_weights_file(self, epoch: int) -> pathlib.Path:
        """Return where the weights of an epoch are while it is the best one."""
        return self.checkpoints / f"best-epoch-{epoch:04}.zip"

    @contextlib.contextmanager
    def readable_errors(self) -> Iterator[None]:
        """Turn what the system says when something cannot be written into one `InputError`."""
        try:
            yield
        except (OSError, RuntimeError) as error:  # The latter is what HDF5 says of a full disk.
            told = disk_error(error) or error
            reason = getattr(told, "strerror", None) or first_line(error)
            raise InputError(
                f"output: {str(self.path)!r} cannot be written ({reason}). Choose "
                "a directory that you may write to, on a disk with room; what was written before "
                "is intact."
            ) from error


def _require_room(folder: pathlib.Path, model: TransferModel) -> None:
    """Raise what the system says of a full disk unless there is room for a model twice.

    Of a large model, Keras has HDF5 write the weights to a file beside the archive first.
    """
    if shutil.disk_usage(folder).free < 2 * BYTES_OF_A_WEIGHT * model.count_params():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _extract(archive: pathlib.Path, name: str, path: pathlib.Path) -> None:
    """Write a member of a ZIP archive to a file of its own."""
    with (
        zipfile.ZipFile(archive) as opened,
        opened.open(name) as member,
        opened_whole(path) as file,
    ):
        shutil.copyfileobj(member, file)
