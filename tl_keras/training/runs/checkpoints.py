"""Checkpoints: the whole state of a training in one file that is either complete or not there."""

import contextlib
import dataclasses
import pathlib
import re
import time
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np

from tl_keras.training.runs.array_files import read_arrays, read_state, write_arrays
from tl_keras.utils.errors import InputError
from tl_keras.utils.writing import remove_partials

KEPT = 2
NAME = re.compile(r"checkpoint-(\d{6,})\.zip")
BEST_OF_EPOCH = re.compile(r"best-epoch-(\d{4,})\.zip")
RUN = "run"
"""Key in a checkpoint's state: the digest of the configuration of the run that it belongs to."""


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """When a run saves where it is; also at each stage's end and when it is told to stop.

    Attributes:
        seconds: Save after a step if the last checkpoint is this old; None for not by time.
        steps: Save after every so many steps; None for not by steps.
    """

    seconds: float | None = 300.0
    steps: int | None = None

    def __post_init__(self):
        """Check the values."""
        seconds, steps = self.seconds, self.steps
        if seconds is not None and (not isinstance(seconds, (int, float)) or not seconds > 0):
            raise InputError(f"seconds: expected a number > 0 or None, got {seconds!r}.")
        whole = isinstance(steps, int) and not isinstance(steps, bool)
        if steps is not None and (not whole or steps < 1):
            raise InputError(f"steps: expected a whole number ≥ 1 or None, got {steps!r}.")

    def clock(self) -> "Clock":
        """Return a clock that starts now."""
        return Clock(self)


class Clock:
    """Says when the next checkpoint is due."""

    def __init__(self, when: Checkpoints):
        self._when = when
        self.reset()

    def reset(self) -> None:
        """Start again: a checkpoint has just been written."""
        self._steps, self._since = 0, time.monotonic()

    def tick(self) -> bool:
        """Count a step and return whether a checkpoint is due after it."""
        self._steps += 1
        steps, seconds = self._when.steps, self._when.seconds
        return (steps is not None and self._steps >= steps) or (
            seconds is not None and time.monotonic() - self._since >= seconds
        )


def write_checkpoint(
    folder: pathlib.Path, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]
) -> pathlib.Path:
    """Write a checkpoint, and remove all but the newest two of the same run.

    Args:
        folder: Where checkpoints are; created if missing.
        arrays: Name → values.
        state: What else there is to know, as JSON. `RUN` in it says which run it is.

    Returns:
        The file. It got its name after its last byte had reached the disk.

    Raises:
        InputError: If it cannot be written. Older checkpoints stay as they are.
    """
    old = checkpoint_files(folder)
    number = 1 + (_number(old[-1]) if old else 0)
    path = folder / f"checkpoint-{number:06d}.zip"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_arrays(path, arrays, state)
    except OSError as error:
        kept = f"The last good one, {old[-1].name}, is intact" if old else "There is none yet"
        raise InputError(
            f"output: a checkpoint could not be written to {str(folder)!r} "
            f"({error.strerror or error}). {kept}. Make room, then start the same command again: "
            "it goes on from there."
        ) from error
    own = [file for file in old if is_of_run(read_state(file), state.get(RUN))]
    for file in own[: len(own) + 1 - KEPT]:
        file.unlink(missing_ok=True)
    return path


def read_checkpoint(
    folder: pathlib.Path, run: str | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Return arrays and state of the newest checkpoint that is whole; None if there is none.

    Every byte is checked against the file's own checksums.

    Args:
        folder: Where checkpoints are.
        run: The run whose checkpoints count; None for any.
    """
    for path in reversed(checkpoint_files(folder)):
        if run is not None and not is_of_run(read_state(path) or {RUN: run}, run):
            continue
        found = read_arrays(path)
        if found is not None:
            return found
    return None


def is_of_run(state: Mapping[str, Any] | None, run: str | None) -> TypeGuard[Mapping[str, Any]]:
    """Return whether a state, or None for one that cannot be read, is one of a run."""
    return state is not None and state.get(RUN) == run


def checkpoint_states(folder: pathlib.Path) -> list[dict[str, Any]]:
    """Return the states of all checkpoints that can be read, without their arrays."""
    states = map(read_state, checkpoint_files(folder))
    return [state for state in states if state is not None]


def remove_checkpoints(folder: pathlib.Path) -> None:
    """Remove what a run wrote into its folder of checkpoints, and the folder if that is all.

    Other files stay, those of a callback of the user's for example; so does a link in the place of
    the folder.
    """
    if not folder.is_dir():
        return
    for names in ("checkpoint-*.zip", "best-epoch-*.zip"):
        remove_partials(folder, names)
    for file in folder.iterdir():
        if NAME.fullmatch(file.name) or BEST_OF_EPOCH.fullmatch(file.name):
            with contextlib.suppress(OSError):
                file.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def checkpoint_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the checkpoints, the oldest first; what is being written has another name."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if NAME.fullmatch(path.name)), key=_number)


def _number(path: pathlib.Path) -> int:
    return int(path.stem.rpartition("-")[2])
