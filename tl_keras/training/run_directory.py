"""The files of a run, and how a run that was stopped finds itself again."""

import contextlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tl_keras.errors import InputError
from tl_keras.training.checkpoints import read_checkpoint, write_checkpoint
from tl_keras.transfer_model import TransferModel

MODEL_FILE = "model.keras"
CONFIG_FILE = "config.json"
HISTORY_FILE = "history.json"
SUMMARY_FILE = "summary.json"
BEST_WEIGHTS_FILE = "best.weights.h5"
CURVES_FILE = "curves.png"
CHECKPOINTS = "checkpoints"
BEST_OF_EPOCH = re.compile(r"best-epoch-(\d{4,})\.weights\.h5")


class RunDirectory:
    """The directory of a run. Every file gets its name after its last byte was written.

    Args:
        path: The directory, created if missing.
        resume: Whether a run that is there already may be taken up.
        writes: Whether this process writes; of several workers, only the chief does.

    Attributes:
        path: The directory.
        config: The configuration of the run that is there already, or None.

    Raises:
        InputError: If it cannot be written, or holds a run that may not be taken up.
    """

    def __init__(self, path: str | os.PathLike, *, resume: bool = True, writes: bool = True):
        self.path = pathlib.Path(path)
        self.config: dict[str, Any] | None = None
        self._writes = writes
        if (self.path / CONFIG_FILE).exists():
            if not resume:
                raise InputError(
                    f"output: {str(self.path)!r} already holds a run, which is not overwritten. "
                    "Choose another directory, remove this one, or pass resume=True to go on "
                    "with it."
                )
            self.config = _read_json(self.path / CONFIG_FILE)
        with self._readable_errors():
            if writes:
                self.path.mkdir(parents=True, exist_ok=True)
                probe = self.path / ".writable"
                probe.write_text("")
                probe.unlink()

    @property
    def is_finished(self) -> bool:
        """Whether the run that is there has come to its end: the model is its last file."""
        return self.config is not None and (self.path / MODEL_FILE).exists()

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file."""
        text = json.dumps(content, indent=2, default=str) + "\n"
        self._write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run that is there."""
        return _read_json(self.path / name)

    def draw(self, name: str, plot: Callable[[pathlib.Path], Any]) -> None:
        """Write a picture."""
        self._write(name, plot)

    def write_model(self, model: TransferModel) -> None:
        """Write the whole model, which says that the run is finished; checkpoints go."""
        self._write(MODEL_FILE, model.save)
        if self._writes:
            shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)

    def write_checkpoint(self, arrays: Mapping[str, np.ndarray], state: dict[str, Any]) -> None:
        """Write a checkpoint, and remove best weights that no checkpoint speaks of any more."""
        if not self._writes:
            return
        write_checkpoint(self.path / CHECKPOINTS, arrays, state)
        best = state["best_epoch"]
        for file in (self.path / CHECKPOINTS).iterdir():
            found = BEST_OF_EPOCH.fullmatch(file.name)
            if found and best is not None and int(found.group(1)) < best:
                file.unlink(missing_ok=True)

    def read_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return arrays and state of the newest whole checkpoint, or None."""
        return read_checkpoint(self.path / CHECKPOINTS)

    def write_best_weights(self, model: TransferModel, epoch: int) -> None:
        """Write the weights of the best epoch so far.

        The epoch is in the name: a checkpoint from before keeps the weights that it knows.
        """
        self._write(f"{CHECKPOINTS}/best-epoch-{epoch:04}.weights.h5", model.save_weights)

    def read_best_weights(self, model: TransferModel, epoch: int) -> None:
        """Load what `write_best_weights` wrote into the model."""
        model.load_weights(self.path / CHECKPOINTS / f"best-epoch-{epoch:04}.weights.h5")

    def finish_best_weights(self, epoch: int | None) -> None:
        """Give the best weights their final place."""
        if epoch is not None:
            best = self.path / CHECKPOINTS / f"best-epoch-{epoch:04}.weights.h5"
            self._write(BEST_WEIGHTS_FILE, lambda path: shutil.copyfile(best, path))

    def _write(self, name: str, write: Callable[[pathlib.Path], Any]) -> None:
        if not self._writes:
            return
        path = self.path / name
        partial = path.with_name(f"partial.{path.name}")
        with self._readable_errors():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write(partial)
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    @contextlib.contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"output: {str(self.path)!r} cannot be written ({error.strerror or error}). Choose "
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
