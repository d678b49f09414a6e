"""Examples whose values are read from a feature store."""

import collections
import mmap
import threading
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.base import Examples, Names, Specs, Targets, batch_spec
from tl_keras.data.rows import WHOLE, Order, Part, row_batches
from tl_keras.frozen.feature_store import FeatureStore
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError

MEMORY_BYTES = 64 * 2**20
"""Stores up to this size are held in memory."""

TOUCHED_BYTES = 64 * 2**20
FAULT_BYTES = 2 * 2**20
"""What Linux may map around a page that is read."""

OPEN_FILES = 256
"""How many files of all stores of the process are open at a time."""


class StoredExamples(Examples):
    """The values of frozen layers, with the encoded targets that came in the same pass.

    Small stores are read into memory. Larger ones are memory-mapped; pages that were read are
    given back after every 64 MiB, so that resident memory does not grow with the store.

    With `k` views per example, epoch `e` reads view `e % k`.

    Args:
        store: A store with all shards in place. It cannot be cleared while this object lives.
        spec: What the stored targets were encoded for; None without targets.
        class_names: Names of the classes, if the data knows them.

    Batches have elements `(x, y)` or `x`; `x` is one tensor, or a tuple where the frozen layers
    give several.
    """

    def __init__(self, store: FeatureStore, spec: Specs, class_names: Names = None):
        self.class_names = class_names
        self._store = store
        self._layout = store.layout
        self._spec = spec if self._layout.y else None
        self._in_memory: list[tf.Tensor] | None = None
        if self._layout.bytes <= MEMORY_BYTES:
            with tf.device("/cpu:0"):
                self._in_memory = [
                    self._tensor(self._column(index), column.dtype)
                    for index, column in enumerate(self._layout.columns)
                ]
            store.leave()

    def close(self) -> None:
        """Let the store be cleared; where it is not in memory, nothing can be read any more.

        TensorFlow keeps Python functions that a dataset calls for as long as the process lives,
        and with them this object.
        """
        _mapped.close(self._store)
        self._store.leave()

    @property
    def spec(self) -> Any:
        """Shape and type of what the frozen layers give for one example; a tuple of several."""
        columns = [tf.TensorSpec(column.shape, column.dtype) for column in self._layout.x]
        return columns[0] if len(columns) == 1 else tuple(columns)

    @property
    def has_labels(self) -> bool:
        """Whether targets are stored, too."""
        return self._spec is not None

    def __len__(self) -> int:
        """Return the number of examples."""
        return self._layout.count

    def encoded_targets(self, spec: Specs) -> Targets:
        """Return all targets, of the first view where there are several."""
        if not self._has_targets(spec):
            return None
        first = len(self._layout.x)
        columns = range(first, first + len(self._layout.y))
        return self._named([self._column(index)[:: self._layout.views] for index in columns])

    def batches(
        self,
        spec: Specs,
        batch_size: int,
        *,
        epochs: Order = None,
        part: Part = WHOLE,
    ) -> tf.data.Dataset:
        """Return the stored values in batches; see `Examples.batches`."""
        batch_size = whole(batch_size, "batch_size")
        with_targets = self._has_targets(spec)
        views, width = self._layout.views, len(self._layout.x)
        columns = self._layout.columns if with_targets else self._layout.x
        tensors = self._in_memory

        @tf.autograph.experimental.do_not_convert
        def element(epoch: Any, rows: Any) -> Any:
            wanted = rows * views + epoch % views
            if tensors is None:
                values = self._read_files(wanted, columns)
            else:
                values = [tf.gather(tensor, wanted) for tensor in tensors[: len(columns)]]
            x = values[0] if width == 1 else tuple(values[:width])
            return (x, self._named(values[width:])) if with_targets else x

        rows = row_batches(len(self), batch_size, epochs, part, with_epoch=True)
        return rows.map(element, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _element_spec(self, spec: Specs) -> Any:
        if not self._has_targets(spec):
            return batch_spec(self.spec, None)
        columns = [tf.TensorSpec([None, *column.shape], column.dtype) for column in self._layout.y]
        return batch_spec(self.spec, None), self._named(columns)

    def _has_targets(self, spec: Specs) -> bool:
        if spec is None or self._spec is None:
            return False
        if spec != self._spec:
            raise InputError(
                f"data: the stored features came with targets for {self._spec}, not for {spec}."
            )
        return True

    def _named(self, columns: list[Any]) -> Any:
        tasks = self._layout.tasks
        return columns[0] if tasks is None else dict(zip(tasks, columns, strict=True))

    def _column(self, index: int) -> np.ndarray:
        shards = range(self._layout.shards)
        return np.concatenate([np.array(self._store.load(shard)[index]) for shard in shards])

    def _read_files(self, rows: tf.Tensor, columns: tuple) -> list[tf.Tensor]:
        values = tf.numpy_function(
            lambda rows: self._gather(rows, len(columns)),
            [rows],
            [tf.as_dtype(column.stored_dtype) for column in columns],
        )
        return [
            tf.ensure_shape(self._tensor(value, column.dtype), [None, *column.shape])
            for value, column in zip(values, columns, strict=True)
        ]

    def _gather(self, rows: np.ndarray, width: int) -> list[np.ndarray]:
        """Read rows from the files, some at a time from each shard that has any."""
        columns = self._layout.columns[:width]
        values = [np.empty((len(rows), *c.shape), c.stored_dtype) for c in columns]
        rows_per_shard = self._layout.shard_examples * self._layout.views
        shards = rows // rows_per_shard
        for shard in np.unique(shards):
            chosen = np.flatnonzero(shards == shard)
            inside = rows[chosen] - shard * rows_per_shard
            arrays = _mapped.arrays(self._store, int(shard))
            for value, array in zip(values, arrays, strict=False):
                value[chosen] = np.asarray(array)[inside]
            _mapped.count(sum(c.row_bytes + FAULT_BYTES for c in columns) * len(chosen))
        self._store.refresh()
        return values

    @staticmethod
    def _tensor(values: Any, dtype: str) -> tf.Tensor:
        tensor = tf.convert_to_tensor(values)
        return tf.bitcast(tensor, tf.bfloat16) if dtype == "bfloat16" else tensor


class _MappedShards:
    """The shards of all stores that were read last, and how much of them may be in memory."""

    def __init__(self):
        self._arrays: collections.OrderedDict[Any, list[np.memmap]] = collections.OrderedDict()
        self._touched = 0
        self._lock = threading.Lock()

    def arrays(self, store: FeatureStore, shard: int) -> list[np.memmap]:
        """Return the mapped arrays of a shard, one per column."""
        with self._lock:
            if (store, shard) not in self._arrays:
                self._arrays[store, shard] = store.load(shard)
                while sum(map(len, self._arrays.values())) > OPEN_FILES:
                    self._arrays.popitem(last=False)
            self._arrays.move_to_end((store, shard))
            return self._arrays[store, shard]

    def count(self, touched: int) -> None:
        """Count bytes that were mapped by reading, and now and then give all pages back."""
        with self._lock:
            self._touched += touched
            if self._touched >= TOUCHED_BYTES and hasattr(mmap, "MADV_DONTNEED"):
                self._touched = 0
                for arrays in self._arrays.values():
                    for array in arrays:
                        if isinstance(array.base, mmap.mmap):
                            array.base.madvise(mmap.MADV_DONTNEED)

    def close(self, store: FeatureStore) -> None:
        """Forget the shards of a store."""
        with self._lock:
            for key in [key for key in self._arrays if key[0] is store]:
                del self._arrays[key]


_mapped = _MappedShards()
