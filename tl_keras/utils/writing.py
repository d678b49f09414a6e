"""Files that are either complete or not there: the one way in which this package writes."""

import contextlib
import errno
import glob
import hashlib
import os
import pathlib
import re
import shutil
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from tl_keras.utils.durable import name_to_disk, tree_to_disk
from tl_keras.utils.errors import InputError, first_line

PREFIX = ".partial-"
_PARTIAL = re.compile(re.escape(PREFIX) + r"(?P<host>[0-9a-f]{8})-(?P<process>\d+)-\d+\..*", re.S)
_LONGEST_NAME = 50
_SECONDS_OF_OTHERS = 86_400.0
_in_work: set[str] = set()
_OF_DISK = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO")


@contextlib.contextmanager
def partial_beside(
    path: pathlib.Path, keep: Callable[[pathlib.Path], bool] = lambda partial: False
) -> Iterator[pathlib.Path]:
    """Give a hidden neighbour of a path to write to, which goes when the block ends.

    Args:
        path: A file or folder, with whose name the neighbour's ends.
        keep: Tells of the neighbour whether it has to stay.

    Yields:
        A path where nothing is yet, and no other thread or process writes to.
    """
    host, process, thread = _host(), os.getpid(), threading.get_ident()
    partial = path.with_name(f"{PREFIX}{host}-{process}-{thread}.{_ending(path.name)}")
    _in_work.add(partial.name)
    try:
        yield partial
    finally:
        _in_work.discard(partial.name)
        with contextlib.suppress(OSError):  # What ended the block is what has to be told.
            if not keep(partial):
                _remove(partial)


@contextlib.contextmanager
def written_whole(path: pathlib.Path, *, durable: bool = True) -> Iterator[pathlib.Path]:
    """Give another name to write under; afterwards the file has its own, or there is none.

    Args:
        path: The file; one that is there is replaced when the block ends without an error, and
            passes its permissions on.
        durable: Whether the file gets its name only after its last byte has reached the disk, so
            that it is whole after a power cut too.

    Yields:
        A neighbour of `path` as of `partial_beside`.

    Raises:
        OSError: If it cannot be written; nothing of it is left then.
    """
    with partial_beside(path) as partial:
        yield partial
        if path.is_file():
            os.chmod(partial, stat.S_IMODE(path.stat().st_mode))
        if durable:
            tree_to_disk(partial)
        os.replace(partial, path)
        if durable:
            name_to_disk(path)


@contextlib.contextmanager
def opened_whole(path: pathlib.Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a file for bytes that is there, under its name, once the block has ended well."""
    with written_whole(path, durable=durable) as partial, open(partial, "wb") as file:
        yield file


def write_bytes(path: pathlib.Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file at once.

    Raises:
        OSError: If it cannot be written; what was there before is intact then.
    """
    with opened_whole(path, durable=durable) as file:
        file.write(content)


def write_text(path: pathlib.Path, text: str, *, durable: bool = True) -> None:
    """Write a file of text in UTF-8 at once; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"), durable=durable)


def write_for_user(path: str | os.PathLike, content: str | bytes, argument: str = "path") -> None:
    """Write a file that a user asked for: whole, with its folders, with one readable error.

    Links are followed. What is there and not a file, such as `/dev/stdout`, is written to as it
    is.

    Args:
        path: The file.
        content: Bytes, or text for UTF-8.
        argument: Name that the error uses.

    Raises:
        InputError: If it cannot be written; what was there before is intact then.
    """
    content = content.encode("utf-8") if isinstance(content, str) else content
    with readable_write_errors(path, argument):
        target = pathlib.Path(os.path.realpath(path))
        if target.exists() and not target.is_file() and not target.is_dir():
            with open(path, "wb") as file:
                file.write(content)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_partials_of(target)
        write_bytes(target, content)


@contextlib.contextmanager
def readable_write_errors(path: str | os.PathLike, argument: str = "path") -> Iterator[None]:
    """Turn what the system says when something cannot be written into one line.

    Raises:
        InputError: In place of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error, argument) from error


def cannot_write(path: str | os.PathLike, error: Any, argument: str = "path") -> InputError:
    """Return the error that says what cannot be written, why, and what to do."""
    reason = getattr(error, "strerror", None) or first_line(error)
    return InputError(
        f"{argument}: cannot write {os.fspath(path)!r} ({reason}). Choose a directory that you may "
        "write to, on a disk with room; what was there before is intact."
    )


def disk_error(error: BaseException | None) -> OSError | None:
    """Return what the system says if an error comes from a disk that takes no more, or None.

    TensorFlow and HDF5 have errors of their own for that, with the system's words in them.
    """
    numbers = [getattr(errno, name) for name in _OF_DISK if hasattr(errno, name)]
    while error is not None:
        for number in numbers:
            said = os.strerror(number)
            if getattr(error, "errno", None) == number or said.lower() in str(error).lower():
                return OSError(number, said)
        error = error.__cause__ or error.__context__
    return None


def remove_partials(folder: pathlib.Path, names: str = "*", *, in_use: bool = False) -> None:
    """Remove what processes that died were writing to.

    Args:
        folder: Folder of the files.
        names: Pattern of the names that the files would have got.
        in_use: Whether others may be writing to such files now. Then those of this process, of
            processes that live, and, for a day, of other machines stay.
    """
    for path in folder.glob(f"{PREFIX}*.{names}"):
        if not (in_use and _may_be_written(path)):
            with contextlib.suppress(FileNotFoundError):
                _remove(path)


def remove_partials_of(path: pathlib.Path) -> None:
    """Remove what processes that died left of one file, which others may be writing now."""
    with contextlib.suppress(OSError):
        for partial in left_partials_of(path):
            _remove(partial)


def left_partials_of(path: pathlib.Path) -> list[pathlib.Path]:
    """Return what processes that died left of one file or folder."""
    found = path.parent.glob(f"{PREFIX}*.{glob.escape(_ending(path.name))}")
    return [partial for partial in found if not _may_be_written(partial)]


def _ending(name: str) -> str:
    """Return the end of a name, suffix included, that leaves room for the prefix."""
    return name[-_LONGEST_NAME:]


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _may_be_written(path: pathlib.Path) -> bool:
    found = _PARTIAL.fullmatch(path.name)
    if found is None or found["host"] != _host():
        try:
            return time.time() - path.stat().st_mtime < _SECONDS_OF_OTHERS
        except OSError:
            return False
    process = int(found["process"])
    return path.name in _in_work if process == os.getpid() else _lives(process)


def _lives(process: int) -> bool:
    if os.name == "nt":  # There, asking would end the process.
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
