"""Arrays on disk in shards, each of which is complete or not there."""

import dataclasses
import json
import os
import pathlib
import time
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from tl_keras.data.feature_layout import Column, Layout
from tl_keras.files import opened_whole, remove_partials, remove_partials_of, write_text
from tl_keras.locks import FileLock, is_locked

STORE_VERSION = 1
META_FILE = "meta.json"
PASS_LOCK = "pass.lock"


class FeatureStore:
    """The shards of one key. Files get their names when they are complete.

    Args:
        folder: The store's own folder.
        layout: How examples lie in it.
    """

    def __init__(self, folder: pathlib.Path, layout: Layout):
        self.folder = folder
        self.layout = layout
        self._in_use = FileLock(folder / f"use-{os.getpid()}-{id(self)}.lock")

    @classmethod
    def create(cls, folder: pathlib.Path, layout: Layout, info: dict[str, Any]) -> "FeatureStore":
        """Make a store, or open the one that another process has just made.

        Args:
            folder: Where; made if it is missing.
            layout: How examples lie in it.
            info: What else people want to know about it, as JSON.

        Raises:
            OSError: If it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        meta = {"version": STORE_VERSION, "layout": dataclasses.asdict(layout), **info}
        remove_partials_of(folder / META_FILE)
        write_text(folder / META_FILE, json.dumps(meta, indent=1), durable=False)
        return cls(folder, layout)

    @classmethod
    def open(cls, folder: pathlib.Path) -> "FeatureStore | None":
        """Return the store in a folder; None if there is none, or one of another version."""
        meta = read_meta(folder)
        try:
            layout = Layout.from_json(meta["layout"])
        except (KeyError, TypeError):
            return None
        return cls(folder, layout) if meta["version"] == STORE_VERSION else None

    def use(self) -> None:
        """Keep the store from being cleared until `leave`, and note that it was used now."""
        for path in self.folder.glob("use-*.lock"):
            is_locked(path)  # removes what a dead process left
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
                sums[column.name] = zlib.crc32(array.reshape(-1).view(np.uint8))
            record = {"crc32": sums, "images": f"{images:x}"}
            write_text(self._record(shard), json.dumps(record), durable=False)
        except OSError:
            self.discard(shard)
            raise

    def is_there(self, shard: int) -> bool:
        """Return whether a shard was written whole; its content is not looked at."""
        return self._record(shard).is_file()

    def is_intact(self, shard: int) -> bool:
        """Return whether every byte of a shard is what was written."""
        try:
            record = json.loads(self._record(shard).read_text(encoding="utf-8"))
            for column, array in zip(self.layout.columns, self.load(shard), strict=True):
                if zlib.crc32(array.reshape(-1).view(np.uint8)) != record["crc32"][column.name]:
                    return False
        except Exception:  # NumPy fails on a damaged header in any way it likes
            return False
        return True

    def bytes_there(self) -> int:
        """Return the bytes of the values in shards that were written whole."""
        there = (n for n in range(self.layout.shards) if self.is_there(n))
        return sum(len(self.layout.examples_of(n)) for n in there) * self.layout.example_bytes

    def images_of(self, shard: int) -> int:
        """Return the sum of the hashes of a shard's images."""
        return int(json.loads(self._record(shard).read_text(encoding="utf-8"))["images"], 16)

    def load(self, shard: int) -> list[np.ndarray]:
        """Return the arrays of a shard, memory-mapped, in the order of the columns.

        Raises:
            OSError: If a file is missing.
            ValueError: If a file is no array, or too short, or of another shape or type.
        """
        arrays = []
        for column in self.layout.columns:
            array = np.load(self._path(shard, column), mmap_mode="r", allow_pickle=False)
            expected = (self.layout.shape_in(shard, column), column.stored_dtype)
            if (array.shape, array.dtype) != expected:
                raise ValueError(f"shard {shard}: expected {expected}, found {array.dtype}.")
            arrays.append(array)
        return arrays

    def discard(self, shard: int) -> None:
        """Remove a shard, its record first, and what a dead process left of it."""
        self._record(shard).unlink(missing_ok=True)
        for column in self.layout.columns:
            self._path(shard, column).unlink(missing_ok=True)
        remove_partials(self.folder, f"{shard:06d}.*")

    def _record(self, shard: int) -> pathlib.Path:
        return self.folder / f"{shard:06d}.json"

    def _path(self, shard: int, column: Column) -> pathlib.Path:
        return self.folder / f"{shard:06d}.{column.name}.npy"


def read_meta(folder: pathlib.Path) -> dict[str, Any]:
    """Return what a store says about itself; empty if nothing can be read."""
    try:
        meta = json.loads((folder / META_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return meta if isinstance(meta, dict) else {}


def _save(file: BinaryIO, array: np.ndarray) -> None:
    """Write an array as `np.save` does, with errors that say what the system said."""
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(array.reshape(-1).view(np.uint8).data)
