"""Locks between processes, in files."""

import os
import pathlib
import time

try:
    import fcntl
except ImportError:
    fcntl = None

STALE_SECONDS = 600.0
REFRESH_SECONDS = 60.0


class FileLock:
    """A lock that one holder has, in this process or another; a process that dies loses its locks.

    Where the system has `flock`, the lock is the system's. Elsewhere the file's being there is
    the lock, and it counts for nothing once it has not been refreshed for ten minutes.

    Args:
        path: The file. It is there while the lock is held, and goes with it.

    Example:
        >>> lock = FileLock("shard.lock")
        >>> if lock.acquire():
        ...     lock.release()
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self._file: int | None = None
        self._refreshed = 0.0

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file is not None

    def acquire(self) -> bool:
        """Take the lock unless another has it, without waiting, and return whether it is held.

        Raises:
            OSError: If the file cannot be made.
        """
        if not self.is_held:
            self._file = self._lock_by_system() if fcntl else self._lock_by_creation()
            self._refreshed = time.monotonic()
        return self.is_held

    def refresh(self) -> None:
        """Show that the holder lives; to be called now and then while the lock is held."""
        if self.is_held and time.monotonic() - self._refreshed > REFRESH_SECONDS:
            self._refreshed = time.monotonic()
            os.utime(self.path)

    def release(self) -> None:
        """Give the lock back and remove the file; nothing happens if it is not held."""
        if self.is_held:
            self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def __del__(self):
        """Give the lock back when nobody knows the object any more."""
        if getattr(self, "_file", None) is not None:
            self.release()

    def _lock_by_system(self) -> int | None:
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file), os.stat(self.path)):
                    return file
            except FileNotFoundError:
                pass  # the holder before removed it meanwhile, so that the lock is of no file
            except BlockingIOError:
                os.close(file)
                return None
            except BaseException:
                os.close(file)
                raise
            os.close(file)

    def _lock_by_creation(self) -> int | None:
        for _ in range(2):
            try:
                return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            except FileExistsError:
                try:
                    age = time.time() - self.path.stat().st_mtime
                except FileNotFoundError:
                    continue
                if age < STALE_SECONDS:
                    return None
                self.path.unlink(missing_ok=True)
        return None


def is_locked(path: str | os.PathLike) -> bool:
    """Return whether a process that lives holds the lock on a file; remove the file if not."""
    lock = FileLock(path)
    if not lock.path.exists():
        return False
    held = not lock.acquire()
    lock.release()
    return held
