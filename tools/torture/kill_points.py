"""Runs that are killed at the n-th change of a file, and end as the run that nobody killed."""

import random
import shutil
import signal
import tempfile
from collections import Counter
from pathlib import Path

from tools.torture import tiny_run
from tools.torture.children import fork, fork_each
from tools.torture.figures import Figures
from tools.torture.file_faults import Kill

QUICK = ("replace", "unlink", "array", "fsync")
SECONDS = 240


def run(seed: int = 0, quick: bool = False) -> Figures:
    """Kill a run at every change of a file, or at one of each kind, and resume it."""
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="kill_points_") as temporary:
        folder = Path(temporary)
        whole = fork(_watched, folder / "whole", seconds=SECONDS)
        if whole.trouble:
            figures.add("undisturbed", whole.trouble)
            return figures
        end, seen = whole.value
        numbers = _one_of_each(seen, seed) if quick else list(range(len(seen)))
        cases = (
            (f"{seen[number]} {number}", (folder / str(number), number, end)) for number in numbers
        )
        for name, ended in fork_each(_killed_and_resumed, cases, seconds=2 * SECONDS, memory=None):
            figures.add(name, ended.trouble or ended.value)
        counts = Counter(seen[number] for number in numbers)
    figures.note = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return figures


def _one_of_each(seen: list[str], seed: int) -> list[int]:
    chosen = random.Random(seed)
    return [chosen.choice([n for n, kind in enumerate(seen) if kind == one]) for one in QUICK]


def _watched(folder: Path) -> tuple[dict, list[str]]:
    """Train undisturbed, and return the end and what was done to files."""
    kill = Kill(None).install()
    return tiny_run.train(folder), kill.seen


def _killed(folder: Path, number: int) -> None:
    Kill(number).install()
    tiny_run.train(folder)


def _killed_and_resumed(folder: Path, number: int, end: dict) -> str | None:
    """Return what is wrong after a run was killed at an operation and started again."""
    killed = fork(_killed, folder, number, seconds=SECONDS)
    if killed.killed_by != signal.SIGKILL or killed.timed_out:
        return killed.trouble or "ended before it was killed"
    resumed = fork(tiny_run.train, folder, seconds=SECONDS)
    if resumed.trouble:
        return f"not resumed: {resumed.trouble}"
    left = tiny_run.leftovers(folder)
    shutil.rmtree(folder)
    return tiny_run.same_end(resumed.value, end) or (f"left: {left}" if left else None)
