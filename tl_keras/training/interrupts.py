"""SIGTERM and Ctrl-C while training: the step is finished and saved first."""

import signal
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopAsked(Exception):
    """Leads from the step that was running when a signal came to where the state is saved."""


class StopSignals:
    """Catches the request to stop between entering and leaving a `with` block.

    The first request waits for `check`; a second one does what it always did. Outside the main
    thread, where Python allows no handlers, nothing is caught.
    """

    def __init__(self):
        self._received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        """Start catching."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._catch) for number in SIGNALS}
        return self

    def __exit__(self, *exception) -> None:
        """Stop catching."""
        self._give_back()

    def check(self) -> None:
        """Raise `StopAsked` if a signal came."""
        if self._received is not None:
            raise StopAsked

    def leave(self) -> None:
        """Do what the signal asks for: `KeyboardInterrupt`, or the exit code of its number."""
        if self._received == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self._received)

    def _catch(self, number: int, _) -> None:
        self._received = number
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
