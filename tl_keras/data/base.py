"""What every source of examples can do."""

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.fingerprint import Content
from tl_keras.data.rows import WHOLE, Order, Part
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import counted

Specs = TargetSpec | dict[str, TargetSpec] | None
Targets = np.ndarray | dict[str, np.ndarray] | None
GivenNames = tuple[str, ...] | Mapping[str, tuple[str, ...] | None]
Names = GivenNames | None
"""Names of the classes of one task, or task name → these."""


def read_dtype(given: Any, wanted: Any = None) -> tf.DType:
    """Return the type that numbers have in batches: uint8, an integer that is wanted, or float32.

    Args:
        given: Type of the numbers.
        wanted: `tf.TensorSpec` of what the model takes, if it is known.
    """
    if isinstance(wanted, tf.TensorSpec) and wanted.dtype.is_integer:
        return wanted.dtype
    return tf.uint8 if tf.as_dtype(given) == tf.uint8 else tf.float32


def batch_spec(x: Any, targets: Targets) -> Any:
    """Return the shapes and types of batches of examples.

    Args:
        x: Shape, without the batch axis, and type of one example; a structure of these.
        targets: All encoded targets, `(n, size)`, or task name → that; None without labels.
    """
    inputs = tf.nest.map_structure(lambda one: tf.TensorSpec([None, *one.shape], one.dtype), x)
    if targets is None:
        return inputs
    return inputs, tf.nest.map_structure(
        lambda part: tf.TensorSpec([None, *part.shape[1:]], part.dtype), targets
    )


class Examples(abc.ABC):
    """Examples to train on or to evaluate: arrays, a `tf.data.Dataset` or an image folder.

    Attributes:
        class_names: Names of the classes where the data knows them, for several tasks by task, else
            None.
        value_range: Smallest and largest value where all of `x` has been looked at, else None; it
            is not for uint8.
        pixel_range: Darkest and brightest value of images as their reader was told, else None.
        paths: The files, where each example is read from one, else None.
        has_rows: Whether example n of an ordered pass is always the same, so that shuffled batches
            are made of row numbers.
    """

    class_names: Names = None
    value_range: tuple[float, float] | None = None
    pixel_range: tuple[float, float] | None = None
    paths: tuple[str, ...] | None = None
    has_rows: bool = True

    @property
    @abc.abstractmethod
    def spec(self) -> Any:
        """Shape, without the batch axis, and type of what one example's `x` is in batches."""

    @property
    @abc.abstractmethod
    def has_labels(self) -> bool:
        """Whether the examples have labels."""

    @property
    def has_fixed_order(self) -> bool:
        """Whether two passes give the same examples in the same order."""
        return True

    def fingerprint(self) -> str:
        """Return what is equal where the examples and their labels are, 32 hexadecimal digits.

        Arrays: a hash of their bytes, about a second per gigabyte. Image files: the hashes of
        their contents from when they were inspected; a file whose size or times have changed since
        is read again. A `tf.data.Dataset`: a hash of the content, whatever its order, from one
        pass that is done once per object. Names of files and folders count only where they name
        classes.

        Raises:
            InputError: If a file is not there any more, or cannot be read.
        """
        raise TypeError(f"fingerprint: {type(self).__name__} has none.")

    def content(self) -> Content:
        """Return the hashes of single examples; only where `has_rows` is False it is asked for."""
        raise TypeError(f"content: {type(self).__name__} has none.")

    def fingerprint_in_order(self) -> str:
        """Return a fingerprint for which the order counts, whatever the source."""
        return self.fingerprint()

    @abc.abstractmethod
    def __len__(self) -> int:
        """Return the number of examples."""

    @abc.abstractmethod
    def encoded_targets(self, spec: Specs) -> Targets:
        """Return all targets as `spec.encode` gives them, in the order of unshuffled batches.

        Args:
            spec: What the model predicts; a dict for several tasks; None for nothing.

        Returns:
            float32 `(n, size)`, a dict of these, or None if the data has no labels or `spec` is
            None.

        Raises:
            InputError: If labels do not fit the spec.
        """

    @abc.abstractmethod
    def batches(
        self,
        spec: Specs,
        batch_size: int,
        *,
        epochs: Order = None,
        part: Part = WHOLE,
    ) -> tf.data.Dataset:
        """Return the examples in batches; the last one of an epoch is as large as what is left.

        Args:
            spec: What the model predicts; None leaves the targets out.
            batch_size: Examples per batch over all parts, at least 1.
            epochs: Shuffled epochs, one after the other, or a cycle, whose batches carry over the
                end of a pass; None for all examples once, in order.
            part: The share of each batch that is wanted.

        Returns:
            Elements `(x, y)`, `x` uint8 or float32 `(b, …)` and `y` float32 `(b, size)` or a
            dict of these; `x` alone where there are no targets.

        Raises:
            InputError: If labels do not fit the spec, or the batch size is not positive.
        """

    def read_for(self, wanted: Any) -> "Examples":
        """Return the examples as a model of a modality reads them; these where nothing changes.

        Integers that the model takes stay integers, and a dataset is batched or not as its shapes
        compare with the model's.

        Args:
            wanted: The modality's `spec`: shape and type of one example.

        Raises:
            InputError: If integers are wanted and there are others.
        """
        del wanted
        return self

    def element_spec(self, spec: Specs = None) -> Any:
        """Return the shapes and types of `batches(spec, …)`, found once for each spec.

        Args:
            spec: What the model predicts; None leaves the targets out.

        Raises:
            InputError: As `batches` does.
        """
        known = vars(self).setdefault("_element_specs", [])
        for one, found in known:
            if one == spec:
                return found
        found = self._element_spec(spec)
        known.append((spec, found))
        return found

    def _element_spec(self, spec: Specs) -> Any:
        return batch_spec(self.spec, None if spec is None else self.encoded_targets(spec))

    def row_names(self, rows: np.ndarray) -> list[str]:
        """Name examples for a message; none where rows have no fixed place in the data.

        Args:
            rows: Row numbers `(b,)` as `row_batches` gives them.
        """
        return [f"row {row}" for row in rows]

    def __repr__(self) -> str:
        names = ""
        if isinstance(self.class_names, tuple):
            names = f", {counted(len(self.class_names), 'class', 'classes')}"
        return f"{type(self).__name__}({counted(len(self), 'example')}{names})"
