"""One pass over a `tf.data.Dataset`: how much there is, which shapes, values and labels."""

import math
import time
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.read_errors import elements_of
from tl_keras.data.values import Values
from tl_keras.utils.compat import input_dataset
from tl_keras.utils.errors import InputError, counted, warn_user

SECONDS_IN_SILENCE = 5.0
SECONDS_OF_A_GENERATOR = 30.0


class _Patience:
    """Says when a pass takes long, and ends one over a Python generator that may have no end.

    Args:
        dataset: The dataset that is gone through.
        argument: Name that messages use for it.
    """

    def __init__(self, dataset: tf.data.Dataset, argument: str):
        self._argument = argument
        self._unknown = dataset.cardinality() == tf.data.UNKNOWN_CARDINALITY
        self._generated = self._unknown and _is_generated(dataset)
        self._start = time.monotonic()
        self._said = False

    def check(self, count: int) -> None:
        """Warn after `SECONDS_IN_SILENCE`, refuse a generator after `SECONDS_OF_A_GENERATOR`."""
        if not self._unknown:
            return
        seconds = time.monotonic() - self._start
        text = (
            f"{self._argument}: the dataset does not say how long it is, and {count} examples were "
            f"read in {seconds:.0f} s. If it has no end, add .take(n); then, or if it has one, say "
            "so: .apply(tf.data.experimental.assert_cardinality(number of its elements))."
        )
        if self._generated and seconds > SECONDS_OF_A_GENERATOR:
            raise InputError(text)
        if seconds > SECONDS_IN_SILENCE and not self._said:
            self._said = True
            warn_user(text)


def _is_generated(dataset: Any) -> bool:
    """Return whether a dataset comes from a Python generator: those alone can go on for ever."""
    kinds = []
    while dataset is not None:
        kinds.append(type(dataset).__name__.strip("_"))
        dataset = input_dataset(dataset)
    return kinds[-1] == "TensorDataset" and "FlatMapDataset" in kinds


class Scan:
    """One pass over a dataset: number of examples, their shape and bytes, and all labels."""

    def __init__(self, dataset: tf.data.Dataset, batched: bool, labelled: bool, argument: str):
        self.count = 0
        self.shape: Any = None
        self.labels: Any = None
        parts, sizes, values, size = [], [], [], 1
        patience = _Patience(dataset, argument)
        for element in elements_of(dataset, argument):
            patience.check(self.count)
            x = tf.nest.map_structure(np.asarray, element[0] if labelled else element)
            y = tf.nest.map_structure(lambda part: part.numpy(), element[1]) if labelled else ()
            if not batched:
                x, y = tf.nest.map_structure(lambda part: np.asarray(part)[None], (x, y))
            self._check_shape(x, y, argument)
            inputs = tf.nest.flatten(x)
            if len(inputs) == 1 and inputs[0].dtype not in (np.uint8, np.bool_):
                values.append(Values.of(inputs[0].astype(np.float32, copy=False)))
            elif any(one.dtype.kind == "f" and not np.isfinite(one).all() for one in inputs):
                raise InputError(f"{argument}: x must be finite, got NaN or infinity.")
            self.count += len(inputs[0])
            sizes.append(len(inputs[0]))
            size = sum(math.prod(one.shape[1:]) * one.dtype.itemsize for one in inputs)
            parts.append(y)
        if not self.count:
            raise InputError(f"{argument}: the dataset is empty. Check the files or filters in it.")
        self.value_range = _checked_range(values, sizes, argument) if values else None
        self.bytes_each = max(1, size)
        self.batch_size = sizes[0] if _is_regular(sizes) else None
        if labelled:
            self.labels = _concatenate(parts, argument)

    def _check_shape(self, x: Any, y: Any, argument: str) -> None:
        shape = tf.nest.map_structure(lambda one: tf.TensorShape(one.shape[1:]), x)
        self.shape = self.shape or shape
        if shape != self.shape:
            before, now = (tf.nest.map_structure(tuple, one) for one in (self.shape, shape))
            raise InputError(
                f"{argument}: all examples must have one shape, got {before} and {now}. Resize "
                "the images in the dataset, e.g. with .map and tf.image.resize."
            )
        for part in tf.nest.flatten(y):
            count = len(tf.nest.flatten(x)[0])
            if np.ndim(part) == 0 or len(part) != count:
                raise InputError(
                    f"{argument}: a batch has {counted(count, 'example')} in x and labels of "
                    f"shape {np.shape(part)} in y. Both need the same first axis."
                )


def _checked_range(values, sizes: list[int], argument: str) -> tuple[float, float]:
    found = Values.joined(values, sizes)
    if found.not_finite:
        raise InputError(
            f"{argument}: x must be finite, got NaN or infinity in {found.not_finite} of "
            f"{counted(sum(sizes), 'example')}, the first at row {found.first}. Remove or fix "
            f"these examples."
        )
    return found.low, found.high


def _is_regular(sizes: list[int]) -> bool:
    """Return whether all batches have one size, the last one perhaps less."""
    return all(size == sizes[0] for size in sizes[:-1]) and sizes[-1] <= sizes[0]


def _concatenate(parts: list[Any], argument: str) -> Any:
    try:
        return tf.nest.map_structure(lambda *rows: np.concatenate(rows), *parts)
    except ValueError as error:
        raise InputError(
            f"{argument}: labels of different examples differ in shape: {error}. Encode them as "
            "integers, names or rows of one length."
        ) from error
