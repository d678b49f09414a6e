"""Locks between processes, in files."""

import contextlib
import errno
import os
import pathlib
import stat
import time
import weakref

from tl_keras.utils.regular_files import read_regular

try:
    import fcntl
except ImportError:
    fcntl = None

STALE_SECONDS = 600.0
_LONGEST_NOTE = 2**16
_AS_IT_IS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
REFRESH_SECONDS = 60.0
UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
"""What `flock` says on a file system that has no locks."""


class FileLock:
    """A lock that one holder has, in this process or another; a process that dies loses its locks.

    Where the system has `flock`, the lock is the system's. Elsewhere the file's being there is
    the lock, and it counts for nothing once it has not been refreshed for ten minutes. A lock that
    nobody gives back is given back with the object, or at the end of the process. Forks of the
    process do not hold it, so that none of them keeps it when the process is killed. A link under
    the file's name is not followed: the note would be written over what it leads to.

    Args:
        path: The file. It is there while the lock is held, and goes with it.

    Example:
        >>> lock = FileLock("shard.lock")
        >>> if lock.acquire():
        ...     lock.release()
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self._release: weakref.finalize | None = None
        self._file = -1
        self._refreshed = 0.0

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._release is not None

    def acquire(self, note: str = "") -> bool:
        """Take the lock unless another has it, without waiting, and return whether it is held.

        Args:
            note: What others may read in the file while the lock is held.

        Raises:
            OSError: If the file cannot be made, or something else has its name, a link for example;
                or, with a number out of `UNSUPPORTED`, if the file system has no locks.
        """
        if not self.is_held:
            file = self._lock_by_system() if fcntl else self._lock_by_creation()
            if file is not None:
                self._file = file
                self._release = weakref.finalize(self, _give_back, self.path, file, os.getpid())
                self._refreshed = time.monotonic()
                _held.add(self)
                if note:
                    _write_note(file, note)
        return self.is_held

    def note(self) -> str:
        """Return what the holder wrote into the file; empty where there is nothing to be read."""
        try:
            return read_regular(self.path, _LONGEST_NOTE).decode(errors="replace")
        except OSError:
            return ""

    def refresh(self) -> None:
        """Show that the holder lives; to be called now and then while the lock is held."""
        if self.is_held and time.monotonic() - self._refreshed > REFRESH_SECONDS:
            self._refreshed = time.monotonic()
            os.utime(self.path)

    def release(self) -> None:
        """Give the lock back and remove the file; nothing happens if it is not held."""
        if self._release is not None:
            _held.discard(self)
            self._release()
            self._release = None

    def _forget(self) -> None:
        """Let go of the file in a fork, without a word to the holder."""
        if self._release is not None:
            self._release.detach()
            self._release = None
            os.close(self._file)

    def _lock_by_system(self) -> int | None:
        assert fcntl is not None, "acquire asks"
        while True:
            try:
                file = os.open(self.path, os.O_RDWR | os.O_CREAT | _AS_IT_IS, 0o644)
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise OSError(errno.ELOOP, f"{self.path.name} is a link") from error
                raise
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise OSError(errno.EEXIST, f"{self.path.name} is no file")
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file), os.lstat(self.path)):
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


_held: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_held):
        lock._forget()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _write_note(file: int, note: str) -> None:
    """Write for others to read; that there is no room for it is no reason to be without a lock."""
    with contextlib.suppress(OSError):
        os.ftruncate(file, 0)
        os.write(file, note.encode())


def _give_back(path: pathlib.Path, file: int, holder: int) -> None:
    """Close the file, and remove it unless this is a fork of the process that holds the lock."""
    if os.getpid() == holder:
        path.unlink(missing_ok=True)
    os.close(file)


def is_locked(path: str | os.PathLike) -> bool:
    """Return whether a process that lives holds the lock on a file; remove the file if not.

    What is no file, a link for example, is no lock, and stays.
    """
    lock = FileLock(path)
    if lock.path.is_symlink() or not lock.path.is_file():
        return False
    held = not lock.acquire()
    lock.release()
    return held
