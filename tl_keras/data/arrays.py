"""Examples in memory: arrays of images or feature vectors, with or without labels."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.base import Examples, Names, Specs, Targets, read_dtype
from tl_keras.data.columns import read_labels
from tl_keras.data.fingerprint import arrays_fingerprint, with_names
from tl_keras.data.labels import encode_labels, names_of
from tl_keras.data.rows import WHOLE, Order, Part, row_batches
from tl_keras.data.values import Values
from tl_keras.inputs.base import compatible
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError, counted, describe


class ArrayExamples(Examples):
    """Examples held in arrays.

    Args:
        x: Examples along the first axis, `(n, …)`: numbers without NaN or infinity; name → that
            for a model of several inputs. uint8 stays as it is and everything else becomes float32,
            unless the model takes integers.
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
        self._y: Any = None
        self._names: Names = None
        parts: dict[str, Any] = {}
        self._x, self.value_range = _read(x, argument)
        self._dtypes = tf.nest.map_structure(lambda one: read_dtype(one.dtype), self._x)
        self._count = len(tf.nest.flatten(self._x)[0])
        if isinstance(y, dict):
            read = {k: read_labels(one, f"{argument}: y[{k!r}]") for k, one in y.items()}
            self._y = {task: labels for task, (labels, _) in read.items()}
            self._names = {task: names for task, (_, names) in read.items()}
            parts = {f"y[{task!r}]": part for task, part in self._y.items()}
        elif y is not None:
            self._y, self._names = read_labels(y, f"{argument}: y")
            parts = {"y": self._y}
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
    def spec(self) -> Any:
        """Shape and type of one example; name → that for several inputs."""
        return tf.nest.map_structure(
            lambda one, dtype: tf.TensorSpec(one.shape[1:], dtype), self._x, self._dtypes
        )

    def read_for(self, wanted: Any) -> "ArrayExamples":
        """Return the examples with integers where a model takes them; see `Examples.read_for`."""
        if not compatible(wanted, self.spec):  # What is wrong is said where shapes are checked.
            return self
        dtypes = tf.nest.map_structure(lambda one, own: read_dtype(one.dtype, own), self._x, wanted)
        if dtypes == self._dtypes:
            return self
        for one, dtype in zip(tf.nest.flatten(self._x), tf.nest.flatten(dtypes), strict=True):
            _check_integers(np.asarray(one), dtype, f"{self._argument}: x")
        found = copy.copy(self)
        vars(found).pop("_element_specs", None)
        found._dtypes, found.value_range = dtypes, None
        return found

    @property
    def has_labels(self) -> bool:
        """Whether there are labels."""
        return self._y is not None

    def fingerprint(self) -> str:
        """Return a hash of the arrays; see `Examples.fingerprint`."""
        x = tf.nest.map_structure(
            lambda one, dtype: np.asarray(one).astype(dtype.as_numpy_dtype, copy=False),
            self._x,
            self._dtypes,
        )
        return with_names(arrays_fingerprint(x, self._y), self._names)

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
            self._x = x = tf.nest.map_structure(tf.convert_to_tensor, self._x)
            y = None
            if targets is not None:
                y = tf.nest.map_structure(tf.convert_to_tensor, targets)

        @tf.autograph.experimental.do_not_convert
        def gather(rows: tf.Tensor) -> Any:
            chosen = tf.nest.map_structure(
                lambda one, dtype: tf.cast(tf.gather(one, rows), dtype), x, self._dtypes
            )
            if y is None:
                return chosen
            return chosen, tf.nest.map_structure(lambda part: tf.gather(part, rows), y)

        rows = row_batches(len(self), batch_size, epochs, part)
        return rows.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


_LABELS_ALONE = " If these are labels, pass examples and labels together, as (x, y)."


def _read(x: Any, argument: str) -> tuple[Any, tuple[float, float] | None]:
    """Return examples as arrays, and the range of values where it is one array."""
    if not isinstance(x, Mapping):
        return _as_numbers(x, f"{argument}: x")
    found = {name: _as_numbers(one, f"{argument}: x[{name!r}]")[0] for name, one in x.items()}
    lengths = {name: len(one) for name, one in found.items()}
    if len(set(lengths.values())) != 1:
        raise InputError(
            f"{argument}: all inputs must have the same number of examples, got {lengths}."
        )
    return found, None


def _check_integers(x: np.ndarray, dtype: tf.DType, argument: str) -> None:
    """Raise `InputError` where numbers are not those of an integer type."""
    if not dtype.is_integer:
        return
    if x.dtype.kind == "f" and not np.array_equal(x, np.floor(x)):
        raise InputError(
            f"{argument}: the model takes integers ({dtype.name}), got fractions. Pass integers, "
            "or build the model with modality=tl.inputs.Features(shape, 'float32')."
        )
    if x.min() < dtype.min or x.max() > dtype.max:
        raise InputError(
            f"{argument}: the model takes {dtype.name}, got values in {x.min()} … {x.max()}. Build "
            "it with a larger type."
        )


def _as_numbers(x: Any, argument: str) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Return examples as integers or float32, and the range of their values."""
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
            f"files use tl.data.image_folder.{_LABELS_ALONE if array.ndim == 1 else ''}"
        )
    if array.ndim < 2 or array.size == 0:
        raise InputError(
            f"{argument} must hold examples along the first axis, (n, …) with n ≥ 1, got shape "
            f"{array.shape}. Pass a single example as x[None]."
            f"{_LABELS_ALONE if array.ndim == 1 else ''}"
        )
    if array.dtype == np.uint8:
        return array, None
    if array.dtype.kind in "bui":
        found = (float(array.min()), float(array.max())) if array.dtype != bool else None
        return array, found
    array = array.astype(np.float32, copy=False)
    found = Values.of(array)
    if found.not_finite:
        raise InputError(
            f"{argument} must be finite, got NaN or infinity in {found.not_finite} of {len(array)} "
            f"examples, the first at row {found.first}. Remove or fix these examples."
        )
    return array, (found.low, found.high)
