"""Digests of what is in files, each with the state of the file that it was read from."""

import concurrent.futures
import hashlib
import os
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tl_keras.inputs.decoding.plain import is_plain
from tl_keras.utils.errors import InputError
from tl_keras.utils.regular_files import LARGEST_BYTES, open_regular, read_open

DIGEST_BYTES = 16
_SETTLED_NANOSECONDS = 2 * 10**9
"""A file that was changed this shortly before it was read may change again without a trace: clocks
of file systems advance in steps, of two seconds on FAT."""

State = tuple[int, int, int, int]
"""Size, times of the last changes of content and of anything, and number of a file."""
_UNKNOWN: State = (-1, -1, -1, -1)


class FileDigest(NamedTuple):
    """What was in a file, in short.

    Attributes:
        digest: The first 16 bytes of the content's SHA-256, for which processors have instructions.
        state: Of the file before it was read; -1 where it cannot tell later changes.
        plain: Whether it is an image that `decode_plain` reads.
    """

    digest: bytes
    state: State
    plain: bool


def read_file(path: str | os.PathLike) -> tuple[bytes, FileDigest]:
    """Read a regular file; raises as `tl_keras.utils.regular_files.read_regular` does.

    Returns:
        Its content and the digest of that.
    """
    with open_regular(path, LARGEST_BYTES) as file:
        state = _state(os.fstat(file.fileno()))
        if max(state[1:3]) > time.time_ns() - _SETTLED_NANOSECONDS:
            state = _UNKNOWN
        content = read_open(file, path)
    digest = hashlib.sha256(content).digest()[:DIGEST_BYTES]
    return content, FileDigest(digest, state, is_plain(content))


class FileContents:
    """Digests of the contents of `n` files, read again where a file has changed.

    Args:
        digests: uint8 `(n, 16)`.
        states: Of the files when they were read, int64 `(n, 4)`.
        plain: Whether they were images that `decode_plain` reads, bool `(n,)`.
    """

    def __init__(self, digests: np.ndarray, states: np.ndarray, plain: np.ndarray):
        self._digests = digests
        self._states = states
        self._plain = plain

    @property
    def all_plain(self) -> bool:
        """Whether all files were images that `decode_plain` reads, when they were last read."""
        return bool(self._plain.all())

    @classmethod
    def of(cls, files: Sequence[FileDigest | None]) -> "FileContents":
        """Return the digests of files; those of None are computed when they are asked for."""
        contents = cls.unread(len(files))
        for row, file in enumerate(files):
            if file is not None:
                contents._set(row, file)
        return contents

    @classmethod
    def unread(cls, count: int) -> "FileContents":
        """Return the digests of files that are read when their digests are asked for."""
        return cls(
            np.zeros((count, DIGEST_BYTES), np.uint8),
            np.full((count, 4), -1, np.int64),
            np.zeros(count, bool),
        )

    def rows(self, rows: np.ndarray) -> "FileContents":
        """Return the digests of some files."""
        return FileContents(self._digests[rows], self._states[rows], self._plain[rows])

    def digests(self, paths: Sequence[str]) -> np.ndarray:
        """Return the digest of what is in each file now, uint8 `(n, 16)`.

        Only files are read whose size, times or number are others than when they were read, or
        that had been changed within two seconds before.

        Args:
            paths: Of the files.

        Raises:
            InputError: If a file is not there any more, or cannot be read.
        """
        stale = [row for row, path in enumerate(paths) if self._is_stale(row, path)]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for row, file in zip(stale, pool.map(_digest, (paths[i] for i in stale)), strict=True):
                self._set(row, file)
        return self._digests

    def _is_stale(self, row: int, path: str) -> bool:
        try:
            return _state(os.stat(path)) != tuple(self._states[row].tolist())
        except (OSError, ValueError):
            return True

    def _set(self, row: int, file: FileDigest) -> None:
        self._digests[row] = np.frombuffer(file.digest, np.uint8)
        self._states[row] = file.state
        self._plain[row] = file.plain


def _digest(path: str) -> FileDigest:
    try:
        return read_file(path)[1]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"data: {path!r} cannot be read: {reason}.") from error


def _state(found: os.stat_result) -> State:
    number = found.st_ino & (2**63 - 1)
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, number)
