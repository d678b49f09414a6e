"""Two names swapped in one step, so that a reader finds one or the other at any time."""

import ctypes
import functools
import os
from collections.abc import Callable
from pathlib import Path

_HERE = -100
"""`AT_FDCWD`: paths count from the working directory."""
_EXCHANGE = 2
"""`RENAME_EXCHANGE` of Linux's `renameat2`, and `RENAME_SWAP` of macOS' `renamex_np`."""


def exchange(one: Path, other: Path) -> bool:
    """Swap the names of two files or folders of one file system.

    Returns:
        Whether they are swapped. False leaves both as they are: not every system, nor every file
        system, can.
    """
    names = os.fsencode(one), os.fsencode(other)
    call = _system_call()
    return call is not None and call(*names) == 0


@functools.cache
def _system_call() -> Callable[[bytes, bytes], int] | None:
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows has no library of its own process.
        return None
    if hasattr(library, "renameat2"):
        return lambda one, other: library.renameat2(_HERE, one, _HERE, other, _EXCHANGE)
    if hasattr(library, "renamex_np"):
        return lambda one, other: library.renamex_np(one, other, _EXCHANGE)
    return None
