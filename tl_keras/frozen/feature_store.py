"""Arrays on disk in shards, each of which is complete or not there."""

import io
import json
import math
import os
import pathlib
import shutil
import time
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from tl_keras.frozen.feature_layout import Column, Layout
from tl_keras.utils.locks import FileLock, is_locked
from tl_keras.utils.regular_files import open_regular, read_regular
from tl_keras.utils.writing import opened_whole, remove_partials, remove_partials_of, write_bytes

STORE_VERSION = 2
META_FILE = "meta.json"
PASS_LOCK = "pass.lock"
_LARGEST_DESCRIPTION = 2**20


class FeatureStore:
    """The shards of one key. Files get their names when they are complete.

    Args:
        folder: The store's own folder.
        layout: How examples lie in it.
    """

    def __init__(self, folder: pathlib.Path, layout: Layout):
        self.folder = folder
        self.layout = layout
        self.was_repaired = False
        self._in_use = FileLock(folder / f"use-{os.getpid()}-{id(self)}.lock")

    @classmethod
    def create(cls, folder: pathlib.Path, layout: Layout, info: dict[str, Any]) -> "FeatureStore":
        """Make a store, or open the one that is there.

        Where its description is not what it was written as, or is of another layout, it is
        written again; every shard has checksums of its own.

        Args:
            folder: Where; made if it is missing.
            layout: How examples lie in it.
            info: What else people want to know about it, as JSON.

        Returns:
            The store; `was_repaired` says whether there was another description.

        Raises:
            OSError: If it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        store = cls(folder, layout)
        marker = folder / META_FILE
        remove_partials_of(marker)
        if not describes(read_meta(folder), layout):
            store.was_repaired = os.path.lexists(marker)
            meta = {"version": STORE_VERSION, "layout": layout.to_json(), **info}
            _remove(marker)
            _write_checked(marker, meta)
        return store

    @classmethod
    def open(cls, folder: pathlib.Path) -> "FeatureStore | None":
        """Return the store in a folder; None if there is none, or one of another version."""
        meta = read_meta(folder)
        if meta.get("version") != STORE_VERSION:
            return None
        return cls(folder, Layout.from_json(meta["layout"]))

    def use(self) -> None:
        """Keep the store from being cleared until `leave`, and note that it was used now."""
        for path in self.folder.glob("*.lock"):
            is_locked(path)  # removes what a process left that died while it removed its lock
        while not self._in_use.acquire():
            time.sleep(0.01)
        os.utime(self.folder / META_FILE)

    def refresh(self) -> None:
        """Show now and then that the store is still in use."""
        self._in_use.refresh()

    def leave(self) -> None:
        """Let others clear the store."""
        self._in_use.release()

    def lock(self, shard: int) -> FileLock:
        """Return the lock of whoever computes a shard."""
        return FileLock(self.folder / f"{shard:06d}.lock")

    def pass_lock(self) -> FileLock:
        """Return the lock of whoever computes shards that belong to one pass over the data."""
        return FileLock(self.folder / PASS_LOCK)

    def write(self, shard: int, arrays: Sequence[np.ndarray], images: int = 0) -> None:
        """Write a shard: one array per column.

        Args:
            shard: Its number.
            arrays: In the order of the columns, shapes as `Layout.shape_in`.
            images: Sum of the hashes of the images that the values came from.

        Raises:
            OSError: If it cannot be written; then nothing of it is left.
        """
        sums = {}
        try:
            for column, array in zip(self.layout.columns, arrays, strict=True):
                array = np.ascontiguousarray(array).view(column.stored_dtype)
                if array.shape != self.layout.shape_in(shard, column):
                    raise ValueError(f"shard {shard}: {column.name} has the shape {array.shape}.")
                with opened_whole(self._path(shard, column), durable=False) as file:
                    _save(file, array)
                sums[column.name] = zlib.crc32(array.reshape(-1).view(np.uint8).data)
            _write_checked(self._record(shard), {"crc32": sums, "images": f"{images:x}"})
        except OSError:
            self.discard(shard)
            raise

    def is_there(self, shard: int) -> bool:
        """Return whether a shard was written whole; its content is not looked at."""
        return self._record(shard).is_file()

    def is_intact(self, shard: int) -> bool:
        """Return whether every byte of a shard is what was written."""
        try:
            sums = _read_checked(self._record(shard))["crc32"]
            return all(
                zlib.crc32(array.reshape(-1).view(np.uint8).data) == sums[column.name]
                for column, array in zip(self.layout.columns, self.load(shard), strict=True)
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def bytes_there(self) -> int:
        """Return the bytes of the values in shards that were written whole."""
        there = (n for n in range(self.layout.shards) if self.is_there(n))
        return sum(len(self.layout.examples_of(n)) for n in there) * self.layout.example_bytes

    def images_of(self, shard: int) -> int:
        """Return the sum of the hashes of a shard's images; raises as `load` does."""
        return int(_read_checked(self._record(shard))["images"], 16)

    def load(self, shard: int) -> list[np.memmap]:
        """Return the arrays of a shard, memory-mapped, in the order of the columns.

        Raises:
            OSError: If a file is missing.
            ValueError: If a file does not begin as the array should, or is of another size.
        """
        arrays = []
        for column in self.layout.columns:
            shape, dtype = self.layout.shape_in(shard, column), column.stored_dtype
            header = _header(shape, dtype)
            with open_regular(self._path(shard, column)) as file:
                size = len(header) + math.prod(shape) * dtype.itemsize
                if os.fstat(file.fileno()).st_size != size or file.read(len(header)) != header:
                    raise ValueError(f"shard {shard}: {column.name} is not {dtype} {shape}.")
                arrays.append(np.memmap(file, dtype, "r", len(header), shape))
        return arrays

    def discard(self, shard: int) -> None:
        """Remove a shard, its record first, and what a dead process left of it."""
        for path in (self._record(shard), *(self._path(shard, c) for c in self.layout.columns)):
            _remove(path)
        remove_partials(self.folder, f"{shard:06d}.*")

    def _record(self, shard: int) -> pathlib.Path:
        return self.folder / f"{shard:06d}.json"

    def _path(self, shard: int, column: Column) -> pathlib.Path:
        return self.folder / f"{shard:06d}.{column.name}.npy"


def read_meta(folder: pathlib.Path) -> dict[str, Any]:
    """Return what a store says about itself; empty if that is not what was written."""
    try:
        return _read_checked(folder / META_FILE)
    except (OSError, ValueError):
        return {}


def describes(meta: dict[str, Any], layout: Layout) -> bool:
    """Return whether a description is of a store of this version with this layout."""
    return (meta.get("version"), meta.get("layout")) == (STORE_VERSION, layout.to_json())


def _remove(path: pathlib.Path) -> None:
    """Remove whatever is there under the name of a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _write_checked(path: pathlib.Path, values: dict[str, Any]) -> None:
    """Write JSON with a checksum of all the rest of it."""
    write_bytes(path, _with_checksum(values), durable=False)


def _read_checked(path: pathlib.Path) -> dict[str, Any]:
    """Return what `_write_checked` wrote.

    Raises:
        OSError: If there is no file, or it cannot be read.
        ValueError: If it holds anything else.
    """
    content = read_regular(path, _LARGEST_DESCRIPTION)
    try:
        values = json.loads(content)
        del values["checksum"]
        if content == _with_checksum(values):
            return values
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise ValueError(f"{path.name} is not as it was written.")


def _with_checksum(values: dict[str, Any]) -> bytes:
    text = json.dumps(values, indent=1)
    return json.dumps(values | {"checksum": zlib.crc32(text.encode())}, indent=1).encode()


def _header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Return how an `.npy` file of such an array begins."""
    stream = io.BytesIO()
    values = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, values)
    return stream.getvalue()


def _save(file: BinaryIO, array: np.ndarray) -> None:
    """Write an array as `np.save` does, with errors that say what the system said."""
    file.write(_header(array.shape, array.dtype))
    file.write(array.reshape(-1).view(np.uint8).data)
