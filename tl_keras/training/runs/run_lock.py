"""One run directory, one run at a time."""

import contextlib
import json
import os
import pathlib
import socket
import time
from collections.abc import Iterator

from tl_keras.utils import locks
from tl_keras.utils.errors import InputError, warn_user

LOCK_FILE = "run.lock"


@contextlib.contextmanager
def run_lock(folder: pathlib.Path) -> Iterator[bool]:
    """Keep other runs out of a directory until the block ends, or this process dies.

    Args:
        folder: The run's directory.

    Yields:
        Whether the directory is locked. On a file system or a system without locks it is not,
        which a warning says.

    Raises:
        InputError: If another run has the directory; says which.
        OSError: If the lock's file cannot be made.
    """
    lock = locks.FileLock(folder / LOCK_FILE)
    if not _acquire(lock):
        raise InputError(
            f"output: {str(folder)!r} is in use by another run ({_holder(lock)}). Choose another "
            "directory, wait until that run has ended, or stop it."
        )
    try:
        yield lock.is_held
    finally:
        with contextlib.suppress(OSError):  # What ended the block is what has to be told.
            lock.release()


def _acquire(lock: locks.FileLock) -> bool:
    """Return whether nobody else holds the lock, as far as that can be told."""
    if locks.fcntl is not None:
        try:
            return lock.acquire(_note())
        except OSError as error:
            if error.errno not in locks.UNSUPPORTED:
                raise
            with contextlib.suppress(OSError):
                lock.path.unlink()
    warn_user(
        f"{str(lock.path.parent)!r} cannot be locked here: take care that no two runs use it at "
        "the same time."
    )
    return True


def _note() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return json.dumps({"host": socket.gethostname(), "process": os.getpid(), "since": since})


def _holder(lock: locks.FileLock) -> str:
    try:
        note = json.loads(lock.note())
        return f"process {note['process']} on {note['host']}, since {note['since']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "which has only begun"
