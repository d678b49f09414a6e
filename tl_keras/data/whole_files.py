"""Files that are either complete or not there."""

import contextlib
import os
import pathlib
import threading
from collections.abc import Iterator

PREFIX = ".partial-"


@contextlib.contextmanager
def written_whole(path: pathlib.Path, *, durable: bool = True) -> Iterator[pathlib.Path]:
    """Give another name to write under; afterwards the file has its own, or there is none.

    Args:
        path: The file; one that is there is replaced when the block ends without an error.
        durable: Whether the file gets its name only after its last byte has reached the disk, so
            that it is whole after a power cut too.

    Yields:
        A hidden neighbour of `path`, which no other thread or process writes to.
    """
    partial = path.with_name(f"{PREFIX}{os.getpid()}-{threading.get_ident()}.{path.name}")
    try:
        yield partial
        if durable:
            _to_disk(partial)
        partial.replace(path)
        if durable:
            _to_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def remove_partials(folder: pathlib.Path, names: str = "*") -> None:
    """Remove what processes that died were writing to; nobody else may write to these files now.

    Args:
        folder: Folder of the files.
        names: Pattern of the names that the files would have got.
    """
    for path in folder.glob(f"{PREFIX}*.{names}"):
        path.unlink(missing_ok=True)


def _to_disk(path: pathlib.Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, where the system can tell."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
