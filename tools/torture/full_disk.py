"""A disk that is full at any write: one line of error, nothing half, and all that was there."""

import contextlib
import io
import random
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tl_keras.utils.errors import InputError, printable
from tools.torture import tiny_run
from tools.torture.children import Ended, fork, fork_each
from tools.torture.disk_writers import WRITERS, Prepared, prepare
from tools.torture.figures import Figures
from tools.torture.file_faults import FullDisk, file_size_limit

SIZES = (0, 1, 100, 1000, 2000, 4096, 6000, 8192, 12_000, 16_384, 20_000, 25_000, 32_768, 65_536)
"""Bytes beyond which no file may grow, which limits what C++ code writes too."""

KINDS = ((False, True), (False, False), (True, True))
"""Whether a fault is a limit of sizes, and whether it lasts."""

EVERY_WRITE = 5
"""Of the writes of a training, most of which are headers of arrays, one of so many fails."""

BATCH = 20
SECONDS = 900
LONGEST_MESSAGE = 700


def run(seed: int = 0, quick: bool = False) -> Figures:
    """Let the disk be full at the writes of a training, of exports, reports and predictions."""
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="full_disk_") as temporary:
        folder = Path(temporary)
        jobs = {"training": (_training, *_of_training(folder, seed, quick))}
        chosen = random.Random(seed)
        names = [[name] for name in sorted(WRITERS)]
        if quick:  # Both after one preparation.
            names = [chosen.sample(sorted(WRITERS), 2)]
        jobs |= {some[0]: (_writers, folder / some[0], some, quick) for some in names}
        cases = []
        for name, (function, *arguments) in jobs.items():
            if name == "training":
                path, faults, end = arguments
                for start in range(0, len(faults), BATCH):
                    part = faults[start : start + BATCH]
                    cases.append((f"{name} {start}", (function, path / str(start), part, end)))
            else:
                cases.append((name, (function, *arguments)))
        for name, ended in fork_each(_call, cases, seconds=SECONDS):
            if ended.trouble:
                figures.add(name, ended.trouble)
            else:
                figures.extend(ended.value)
    return figures


def _call(function: Callable, *arguments: Any) -> list[tuple[str, str | None]]:
    return function(*arguments)


def _of_training(folder: Path, seed: int, quick: bool) -> tuple[Path, list[Any], dict | None]:
    """Return a folder, faults, and how an undisturbed run ends."""
    whole: Ended = fork(_undisturbed, folder / "whole", seconds=SECONDS)
    if whole.trouble:
        raise RuntimeError(f"an undisturbed run: {whole.trouble}")
    end, seen = whole.value
    chosen = random.Random(seed)
    first = chosen.randrange(EVERY_WRITE)
    numbers = [n for n, kind in enumerate(seen) if kind != "write" or n % EVERY_WRITE == first]
    faults: list[Any] = [(number, seen[number], True) for number in numbers]
    faults += [(number, seen[number], False) for number in numbers[::3]]
    faults += [(size, "limit", True) for size in SIZES]
    if quick:  # The disk is full from there on, once, and at a size.
        kinds = [[one for one in faults if (one[1] == "limit", one[2]) == kind] for kind in KINDS]
        faults = [chosen.choice(some) for some in kinds]
    return folder, faults, end


def _undisturbed(folder: Path) -> tuple[dict, list[str]]:
    with FullDisk(None).installed() as watch:
        return tiny_run.train(folder), watch.seen


def _training(folder: Path, faults: Sequence[Any], end: dict) -> list[tuple[str, str | None]]:
    """Train with every fault, and again without; all in this process, which is fast."""
    found, resumed = [], {}
    for number, fault in enumerate(faults):
        path = folder / str(number)
        found.append((f"training, {_named(fault)}", _train_once(path, fault, end, resumed)))
        shutil.rmtree(path, ignore_errors=True)
    return found


def _train_once(folder: Path, fault: Any, end: dict, resumed: dict) -> str | None:
    said = io.StringIO()
    error, value = _faulty(fault, lambda: tiny_run.train(folder, verbose=True), said)
    if value is None:
        trouble = what_is_wrong(error)
        left = tiny_run.leftovers(folder, finished=False)
        if trouble or left:
            return trouble or f"left: {left}"
    stored = "frozen layers run in every epoch" not in said.getvalue()
    if value is None:
        # Directories with the same files of the same sizes resume alike.
        state = stored, _state(folder)
        if state not in resumed:
            try:
                value = tiny_run.train(folder)
            except Exception as again:
                return f"not resumed: {type(again).__name__}: {again}"
            resumed[state] = tiny_run.leftovers(folder) and f"left: {tiny_run.leftovers(folder)}"
            resumed[state] = resumed[state] or _compare(value, end, stored)
        return resumed[state]
    return _compare(value, end, stored)


def _compare(value: dict, end: dict, stored: bool) -> str | None:
    if stored:
        return tiny_run.same_end(value, end)
    return None if tiny_run.is_close(value, end) else "other weights than an undisturbed run's"


def _state(folder: Path) -> tuple:
    files = (path for path in folder.rglob("*") if path.suffix != ".json")
    return tuple(sorted((str(path.relative_to(folder)), path.stat().st_size) for path in files))


def _faulty(
    fault: Any, write: Callable[[], Any], said: io.StringIO | None = None
) -> tuple[Exception | None, Any]:
    """Call a function while the disk has a fault; return its error and its value."""
    number, kind, lasts = fault
    limited = kind == "limit"
    trouble = file_size_limit(number) if limited else FullDisk(number, lasts).installed()
    said = io.StringIO() if said is None else said
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), trouble:
                return None, write()
        except Exception as error:
            return error, None


def what_is_wrong(error: Exception | None) -> str | None:
    """Return what is wrong with the error of a full disk; None if it is one readable line."""
    message = str(error)
    if not isinstance(error, InputError):
        return f"{type(error).__name__} in place of InputError: {message[:300]!r}"
    if "\n" in message or message != printable(message) or len(message) > LONGEST_MESSAGE:
        return f"not one readable line: {message[:300]!r}"
    return None


def _named(fault: Any) -> str:
    number, kind, lasts = fault
    if kind == "limit":
        return f"files of {number} bytes at most"
    return f"{kind} {number} fails" + (", and all after it" if lasts else "")


def _writers(folder: Path, names: list[str], quick: bool) -> list[tuple[str, str | None]]:
    """Write with every fault, to where there is nothing and over an earlier result."""
    folder.mkdir()
    prepared = prepare(folder / "inputs")
    found = [_writer(folder / str(n), name, prepared, quick) for n, name in enumerate(names)]
    return [case for some in found for case in some]


def _writer(
    folder: Path, name: str, prepared: Prepared, quick: bool
) -> list[tuple[str, str | None]]:
    folder.mkdir()
    target, write = WRITERS[name]
    with FullDisk(None).installed() as watch:
        write(prepared, folder / "earlier" / target)
    faults: list[Any] = [(n, kind, n % 3 > 0) for n, kind in enumerate(watch.seen)]
    faults += [(size, "limit", True) for size in SIZES]
    if quick:
        faults = random.Random(name).sample(faults, min(4, len(faults)))
    found = []
    for number, fault in enumerate(faults):
        path = folder / str(number)
        if number % 2:
            shutil.copytree(folder / "earlier", path)
        else:
            path.mkdir()
        trouble = _write_once(prepared, path, target, write, fault)
        found.append((f"{name}, {_named(fault)}", trouble))
        shutil.rmtree(path)
    return found


def _write_once(
    prepared: Any, folder: Path, target: str, write: Callable, fault: Any
) -> str | None:
    before = _contents(folder)
    error, value = _faulty(fault, lambda: write(prepared, folder / target) or True)
    if value is None:
        trouble = what_is_wrong(error)
        if trouble:
            return trouble
        if _contents(folder) != before:
            return "what was there has changed, or something half is there"
    write(prepared, folder / target)
    left = tiny_run.leftovers(folder)
    return f"left: {left}" if left else None


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
