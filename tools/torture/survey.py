"""Going through hostile files in one process: each is refused in one line, or does no harm."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tl_keras.errors import InputError, printable

__all__ = ["Survey", "survey"]

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
    """

    tried: int = 0
    refused: int = 0
    harmless: int = 0
    lost: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    seconds: float = 0.0


def survey(
    cases: Iterable[tuple[str, bytes]],
    read: Callable[[str], Any],
    harmless: Callable[[str, Any], bool],
    after: Callable[[], str | None],
    suffix: str,
) -> Survey:
    """Read every file, and look after each whether all is as before.

    Args:
        cases: Names and files.
        read: The code under test; takes the path of a file.
        harmless: Tells of a case's name and of what was read whether that is right.
        after: Returns what is wrong now, in words, or None.
        suffix: What the files' names end with.
    """
    result = Survey()
    with tempfile.TemporaryDirectory(prefix="torture_") as folder:
        path = os.path.join(folder, f"case{suffix}")
        for name, content in cases:
            with open(path, "wb") as file:
                file.write(content)
            start = time.perf_counter()
            trouble = _try(result, name, read, path, harmless)
            spent = time.perf_counter() - start
            result.tried += 1
            result.seconds += spent
            result.slowest = max(result.slowest, (spent, name))
            trouble = trouble or after()
            if trouble:
                result.lost.append(f"{name}: {trouble}")
    return result


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
        return f"{type(error).__name__} in place of InputError"
    if not harmless(name, value):
        return "was read"
    result.harmless += 1
    return None
