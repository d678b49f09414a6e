"""Regular files only: what else a path can name is waited for, or read, without end."""

import errno
import io
import os
import stat
from typing import BinaryIO

from tl_keras.utils.errors import InputError

LARGEST_BYTES = 2**30
"""Largest image file and table: an uncompressed image of as many pixels as are read is smaller."""

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}
_CAREFULLY = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class UnfitFile(OSError):
    """What a path names is no regular file, or a file that is too large.

    Attributes:
        kind: Which of the two, in three words.
        strerror: What it is.
    """

    def __init__(self, code: int, kind: str, reason: str, path: str):
        super().__init__(code, reason, path)
        self.kind = kind


def open_regular(path: str | os.PathLike, most: int | None = None) -> io.BufferedReader:
    """Open a regular file for reading, or what links end at.

    Nothing else is opened, since that can wait for ever; and it is asked again of what is open, for
    the name may have been given to something else meanwhile.

    Args:
        path: The file.
        most: Largest number of bytes; None for any.

    Raises:
        UnfitFile: If it is no regular file, or larger.
        OSError: If it cannot be opened.
        ValueError: If the path holds a null character.
    """
    _check(os.stat(path), path, most)
    descriptor = os.open(path, _CAREFULLY)
    try:
        _check(os.fstat(descriptor), path, most)
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike, most: int = LARGEST_BYTES) -> bytes:
    """Return the content of a regular file; raises as `open_regular` does."""
    with open_regular(path, most) as file:
        return read_open(file, path, most)


def read_open(file: BinaryIO, path: str | os.PathLike, most: int = LARGEST_BYTES) -> bytes:
    """Return the content of a file that `open_regular` gave, which may be growing.

    Raises:
        UnfitFile: If there is more than `most` bytes.
        OSError: If it cannot be read.
    """
    content = file.read(min(os.fstat(file.fileno()).st_size, most) + 1)
    if len(content) > os.fstat(file.fileno()).st_size:  # Sizes in /proc are 0.
        rest = io.BytesIO()
        while len(content) + rest.tell() <= most and (part := file.read(2**20)):
            rest.write(part)
        content += rest.getvalue()
    if len(content) > most:
        raise _too_large(path, most)
    return content


def require_regular(path: str | os.PathLike, argument: str) -> None:
    """Raise `InputError` if a path names a pipe, a device or a socket."""
    try:
        found = os.stat(path)
        if not stat.S_ISDIR(found.st_mode):
            _check(found, path, None)
    except UnfitFile as error:
        raise InputError(
            f"{argument}: expected a regular file, {os.fspath(path)!r} is {error.strerror}. Copy "
            "its content into a file first."
        ) from None
    except (OSError, ValueError):
        return


def _check(found: os.stat_result, path: str | os.PathLike, most: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else than a file")
        reason = f"{kind}, and only regular files are read"
        code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        raise UnfitFile(code, "not a regular file", reason, os.fspath(path))
    if most is not None and found.st_size > most:
        raise _too_large(path, most, found.st_size)


def _too_large(path: str | os.PathLike, most: int, size: int | None = None) -> UnfitFile:
    found = "more" if size is None else f"{size:,}"
    reason = f"{found} bytes, at most {most:,} are read"
    return UnfitFile(errno.EFBIG, "too large", reason, os.fspath(path))
