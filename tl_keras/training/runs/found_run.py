"""What a run finds in its directory: nothing, itself on the way or finished, or what is in its way.

Whatever somebody may want back is moved to a folder of its own, never removed.
"""

import enum
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from tl_keras.training.runs.array_files import checked_state
from tl_keras.training.runs.checkpoints import BEST_OF_EPOCH, RUN, checkpoint_files, is_of_run
from tl_keras.training.runs.identity import check_same_run
from tl_keras.training.runs.run_directory import (
    CONFIG_FILE,
    HISTORY_FILE,
    MODEL_FILE,
    RUN_FILES,
    SUMMARY_FILE,
    RunDirectory,
)
from tl_keras.utils.errors import InputError, listed, warn_user
from tl_keras.utils.regular_files import read_regular

ASIDE = "set-aside-{}"
REMEDY = "Choose another directory, or pass overwrite=True to replace what is there."


_Words = tuple[str, str]  # Of one file, and of several.
_DAMAGED: _Words = ("is damaged and is passed over", "are damaged and are passed over")
_OF_OTHERS: _Words = ("belongs to another run", "belong to another run")
_NO_FILE: _Words = (
    "has the name of a run's file or folder",
    "have names of a run's files or folders",
)
_NOT_NEEDED: _Words = ("goes with damaged files", "go with damaged files")
_LEFT: _Words = ("is left of a run that cannot resume", "are left of a run that cannot resume")
_NO_CHECKPOINT = (
    "{} holds the configuration of a run and no checkpoint to resume from: this run begins at "
    "epoch 1"
)
_Unusable = dict[pathlib.Path, _Words]
_WHAT_NOW = (" The run begins at epoch 1.", " The run resumes.", " The run is finished.")


class Found(enum.IntEnum):
    """How far the run that is asked for has come."""

    NOTHING = 0
    BEGUN = 1
    FINISHED = 2


def prepare(
    directory: RunDirectory, config: dict[str, Any], *, resume: bool, overwrite: bool
) -> tuple[Found, list[str]]:
    """Look at what is in a locked directory, and make it ready for a run.

    A run that was stopped before its first step has nothing to lose, and counts as none. What
    cannot be read, or belongs to another run, is moved aside with a warning.

    Args:
        directory: Of the run.
        config: The run's configuration, whose digest is `directory.run`.
        resume: Whether the same run may be there.
        overwrite: Whether any may.

    Returns:
        How far the run has come, and lines to be told: about small differences, or that there is a
        configuration alone.

    Raises:
        InputError: If another run is there, or this one and `resume` is False; nothing has changed
            then.
    """
    with directory.readable_errors():
        there = _There(directory)
        if overwrite:
            is_run = there.is_anything or there.config is not None
            left = {} if is_run else dict.fromkeys(there.rest, _LEFT)
            _move_aside(directory, dict.fromkeys(there.misplaced, _NO_FILE) | left)
            directory.clear()
            directory.write_json(CONFIG_FILE, config)
            return Found.NOTHING, []
        if not resume and there.is_anything:
            raise InputError(
                f"output: {str(directory.path)!r} already holds a run, which is not overwritten. "
                "Choose another directory, or pass resume=True to continue it or overwrite=True "
                "to replace it."
            )
        lines = _check(there, directory, config) if there.is_anything else []
        if there.is_finished:
            found, unusable = Found.FINISHED, {}
        else:
            found, unusable = _begun(there, directory)
        unusable |= dict.fromkeys(there.misplaced, _NO_FILE)
        _move_aside(directory, unusable, _WHAT_NOW[found])
        if found == Found.NOTHING:
            directory.clear_checkpoints()
            lines = [_NO_CHECKPOINT.format(directory.path)] if there.config is not None else []
        if found == Found.NOTHING or there.config is None:
            directory.write_json(CONFIG_FILE, config)
        return found, lines


class _There:
    """What is in a directory.

    Attributes:
        config: Of the run that is there, or None if it cannot be read.
        is_finished: Whether there is a model.
        states: Checkpoint → its state, or None where it is damaged; the oldest first.
        misplaced: What has the name of a file or folder of a run and is not one.
        rest: What a run leaves only once it has trained.
    """

    def __init__(self, directory: RunDirectory):
        path, folder = directory.path, directory.checkpoints
        self.misplaced = [path / name for name in RUN_FILES if (path / name).is_dir()]
        if os.path.lexists(folder) and not folder.is_dir():
            self.misplaced.append(folder)
        self.config = _json_dict(path / CONFIG_FILE)
        self.is_finished = (path / MODEL_FILE).is_file()
        self.states = {} if self.is_finished else _states(folder)
        self.rest = [
            path / name
            for name in RUN_FILES
            if name not in (CONFIG_FILE, HISTORY_FILE) and (path / name).is_file()
        ]
        if (path / HISTORY_FILE).is_file() and _json_dict(path / HISTORY_FILE) != {}:
            self.rest.append(path / HISTORY_FILE)
        if folder.is_dir():
            best = (one for one in folder.iterdir() if BEST_OF_EPOCH.fullmatch(one.name))
            self.rest += sorted(best)

    @property
    def progress(self) -> dict[pathlib.Path, dict[str, Any] | None]:
        """Checkpoints, damaged ones too, that somebody has something to lose with."""
        return {path: state for path, state in self.states.items() if not _is_start(state)}

    @property
    def is_anything(self) -> bool:
        """Whether there is anything to lose."""
        return self.is_finished or bool(self.progress)


def _states(folder: pathlib.Path) -> dict[pathlib.Path, dict[str, Any] | None]:
    """Return the states of all checkpoints, None where a byte is wrong."""
    found = {path: checked_state(path) for path in checkpoint_files(folder)}
    return {p: state if _is_position(state) else None for p, state in found.items()}


def _is_position(state: Any) -> bool:
    return isinstance(state, dict) and {"epoch", "step", "best_epoch"} <= state.keys()


def _is_start(state: Mapping[str, Any] | None) -> bool:
    return state is not None and (state["epoch"], state["step"]) == (0, 0)


def _check(there: _There, directory: RunDirectory, config: dict[str, Any]) -> list[str]:
    """Raise `InputError` if another run is there, and return lines about small differences."""
    if there.config is not None:
        return check_same_run(there.config, config)
    if there.is_finished:
        runs = {(_json_dict(directory.path / SUMMARY_FILE) or {}).get(RUN)}
    else:
        runs = {state.get(RUN) for state in there.progress.values() if state is not None}
    where = f"output: {str(directory.path)!r} holds a run whose {CONFIG_FILE} cannot be read"
    if directory.run in runs:
        warn_user(
            f"{where}. It is the run that is asked for, as its other files say, and "
            f"{CONFIG_FILE} is written again."
        )
    elif runs:
        told = "which has other settings" if runs != {None} else "and nothing says which it is"
        raise InputError(f"{where}, {told}. Its other files are as they were. {REMEDY}")
    return []


def _begun(there: _There, directory: RunDirectory) -> tuple[Found, _Unusable]:
    """Return whether checkpoints let the run resume, and what cannot be used.

    The newest whole checkpoint counts if the weights of its best epoch are whole too; else the one
    before it, if these are; else the newest without them.
    """
    own = {p: state for p, state in there.states.items() if is_of_run(state, directory.run)}
    others = {
        path: _DAMAGED if state is None else _OF_OTHERS
        for path, state in there.progress.items()
        if path not in own
    }
    if not own or not (there.progress or there.rest):
        return Found.NOTHING, others | dict.fromkeys(there.rest, _LEFT)
    kept = [path for path in there.rest if path.parent == directory.checkpoints]
    states = {path: checked_state(path) for path in kept}
    damaged = {
        path: _DAMAGED if state is None else _OF_OTHERS
        for path, state in states.items()
        if not is_of_run(state, directory.run)
    }
    whole = {None, *kept} - {*damaged}
    bests = {path: _best_of(directory, state) for path, state in own.items()}
    paths = list(own)
    complete = [path for path in paths if bests[path] in whole]
    chosen = next((p for p in reversed(complete) if not _is_start(own[p])), None)
    if chosen is None:
        chosen = paths[-1]
        best = bests[chosen]
        if best is not None and best not in whole:
            warn_user(
                f"{best.name}, the weights of the best epoch so far, cannot be read: the "
                "run resumes without them, and the best epoch is one of those to come."
            )
    later = paths[paths.index(chosen) + 1 :]
    return Found.BEGUN, others | dict.fromkeys(later, _NOT_NEEDED) | damaged


def _best_of(directory: RunDirectory, state: Mapping[str, Any]) -> pathlib.Path | None:
    epoch = state["best_epoch"]
    return None if epoch is None else directory.best_weights_file(epoch)


def _move_aside(directory: RunDirectory, unusable: _Unusable, what_now: str = "") -> None:
    """Move what cannot be used into a folder of its own, with a warning that says where."""
    if not unusable:
        return
    folder = _new_folder(directory.path)
    for path in unusable:
        target = folder / path.relative_to(directory.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(path, target)
    reasons = []
    for one, several in dict.fromkeys(unusable.values()):
        names = [path.name for path, why in unusable.items() if why == (one, several)]
        shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
        reasons.append(f"{listed(shown)} {one if len(names) == 1 else several}")
    warn_user(f"output: {'; '.join(reasons)}. All that is kept in {str(folder)!r}.{what_now}")


def _new_folder(parent: pathlib.Path) -> pathlib.Path:
    number = 1
    while True:
        folder = parent / ASIDE.format(number)
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def _json_dict(path: pathlib.Path) -> dict[str, Any] | None:
    """Return what a JSON file holds, or None if that is no dict or cannot be read."""
    try:
        content = json.loads(read_regular(path).decode())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
