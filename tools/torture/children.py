"""Forks of this process with limits of memory and time, two at a time.

A fork begins with everything imported that this process has imported. That works as long as
nobody here has computed anything with TensorFlow, whose threads a fork does not have.
"""

import contextlib
import os
import pickle
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["AT_ONCE", "Child", "Ended", "fork", "fork_each", "limit_memory"]

AT_ONCE = 2
GIB = 2**30
_FAILED = 70
_nested = False
_open = open
"""The one from before a child lets its disk be full."""


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        value: What the function returned; None unless it returned.
        error: The exception that left the function; the type's name alone if it can't be pickled.
        killed_by: Number of the signal that ended the process, or 0.
        timed_out: Whether it was killed because its time was over.
        output: What it wrote to stdout and stderr.
        seconds: How long it took.
    """

    value: Any
    error: BaseException | str | None
    killed_by: int
    timed_out: bool
    output: str
    seconds: float

    @property
    def trouble(self) -> str | None:
        """What kept the function from returning, in one line; None if it returned."""
        if self.timed_out:
            return f"not done after {self.seconds:.0f} seconds"
        if self.killed_by:
            return f"ended by {signal.Signals(self.killed_by).name}; {self.output[-300:]!r}"
        if self.error is not None:
            kind = self.error if isinstance(self.error, str) else type(self.error).__name__
            return f"{kind}: {str(self.error)[:300]!r}"
        return None


class Child:
    """A fork that runs a function.

    Args:
        function: What it runs; its value is pickled.
        arguments: Of the function.
        seconds: After so many it is killed, with all that it started.
        memory: Bytes of address space that it may take in addition to what there is; None for as
            many as it likes, for children that only start others.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        seconds: float = 120,
        memory: int | None = 6 * GIB,
    ):
        self.folder = tempfile.TemporaryDirectory(prefix="torture_child_")
        self.seconds = seconds
        self.started = time.monotonic()
        self.leads = not _nested
        sys.stdout.flush()
        sys.stderr.flush()
        self.process = os.fork()
        if not self.process:
            _be_a_child(self.folder.name, function, arguments, seconds, memory)
        self._ended: Ended | None = None

    def send(self, number: int) -> None:
        """Send a signal, to all that it started too if this process is no child itself."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if self.leads else os.kill)(self.process, number)

    def poll(self) -> Ended | None:
        """Return how it ended, or None while it runs."""
        if self._ended is None:
            timed_out = time.monotonic() - self.started > self.seconds
            if timed_out:
                self.send(signal.SIGKILL)
            process, status = os.waitpid(self.process, 0 if timed_out else os.WNOHANG)
            if process:
                self._ended = self._read(status, timed_out)
        return self._ended

    def wait(self) -> Ended:
        """Wait for its end and return it."""
        while self.poll() is None:
            time.sleep(0.01)
        return self._ended

    def output(self) -> str:
        """Return what it has written to stdout and stderr until now."""
        path = Path(self.folder.name, "output")
        return path.read_text(errors="replace") if path.exists() else ""

    def _read(self, status: int, timed_out: bool) -> Ended:
        seconds, output = time.monotonic() - self.started, self.output()
        killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        value, error = None, None
        if not killed_by:
            try:
                value, error = pickle.loads(Path(self.folder.name, "end").read_bytes())
            except Exception:
                error = f"exit status {os.waitstatus_to_exitcode(status)} without a value"
        self.folder.cleanup()
        return Ended(value, error, killed_by, timed_out, output, seconds)


def fork(function: Callable[..., Any], *arguments: Any, **limits: Any) -> Ended:
    """Run a function in a fork and return how that ended; limits are those of `Child`."""
    return Child(function, *arguments, **limits).wait()


def fork_each(
    function: Callable[..., Any], cases: Iterable[tuple[str, tuple]], **limits: Any
) -> Iterator[tuple[str, Ended]]:
    """Run a function in a fork for every case, two at a time.

    Args:
        function: What each fork runs.
        cases: Names and arguments.
        limits: Those of `Child`.

    Yields:
        Name and end of each, in the order in which they end.
    """
    running: dict[str, Child] = {}
    left = iter(cases)
    try:
        while True:
            while len(running) < AT_ONCE and (case := next(left, None)) is not None:
                running[case[0]] = Child(function, *case[1], **limits)
            if not running:
                return
            for name in [name for name, child in running.items() if child.poll()]:
                yield name, running.pop(name).wait()
            time.sleep(0.01)
    finally:
        for child in running.values():
            child.send(signal.SIGKILL)
            child.wait()


def _be_a_child(
    folder: str, function: Callable, arguments: tuple, seconds: float, memory: int | None
) -> None:
    global _nested
    status = _FAILED
    try:
        if not _nested:
            os.setpgid(0, 0)
        _nested = True
        output = os.open(os.path.join(folder, "output"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        _limit(seconds, memory)
        try:
            end = (function(*arguments), None)
        except Exception as error:
            traceback.print_exc()
            end = (None, error)
        with _open(os.path.join(folder, "end"), "wb") as file:
            file.write(_pickled(*end))
        sys.stdout.flush()
        sys.stderr.flush()
        status = 0
    finally:
        os._exit(status)


def _limit(seconds: float, memory: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(4 * seconds) + 1,) * 2)
    if memory is not None:
        limit_memory(memory)


def limit_memory(more: int) -> None:
    """Let this process take so many bytes of address space more than it has, for good."""
    with open("/proc/self/statm") as file:
        space = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (space + more,) * 2)


def _pickled(value: Any, error: BaseException | None) -> bytes:
    try:
        content = pickle.dumps((value, error))
        pickle.loads(content)
        return content
    except Exception:
        return pickle.dumps((None, f"{type(error or value).__name__}: {error or ''}"[:500]))
