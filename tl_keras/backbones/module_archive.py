"""Extracting the archive of a SavedModel, which may come from a stranger."""

import contextlib
import errno
import gzip
import io
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator

from tl_keras.backbones.tar_stream import BLOCK, Damaged, Member, Refused, members
from tl_keras.utils.errors import InputError, first_line, printable, shortened
from tl_keras.utils.regular_files import require_regular

__all__ = ["extract_archive", "unpack_archive"]

_CHUNK = 2**20
# Deflate reaches 1,032:1, on zeros. Weights are compressed to about 0.9, a graph alone to 0.1.
_LARGEST_RATIO = 100
_ANY_RATIO = 2**28
_SHARE_OF_DISK = 0.9
_LONGEST_END = 2**20


def unpack_archive(source: str) -> tempfile.TemporaryDirectory:
    """Extract a `.tar.gz`, `.tgz` or `.tar` into a temporary directory.

    What is extracted is at most 100 times as large as the archive, or 256 MiB if that is more,
    and at most nine tenths of the free disk. After an error nothing is left on the disk.

    Args:
        source: The archive's path.

    Returns:
        The directory, which is removed with the object.

    Raises:
        InputError: If the archive is missing or damaged, holds anything but files and folders
            in its own folder, or is too large.
    """
    require_regular(source, "source")
    if not os.path.isfile(source):
        raise InputError(f"source: expected an archive, but there is no file {source!r}.")
    temporary = tempfile.TemporaryDirectory(prefix="tl_keras_module_")
    try:
        extract_archive(source, temporary.name, source)
    except BaseException:
        temporary.cleanup()
        raise
    return temporary


def extract_archive(path: str, folder: str, source: str) -> None:
    """Extract an archive into a folder, within the limits of `unpack_archive`.

    Args:
        path: The archive.
        folder: Where to. What was extracted before an error stays there.
        source: What the user named the archive by.

    Raises:
        InputError: As `unpack_archive` does.
    """
    with _readable_errors(source):
        _extract_all(path, folder)


@contextlib.contextmanager
def _readable_errors(source: str) -> Iterator[None]:
    """Raise `InputError` in place of what reading an archive raises."""
    try:
        yield
    except Refused as refused:
        raise InputError(
            f"source: the archive {source!r} is refused, because {refused}. If you trust its "
            "author, extract it yourself and pass the folder."
        ) from None
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        raise InputError(
            f"source: the archive {source!r} is refused, because two of its members have one name."
        ) from None
    except (OSError, EOFError, ValueError, zlib.error, Damaged) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"source: the archive {source!r} doesn't fit on the disk of "
                f"{tempfile.gettempdir()!r}. Free some space, or set TMPDIR to another disk."
            ) from error
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(
            f"source: the archive {source!r} can't be read ({printable(first_line(reason))}). "
            "It may be damaged or cut short: download it again."
        ) from error


class _Limited:
    """The bytes of an archive after decompression, as many as are allowed."""

    def __init__(self, file: io.BufferedIOBase, most: int, why: str) -> None:
        self._file = file
        self._left = most
        self._why = why

    def require(self, count: int) -> None:
        """Refuse an archive that announces more than is allowed."""
        if count > self._left:
            raise Refused(self._why)

    def take(self, count: int) -> bytes:
        """Return the next bytes, fewer only at the end."""
        self.require(count)
        content = self._file.read(count)
        self._left -= len(content)
        return content


def _extract_all(source: str, folder: str) -> None:
    size = os.path.getsize(source)
    by_ratio = max(_ANY_RATIO, _LARGEST_RATIO * size)
    by_disk = int(_SHARE_OF_DISK * shutil.disk_usage(folder).free)
    why = f"it would take more than {by_ratio:,} bytes, {_LARGEST_RATIO} times its size or 256 MiB"
    if by_disk < by_ratio:
        why = f"it would take more than the {by_disk:,} bytes that the disk has to spare"
    with open(source, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with gzip.GzipFile(fileobj=raw) if packed else contextlib.nullcontext(raw) as file:
            stream = _Limited(file, min(by_ratio, by_disk) + _LONGEST_END, why)
            for member in members(stream.take):
                _extract(stream, member, folder)
            end = stream.take(_LONGEST_END)
            if len(end) == _LONGEST_END:
                raise Refused("something comes after its end")


def _extract(stream: _Limited, member: Member, folder: str) -> None:
    path = os.path.join(folder, *member.parts)
    if member.is_folder:
        os.makedirs(path, exist_ok=True)
        return
    stream.require(member.size)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    left = member.size
    with open(path, "xb") as file:
        while left:
            content = stream.take(min(left, _CHUNK))
            if not content:
                raise Damaged(f"it ends inside its member {shortened(member.name)}")
            file.write(content)
            left -= len(content)
    stream.take(-member.size % BLOCK)
