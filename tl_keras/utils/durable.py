"""Waiting until what was written is on the disk, so that a power cut takes nothing of it."""

import contextlib
import os
import pathlib


def tree_to_disk(path: pathlib.Path) -> None:
    """Wait until a file, or a folder with all that is in it, is on the disk.

    Raises:
        OSError: If it does not get there.
    """
    if path.is_dir():
        for inside in path.iterdir():
            tree_to_disk(inside)
    _to_disk(path)


def name_to_disk(path: pathlib.Path) -> None:
    """Wait until a new name is on the disk.

    If that fails, the file is whole under its name all the same, and what was there before is gone:
    nothing is left to undo, and nothing to report.
    """
    with contextlib.suppress(OSError):
        _to_disk(path.parent)


def _to_disk(path: pathlib.Path) -> None:
    if path.is_dir() and os.name == "nt":  # There, folders cannot be waited for.
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
