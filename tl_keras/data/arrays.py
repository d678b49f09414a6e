"""Examples in memory: arrays of images or feature vectors, with or without labels."""

from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.base import Examples, Specs, Targets
from tl_keras.data.columns import read_labels
from tl_keras.data.fingerprint import arrays_fingerprint, with_names
from tl_keras.data.labels import Names, encode_labels, names_of
from tl_keras.data.rows import WHOLE, Order, Part, row_batches
from tl_keras.data.values import Values
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError, counted, describe


class ArrayExamples(Examples):
    """Examples held in arrays.

    Args:
        x: Examples along the first axis, `(n, …)`: numbers without NaN or infinity. uint8 stays
            as it is, everything else becomes float32.
        y: Labels of the examples: integers, strings, one-hot rows or values, as arrays, lists,
            Series or DataFrames; a dict of these for several tasks; None if there are none.
            Columns of a DataFrame belong to the outputs of their names, in any order.
        argument: Name that errors use for the data.

    Raises:
        InputError: If `x` is not numeric, empty, not finite, or lengths differ.

    Example:
        >>> len(ArrayExamples(np.zeros((4, 8, 8, 3), np.uint8), ["cat", "dog", "cat", "dog"]))
        4
    """

    def __init__(self, x: Any, y: Any = None, argument: str = "data"):
        self._argument = argument
        array, self.value_range = _as_numbers(x, f"{argument}: x")
        self._x: np.ndarray | tf.Tensor = array
        self._count = len(self._x)
        if isinstance(y, dict):
            read = {k: read_labels(one, f"{argument}: y[{k!r}]") for k, one in y.items()}
            self._y = {task: labels for task, (labels, _) in read.items()}
            self._names: Names = {task: names for task, (_, names) in read.items()}
            parts = {f"y[{task!r}]": part for task, part in self._y.items()}
        else:
            self._y, self._names = read_labels(y, f"{argument}: y") if y is not None else (y, None)
            parts = {} if y is None else {"y": self._y}
        names = names_of(self._names)
        # The name of a single column is not that of a class.
        self.class_names = None if names is None or len(names) == 1 else names
        for name, part in parts.items():
            if not isinstance(part, list) and part.ndim == 0:
                raise InputError(
                    f"{argument}: {name} must hold one label per example, got {describe(y)}."
                )
            if len(part) != self._count:
                raise InputError(
                    f"{argument}: x and {name} must have the same length, got "
                    f"{counted(self._count, 'example')} and {counted(len(part), 'label')}."
                )

    def __len__(self) -> int:
        """Return the number of examples."""
        return self._count

    def encoded_targets(self, spec: Specs) -> Targets:
        """Return all targets; see `Examples.encoded_targets`."""
        return encode_labels(self._y, spec, f"{self._argument}: y", self._names)

    @property
    def spec(self) -> tf.TensorSpec:
        """Shape and type of one example."""
        return tf.TensorSpec(self._x.shape[1:], self._x.dtype)

    @property
    def has_labels(self) -> bool:
        """Whether there are labels."""
        return self._y is not None

    def fingerprint(self) -> str:
        """Return a hash of the arrays; see `Examples.fingerprint`."""
        return with_names(arrays_fingerprint(self._x, self._y), self._names)

    def batches(
        self,
        spec: Specs,
        batch_size: int,
        *,
        epochs: Order = None,
        part: Part = WHOLE,
    ) -> tf.data.Dataset:
        """Return the examples in batches; see `Examples.batches`."""
        batch_size = whole(batch_size, "batch_size")
        targets = self.encoded_targets(spec)
        # On the CPU and captured, not written into the graph: neither device memory nor the
        # limit of 2 GB per graph is touched.
        with tf.device("/cpu:0"):
            self._x = x = tf.convert_to_tensor(self._x)
            y = None
            if targets is not None:
                y = tf.nest.map_structure(tf.convert_to_tensor, targets)

        @tf.autograph.experimental.do_not_convert
        def gather(rows: tf.Tensor) -> Any:
            if y is None:
                return tf.gather(x, rows)
            return tf.gather(x, rows), tf.nest.map_structure(lambda part: tf.gather(part, rows), y)

        rows = row_batches(len(self), batch_size, epochs, part)
        return rows.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _as_numbers(x: Any, argument: str) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Return examples as uint8 or float32, and the range of their values."""
    if isinstance(x, tf.data.Dataset):
        raise InputError(
            f"{argument} must be an array (n, …), got a tf.data.Dataset beside labels. Put the "
            "labels into it: tf.data.Dataset.zip((x, tf.data.Dataset.from_tensor_slices(y)))."
        )
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise InputError(
            f"{argument} must be one array (n, …), got {describe(x)} whose items differ in shape. "
            "Resize the images to one size first."
        ) from error
    if array.dtype.kind not in "buif" and array.dtype.name != "bfloat16":
        raise InputError(
            f"{argument} must hold numbers, got {array.dtype} of shape {array.shape}. For image "
            "files use tl.data.image_folder."
        )
    if array.ndim < 2 or array.size == 0:
        raise InputError(
            f"{argument} must hold examples along the first axis, (n, …) with n ≥ 1, got shape "
            f"{array.shape}. Pass a single example as x[None]."
        )
    if array.dtype == np.uint8:
        return array, None
    if array.dtype.kind in "bui":
        found = (float(array.min()), float(array.max())) if array.dtype != bool else None
        return array.astype(np.float32), found
    array = array.astype(np.float32, copy=False)
    found = Values.of(array)
    if found.not_finite:
        raise InputError(
            f"{argument} must be finite, got NaN or infinity in {found.not_finite} of {len(array)} "
            f"examples, the first at row {found.first}. Remove or fix these examples."
        )
    return array, (found.low, found.high)
