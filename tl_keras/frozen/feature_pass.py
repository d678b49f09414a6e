"""One pass over the images that fills the missing shards of a feature store."""

import concurrent.futures
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tl_keras.data.fingerprint import Content, add_numbers, image_hashes
from tl_keras.data.read_errors import elements_of
from tl_keras.frozen.feature_cache import size_text, time_text
from tl_keras.frozen.feature_layout import Layout
from tl_keras.frozen.feature_store import FeatureStore
from tl_keras.utils.errors import InputError, counted
from tl_keras.utils.locks import FileLock, is_locked
from tl_keras.utils.terminal import can_redraw

LARGEST_BATCH = 32
SECONDS_BETWEEN_LOOKS = 0.5
MEASURED_BATCHES = 2


class DataChanges(Exception):
    """A pass over the data gave other examples than the pass before it."""


def batch_size_of(layout: Layout) -> int:
    """Return the size of batches that end where shards end."""
    return min(LARGEST_BATCH, layout.shard_examples)


class FeaturePass:
    """Computes what is missing in a store, beside other processes that do the same.

    Every shard is computed under its lock; shards that another process is at are left to it, and
    taken over if it dies. Where a dataset may have another order in each pass, all shards belong to
    one pass instead, which one process does.

    Args:
        store: Where the values go.
        batches: In-order batches `(x, y)` or `x` of `batch_size_of(layout)` examples.
        values: From `x`, `y` (None without targets) and the batch's number to one array per column,
            all views of an example one after the other.
        content: Hashes of the images of data without a fixed order; None for a fixed one.
        is_unchanged: Says at the end whether data with a fixed order is still what it was.
        model_name: Name of the backbone, for errors.
        say: Prints a line.
        verbose: Whether to show a progress bar.

    Raises:
        OSError: From `fill`, if a shard cannot be written. The shards of this object are removed.
        DataChanges: From `fill`, if the images are others than they were; likewise.
        InputError: From `fill`, if values are NaN or infinite.
    """

    def __init__(
        self,
        store: FeatureStore,
        batches: tf.data.Dataset,
        values: Callable[[Any, Any, int], Sequence[np.ndarray]],
        *,
        content: Content | None,
        is_unchanged: Callable[[], bool],
        model_name: str,
        say: Callable[[str], None],
        verbose: bool,
    ):
        self._store = store
        self._layout = store.layout
        self._size = batch_size_of(store.layout)
        self._batches = batches
        self._values = values
        self._content = content
        self._is_unchanged = is_unchanged
        self._model_name = model_name
        self._say = say
        self._verbose = verbose
        self._written: set[int] = set()
        self._intact: set[int] = set()
        self._ends: list[float] = []
        self._is_announced = self._waits = self._has_looked = False

    def fill(self) -> None:
        """Return when every shard is there and intact, after a line about what was done."""
        try:
            while missing := self._missing():
                if self._content is None:
                    self._fill_beside_others(missing)
                else:
                    self._fill_alone(missing)
            shards = range(self._layout.shards)
            if self._content is not None and self._content.images != add_numbers(
                *(self._store.images_of(shard) for shard in shards)
            ):
                self._written.update(shards)
                raise DataChanges
            if self._written and not self._is_unchanged():
                raise DataChanges
            if not self._is_announced:
                size = size_text(self._layout.bytes)
                self._announce(size if self._written else "found in the cache")
        except (OSError, DataChanges, InputError):
            self._discard(self._written)
            raise

    def _missing(self) -> list[int]:
        """Return the shards that are not there or are damaged."""
        shards = range(self._layout.shards)
        there = [n for n in shards if n not in self._intact and self._store.is_there(n)]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            intact = list(pool.map(self._store.is_intact, there))
        self._intact.update(itertools.compress(there, intact))
        damaged = len(there) - sum(intact)
        if damaged and not self._has_looked:
            of_all = f"{damaged} of {counted(len(shards), 'shard')}"
            self._announce(f"{of_all} damaged, computed again")
        self._has_looked = True
        return [shard for shard in shards if shard not in self._intact]

    def _fill_beside_others(self, missing: Sequence[int]) -> None:
        """Compute the shards that nobody is at."""
        free = {shard for shard in missing if not is_locked(self._store.lock(shard).path)}
        if not free:
            self._wait()
            return
        with self._bar(free) as bar:
            for shard, batches in self._by_shard(min(free)):
                if shard > max(free):
                    break
                lock = self._store.lock(shard)
                if shard in free and lock.acquire():
                    try:
                        if not (self._store.is_there(shard) and self._store.is_intact(shard)):
                            self._compute(shard, batches, lock, bar)
                    finally:
                        lock.release()

    def _fill_alone(self, missing: Sequence[int]) -> None:
        """Compute all shards in one pass; those that are there must be of the same order."""
        lock = self._store.pass_lock()
        if not lock.acquire():
            self._wait()
            return
        try:
            with self._bar(missing) as bar:
                for shard, batches in self._by_shard(0):
                    if shard in missing:
                        self._compute(shard, batches, lock, bar)
                    elif self._hashes(batches) != self._store.images_of(shard):
                        self._discard(range(self._layout.shards))
                        return
        finally:
            lock.release()

    def _by_shard(self, first: int) -> Iterator[tuple[int, Iterator[tuple[int, Any, Any]]]]:
        """Give shards from `first` on with their batches `(number, x, y)`."""
        each = self._layout.shard_examples // self._size
        batches = self._batches.skip(first * each)
        batches = enumerate(elements_of(batches, "data"), first * each)
        numbered = (
            (number, element[0], element[1])
            if isinstance(element, tuple)
            else (number, element, None)
            for number, element in batches
        )
        return itertools.groupby(numbered, key=lambda batch: batch[0] // each)

    def _compute(self, shard: int, batches: Iterable, lock: FileLock, bar: tqdm) -> None:
        if shard >= self._layout.shards:
            raise DataChanges
        self._store.discard(shard)
        parts, images, count = [], 0, 0
        for number, x, y in batches:
            if self._content is not None:
                hashes = _hashes_of(x)
                if not self._content.has(hashes):
                    raise DataChanges
                images = add_numbers(images, *hashes)
            parts.append(self._values(x, y, number))
            size = len(tf.nest.flatten(x)[0])
            count += size
            bar.update(size)
            lock.refresh()
            self._measure(bar.total)
        if count != len(self._layout.examples_of(shard)):
            raise DataChanges
        arrays = [np.concatenate(column) for column in zip(*parts, strict=True)]
        self._check_finite(arrays, count)
        self._store.write(shard, arrays, images)
        self._written.add(shard)
        self._intact.add(shard)

    def _hashes(self, batches: Iterable) -> int:
        return add_numbers(*(n for _, x, _ in batches for n in _hashes_of(x)))

    def _check_finite(self, arrays: Sequence[np.ndarray], count: int) -> None:
        broken = np.zeros(count, bool)
        for array in arrays[: len(self._layout.x)]:
            broken |= ~np.isfinite(array.reshape(count, -1)).all(axis=1)
        if broken.any():
            raise InputError(
                f"model: the backbone {self._model_name!r} gives NaN or infinity for "
                f"{int(broken.sum())} of {counted(count, 'image')}. Its weights may be broken, or "
                "its preprocessing not the one that it was trained with."
            )

    def _measure(self, examples: int) -> None:
        """After some batches say how long the rest takes; the first one still compiles."""
        self._ends.append(time.perf_counter())
        if len(self._ends) == 1 + MEASURED_BATCHES:
            per_batch = (self._ends[-1] - self._ends[0]) / MEASURED_BATCHES
            seconds = per_batch * (math.ceil(examples / self._size) - len(self._ends))
            self._announce(f"{size_text(self._layout.bytes)}, about {time_text(seconds)}")

    def _announce(self, what: str) -> None:
        self._say(f"features of {counted(self._layout.count, 'image')}: {what}")
        self._is_announced = True

    def _bar(self, shards: Iterable[int]) -> tqdm:
        total = sum(len(self._layout.examples_of(shard)) for shard in shards)
        return tqdm(
            total=total,
            desc="features",
            unit="img",
            disable=not (self._verbose and can_redraw(sys.stderr)),
            leave=False,
        )

    def _wait(self) -> None:
        if not self._waits:
            self._say("features of the same images are being computed by another process: waiting")
            self._waits = True
        time.sleep(SECONDS_BETWEEN_LOOKS)

    def _discard(self, shards: Iterable[int]) -> None:
        for shard in shards:
            self._store.discard(shard)
            self._intact.discard(shard)


def _hashes_of(x: Any) -> list[int]:
    return image_hashes(tf.nest.map_structure(np.asarray, x))
