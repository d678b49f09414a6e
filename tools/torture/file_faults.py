"""What happens to a process at its n-th change of a file: it is killed, or the disk is full."""

import builtins
import contextlib
import errno
import io
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

__all__ = ["CHANGES", "FileFaults", "FullDisk", "Kill", "Pause", "file_size_limit"]

CHANGES = ("replace", "rename", "unlink", "rmdir", "array", "fsync", "open")
"""What kills and pauses come before."""


_CALLS = ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "fsync", "truncate", "link")
_NEEDS_ROOM = ("open", "write", "array", "replace", "rename", "mkdir", "fsync", "link")


class FileFaults:
    """Counts what this process does to files, and acts before one of these.

    Operations are `open` (for writing), `write` (of an open file), `array` (the bytes of one in
    an archive), `fsync`, `replace`, `rename`, `unlink`, `rmdir`, `mkdir` and `truncate`. What C++
    code writes is not seen.

    Args:
        at: Number of the operation, from 0, that `fault` is called before; None for none.
        kinds: Names of the operations that count.

    Attributes:
        seen: Names of the operations that counted, in their order.
    """

    def __init__(self, at: int | None, kinds: tuple[str, ...] = CHANGES):
        self.at = at
        self.kinds = kinds
        self.seen: list[str] = []

    @contextlib.contextmanager
    def installed(self) -> Iterator["FileFaults"]:
        """Be in this process until the block ends."""
        with contextlib.ExitStack() as stack:
            for name in _CALLS:
                watched = self._watched(getattr(os, name), name)
                stack.enter_context(mock.patch.object(os, name, watched))
            opening = self._opening(builtins.open)
            write_array = self._halved(np.lib.format.write_array)
            for owner, name, new in (
                (builtins, "open", opening),
                (io, "open", opening),
                (os, "open", self._creating(os.open)),
                (np.lib.format, "write_array", write_array),
            ):
                stack.enter_context(mock.patch.object(owner, name, new))
            yield self

    def install(self) -> "FileFaults":
        """Be in this process for good."""
        self._for_good = self.installed()  # Nobody else holds it, and its end is its exit.
        return self._for_good.__enter__()

    def fault(self, kind: str, finish_half: Callable[[], None]) -> None:
        """Do the harm.

        Args:
            kind: The operation that was about to be.
            finish_half: Does half of it, where it can be halved.
        """
        raise NotImplementedError

    def _count(self, kind: str, finish_half: Callable[[], None] = lambda: None) -> None:
        kind = {"remove": "unlink"}.get(kind, kind)
        if kind not in self.kinds:
            return
        number = len(self.seen)
        self.seen.append(kind)
        if self.at is not None and self.is_due(number):
            self.fault(kind, finish_half)

    def is_due(self, number: int) -> bool:
        """Return whether the harm comes before an operation."""
        return number == self.at

    def _watched(self, original: Callable, name: str) -> Callable:
        def call(*arguments: Any, **named: Any) -> Any:
            self._count(name)
            return original(*arguments, **named)

        return call

    def _opening(self, original: Callable) -> Callable:
        def call(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            if not isinstance(mode, str) or not set(mode) & set("wax+") or file == os.devnull:
                return original(file, mode, *arguments, **named)
            self._count("open")
            stream = original(file, mode, *arguments, **named)
            if "write" in self.kinds:
                write = stream.write

                def watched(content: Any) -> int:
                    self._count("write", lambda: write(content[: len(content) // 2]))
                    return write(content)

                stream.write = watched
            return stream

        return call

    def _creating(self, original: Callable) -> Callable:
        def call(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
            if flags & os.O_CREAT:
                self._count("open")
            return original(path, flags, *arguments, **named)

        return call

    def _halved(self, original: Callable) -> Callable:
        def call(stream: Any, array: np.ndarray, **named: Any) -> None:
            def half() -> None:
                whole = io.BytesIO()
                original(whole, array, **named)
                stream.write(whole.getvalue()[: len(whole.getvalue()) // 2])

            self._count("array", half)
            original(stream, array, **named)

        return call


class Kill(FileFaults):
    """Kills the process before the n-th operation, or half way through it where it can be."""

    def fault(self, kind: str, finish_half: Callable[[], None]) -> None:
        """Kill this process as `kill -9` does."""
        finish_half()
        os.kill(os.getpid(), signal.SIGKILL)


class Pause(FileFaults):
    """Waits before the n-th operation, from when a file is there until another is.

    Args:
        at: Number of the operation.
        here: The file that says that it waits.
        on: The file that it waits for.
    """

    def __init__(self, at: int, here: Path, on: Path):
        super().__init__(at)
        self.here, self.on = here, on

    def fault(self, kind: str, finish_half: Callable[[], None]) -> None:
        """Wait."""
        os.close(os.open(self.here, os.O_CREAT))
        while not self.on.exists():
            time.sleep(0.01)


class FullDisk(FileFaults):
    """Has no room from the n-th operation on, or for this one alone.

    Args:
        at: Number of the first operation that fails.
        lasts: Whether all later ones fail too.
    """

    def __init__(self, at: int | None, lasts: bool = True):
        super().__init__(at, _NEEDS_ROOM)
        self.lasts = lasts

    def is_due(self, number: int) -> bool:
        """Return whether there is no room for an operation."""
        return number >= self.at if self.lasts else number == self.at

    def fault(self, kind: str, finish_half: Callable[[], None]) -> None:
        """Raise what the system says of a full disk."""
        finish_half()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def file_size_limit(most: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes until the block ends."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
