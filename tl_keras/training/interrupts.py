"""SIGTERM and Ctrl-C while training: the step is finished and saved first."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopAsked(Exception):
    """Leads from the step that was running when a signal came to where the state is saved."""


class StopSignals:
    """Catches the request to stop between entering and leaving a `with` block.

    The first request waits for `check`; a second one does what it always did. Signals that are
    ignored (as `nohup` does) stay ignored. Outside the main thread, where Python allows no
    handlers, nothing is caught.

    Attributes:
        received: The number of the signal that came, or None.
    """

    def __init__(self):
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        """Start catching."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *exception) -> None:
        """Stop catching."""
        self._give_back()

    def check(self) -> None:
        """Raise `StopAsked` if a signal came."""
        if self.received is not None:
            raise StopAsked

    def leave(self, message: str, say: Callable[[str], None]) -> None:
        """Do what the signal asks for: `KeyboardInterrupt`, or the exit code of its number.

        A worker that stops because another one was asked to has no signal of its own, and leaves
        as if it were SIGTERM.

        Args:
            message: What `KeyboardInterrupt` says.
            say: Prints the message where there is no `KeyboardInterrupt` to say it.
        """
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt(message)
        say(message)
        raise SystemExit(128 + (self.received or signal.SIGTERM))

    def _catch(self, number: int, _) -> None:
        self.received = number
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def interruption(path: str | os.PathLike | None) -> str:
    """Return what becomes of a run that was asked to stop; `path` is that of its directory."""
    if path is None:
        return "interrupted; without output=… nothing is saved"
    return (
        f"interrupted; the state is saved in {str(path)!r}, and the same call (with "
        "overwrite=False) resumes there"
    )
