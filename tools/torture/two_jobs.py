"""Two jobs with one output directory: one is refused, and what is resumed is one of the two."""

import errno
import itertools
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from tl_keras.utils import locks
from tl_keras.utils.errors import InputError
from tools.torture import tiny_run
from tools.torture.children import Child, Ended, fork, fork_each
from tools.torture.figures import Figures
from tools.torture.file_faults import Kill, Pause

MOMENTS = (0.0, 0.1, 0.5, 0.97)
"""Where the first job is when the second begins: shares of all that it does to files."""

THEN = ("goes on", "both killed, resumed as 0", "both killed, resumed as 1")
SECONDS = 240


def run(seed: int = 0, quick: bool = False) -> Figures:
    """Start a second job at several moments of a first, as the same command and as another."""
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="two_jobs_") as temporary:
        folder = Path(temporary)
        cases = [
            (f"{moment:.0%}, seed {second}, {options}, locks {locked}, {then}", moment, *rest)
            for moment, *rest in itertools.product(
                MOMENTS, (0, 1), ({}, {"overwrite": True}), (True, False), THEN
            )
            for second, options, locked, then in [rest]
            if locked or (then != "goes on" and not options)
        ]
        if quick:
            chosen = random.Random(seed)
            of_each = (
                [case for case in cases if (case[-1] == THEN[0]) == on] for on in (True, False)
            )
            cases = [chosen.choice(some) for some in of_each]
        needed = {(0, locked) for *_, locked, _ in cases} | {
            (second if then == THEN[0] else 1, locked) for *_, second, _, locked, then in cases
        }
        alone = {
            (one, locked): fork(_watched, folder / f"{one}{locked}", one, locked, seconds=SECONDS)
            for one, locked in sorted(needed)
        }
        for which, ended in alone.items():
            if ended.trouble:
                figures.add(f"job alone, {which}", ended.trouble)
                return figures
        ends = {which: ended.value[0] for which, ended in alone.items()}
        counts = {locked: ended.value[1] for (one, locked), ended in alone.items() if not one}
        forks = (
            (name, (folder / str(number), int(moment * counts[rest[2]]), *rest, ends))
            for number, (name, moment, *rest) in enumerate(cases)
        )
        for name, ended in fork_each(_case, forks, seconds=4 * SECONDS, memory=None):
            figures.add(name, ended.trouble or ended.value)
    return figures


def _watched(folder: Path, seed: int, locked: bool) -> tuple[dict, int]:
    """Train alone; without locks there are no feature stores, which changes the last bits."""
    kill = Kill(None)
    return _job(folder, seed, {}, locked, kill), len(kill.seen)


def _job(folder: Path, seed: int, options: dict, locked: bool, pause: Any = None) -> dict:
    if not locked:
        locks.fcntl.flock = _refuse
    if pause is not None:
        pause.install()
    return tiny_run.train(folder, seed, **options)


def _refuse(*_: Any) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _case(
    folder: Path,
    at: int,
    second: int,
    options: dict,
    locked: bool,
    then: str,
    ends: dict[tuple[int, bool], dict],
) -> str | None:
    """Return what went wrong with two jobs, the first of which waits before an operation."""
    folder.mkdir()
    here, on = folder / "here", folder / "on"
    first = Child(_job, folder, 0, {}, locked, Pause(at, here, on), seconds=2 * SECONDS)
    while not here.exists() and not first.poll():
        time.sleep(0.02)
    if first.poll():
        return f"the first ended before the second began: {first.poll().trouble}"
    if then == "goes on":
        other = fork(_job, folder, second, options, locked, seconds=SECONDS)
        on.touch()
        return _undisturbed(first.wait(), other, second, ends)
    killing = Kill(at + 40)
    other = fork(_job, folder, second, options, locked, killing, seconds=SECONDS)
    first.send(signal.SIGKILL)
    first.wait()
    refused = _refusal(other)
    if locked and at > 10 and not refused:
        return f"the second was not refused: {other.trouble}"
    seeds = [int(then[-1]), 1 - int(then[-1])]
    right = 0
    for one in seeds:
        resumed = fork(_job, folder, one, {}, locked, seconds=SECONDS)
        if resumed.value is not None:
            different = tiny_run.same_end(resumed.value, ends[one, locked])
            if different:
                return f"resumed with seed {one}: {different}"
            right += 1
        elif not _refusal(resumed):
            return f"resumed with seed {one}: {resumed.trouble}"
    shutil.rmtree(folder)
    return None if right == 1 else f"{right} of two commands went on in one directory"


def _undisturbed(first: Ended, other: Ended, second: int, ends: dict) -> str | None:
    """Return what is wrong where both jobs were let go on."""
    right = 0
    for who, ended, seed in (("first", first, 0), ("second", other, second)):
        if ended.value is not None:
            different = tiny_run.same_end(ended.value, ends[seed, True])
            if different:
                return f"the {who}: {different}"
            right += 1
        elif not _refusal(ended):
            return f"the {who}: {ended.trouble}"
    return None if right else "both were refused"


def _refusal(ended: Ended) -> str | None:
    """Return the line in which a job was refused; None if it was not, or not in one line."""
    message = str(ended.error)
    fine = isinstance(ended.error, InputError) and message.startswith("output: ")
    return message if fine and "Choose another directory" in message else None
