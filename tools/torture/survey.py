"""Going through hostile files in one process: each is refused in one line, or does no harm."""

import os
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tl_keras.utils.errors import InputError, printable
from tools.torture.children import Ended
from tools.torture.figures import Figures

__all__ = ["Survey", "drawn", "figures_of", "survey"]

_LONGEST_MESSAGE = 700


@dataclass
class Survey:
    """What came of each file.

    Attributes:
        tried: Files.
        refused: With `InputError` in one readable line.
        harmless: Read, and what was read is right.
        lost: Case and what happened, of all others.
        slowest: Seconds and case of the file that took longest.
        seconds: In the code under test, over all files.
        grown: Bytes of memory that the process took for them at most.
    """

    tried: int = 0
    refused: int = 0
    harmless: int = 0
    lost: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    seconds: float = 0.0
    grown: int = 0


def survey(
    cases: Iterable[tuple[str, Any]],
    read: Callable[[str], Any],
    harmless: Callable[[str, Any], bool],
    after: Callable[[], str | None],
    suffix: str,
    write: Callable[[Any, str], Any] | None = None,
) -> Survey:
    """Read every file, and look after each whether all is as before.

    Args:
        cases: Names and files, as bytes or as functions that make these.
        read: The code under test; takes the path of a file.
        harmless: Tells of a case's name and of what was read whether that is right.
        after: Returns what is wrong now, in words, or None.
        suffix: What the files' names end with.
        write: Writes a case's file or folder to a path, where cases are not bytes.
    """
    result = Survey()
    before = _most_memory()
    with tempfile.TemporaryDirectory(prefix="torture_") as folder:
        path = os.path.join(folder, f"case{suffix}")
        for name, content in cases:
            (write or _write_bytes)(content, path)
            start = time.perf_counter()
            trouble = _try(result, name, read, path, harmless)
            spent = time.perf_counter() - start
            result.tried += 1
            result.seconds += spent
            result.slowest = max(result.slowest, (spent, name))
            trouble = trouble or after()
            if trouble:
                result.lost.append(f"{name}: {trouble}")
            if os.path.isdir(path):
                shutil.rmtree(path)
    result.grown = _most_memory() - before
    return result


def drawn(
    cases: Iterable[tuple[str, Any]], count: int | None, chosen: random.Random
) -> list[tuple[str, Any]]:
    """Return about `count` cases, some of each family; all if `count` is None.

    Args:
        cases: Names and what belongs to them. A family's name stands before the slash.
        count: How many.
        chosen: Draws them.
    """
    families: dict[str, list[tuple[str, Any]]] = {}
    for case in cases:
        families.setdefault(case[0].partition("/")[0], []).append(case)
    if count is None:
        return [case for family in families.values() for case in family]
    share = -(-count // len(families))
    return [
        case
        for family in families.values()
        for case in chosen.sample(family, min(share, len(family)))
    ]


def figures_of(ended: Ended, most_memory: int) -> Figures:
    """Return the figures of a survey that ran in a child.

    Args:
        ended: How the child ended; its value is a `Survey`.
        most_memory: Bytes that it may have taken.
    """
    if ended.trouble:
        return Figures(1, [ended.trouble])
    found: Survey = ended.value
    figures = Figures(found.tried, list(found.lost))
    if found.grown > most_memory:
        figures.add("memory", f"{found.grown / 2**20:.0f} MiB were taken")
    seconds, name = found.slowest
    figures.note = (
        f"{found.refused} refused, {found.harmless} read right; {found.grown / 2**20:.0f} MiB; "
        f"slowest {seconds:.2f} s ({name})"
    )
    return figures


def _write_bytes(content: bytes | Callable[[], bytes], path: str) -> None:
    with open(path, "wb") as file:
        file.write(content() if callable(content) else content)


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _try(
    result: Survey,
    name: str,
    read: Callable[[str], Any],
    path: str,
    harmless: Callable[[str, Any], bool],
) -> str | None:
    try:
        value = read(path)
    except InputError as error:
        message = str(error)
        if message != printable(message) or len(message) > _LONGEST_MESSAGE:
            return f"a message that can't be shown: {message[:200]!r}"
        result.refused += 1
        return None
    except Exception as error:
        return f"{type(error).__name__} in place of InputError: {str(error)[:160]!r}"
    if not harmless(name, value):
        return "was read"
    result.harmless += 1
    return None
