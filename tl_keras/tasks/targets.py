"""What a model predicts, and how labels of any form become its training targets."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tl_keras.tasks.base import Task
from tl_keras.tasks.encoding import label_name, missing_labels
from tl_keras.tasks.kinds import resolve_task, task_config, task_of_config
from tl_keras.utils.errors import InputError


@dataclasses.dataclass(frozen=True)
class TargetSpec:
    """What one output of a model predicts.

    Attributes:
        task: The kind of target; `"classification"` (one class per example), `"multi_label"` (any
            number of classes per example) and `"regression"` (real values) stand for theirs.
        size: Number of classes, or of regressed values.
        class_names: Names of the classes in the order of the model's outputs, or None.
        partly: Whether labels may be missing: NaN, None or, where labels are classes, −1. Their
            rows are encoded as NaN.
        standard: For regression: mean and scale, each `(size,)`, of the standard units
            `(y − mean) / scale` in which values are encoded; None for the user's.

    Raises:
        InputError: If the task is unknown, or the names do not fit the size.
    """

    task: Task
    size: int
    class_names: tuple[str, ...] | None = None
    partly: bool = False
    standard: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    if TYPE_CHECKING:  # What can be given is more than what is kept.

        def __init__(
            self,
            task: Task | str,
            size: int,
            class_names: Sequence[str] | None = None,
            partly: bool = False,
            standard: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
        ) -> None: ...

    def __post_init__(self):
        """Check that the names fit the size."""
        object.__setattr__(self, "task", resolve_task(self.task))
        if self.class_names is None:
            return
        names = tuple(map(label_name, self.class_names))
        object.__setattr__(self, "class_names", names)
        if len(names) != self.size:
            raise InputError(
                f"class_names: expected {self.size} names, one per class, got {len(names)}: "
                f"{list(names)[:10]}. Pass num_classes={len(names)} or fix class_names."
            )
        if len(set(names)) != len(names):
            raise InputError(f"class_names: names must be distinct, got {list(names)}.")

    @property
    def output_names(self) -> tuple[str, ...]:
        """The class names, or `"0"`, `"1"`, … where the model has none."""
        return self.class_names or tuple(str(index) for index in range(self.size))

    def encode(self, y: Any, argument: str = "y") -> np.ndarray:
        """Turn labels into float32 targets of shape `(n, size)`.

        Args:
            y: Labels of `n` examples. Classification: integers `(n,)` or `(n, 1)` in
                `0 … size-1`, strings out of `class_names`, or one-hot / probability rows
                `(n, size)`. Multi-label: 0/1 rows `(n, size)`, also `(n,)` for one label, or `n`
                collections of names. Regression: numbers `(n,)` or `(n, size)`.
            argument: Name that errors use for `y`.

        Returns:
            One-hot (or soft) rows, multi-hot rows, or values; float32 `(n, size)`. Values are
            brought to standard units before they are rounded.

        Raises:
            InputError: If a label is unknown, out of range, missing or not finite.
        """
        if self.partly:
            return self._encode_partly(y, argument)
        encoded = self.task.encode(y, self, argument)
        if self.standard is not None:
            mean, scale = map(np.asarray, self.standard)
            encoded = (encoded.astype(np.float64) - mean) / scale
        return encoded.astype(np.float32, copy=False)

    def _encode_partly(self, y: Any, argument: str) -> np.ndarray:
        missing = missing_labels(y, minus_one=self.task.has_classes)
        encoded = np.full((len(missing), self.size), np.nan, np.float32)
        if not missing.all():
            rows = y if isinstance(y, (list, tuple)) else np.asarray(y)
            # None makes an object array of numbers; as a list they are numbers again.
            known = (
                [row for row, gone in zip(rows, missing, strict=True) if not gone]
                if isinstance(rows, (list, tuple)) or rows.dtype == object
                else rows[~missing]
            )
            encoded[~missing] = dataclasses.replace(self, partly=False).encode(known, argument)
        return encoded

    def encode_in_graph(self, y: tf.Tensor) -> tf.Tensor:
        """Return a batch of labels, which `encode` takes, as float32 `(b, size)`."""
        encoded = self.task.encode_in_graph(y, self)
        if self.standard is not None:
            mean, scale = self.standard
            encoded = (tf.cast(encoded, tf.float64) - mean) / scale
        encoded = tf.cast(encoded, tf.float32)
        if self.partly:
            gone = _missing_in_graph(y, encoded, minus_one=self.task.has_classes)
            encoded = tf.where(gone[:, None], np.float32(np.nan), encoded)
        return tf.ensure_shape(encoded, [None, self.size])

    def config(self) -> dict[str, Any]:
        """Return what a model's file says; labels in training may be missing or standardised."""
        return {
            "task": task_config(self.task),
            "size": self.size,
            "class_names": self.class_names,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "TargetSpec":
        """Return the spec of `config`'s answer, or of the spelling before: `kind`, `labels`."""
        task = task_of_config(config["task"] if "task" in config else config["kind"])
        names = config["class_names"] if "class_names" in config else config["labels"]
        return cls(task, config["size"], None if names is None else tuple(names))


def _missing_in_graph(y: tf.Tensor, encoded: tf.Tensor, *, minus_one: bool) -> tf.Tensor:
    """Return which labels of a batch are missing, bool `(b,)`."""
    if y.dtype == tf.string:
        return tf.reduce_sum(encoded, axis=1) == 0
    values = tf.cast(tf.reshape(y, [tf.shape(y)[0], -1]), tf.float32)
    missing = tf.reduce_all(tf.math.is_nan(values), axis=1)
    if minus_one:
        missing |= tf.reduce_all(values == -1.0, axis=1)
    return missing


def targets_config(targets: "TargetSpec | Mapping[str, TargetSpec] | None") -> Any:
    """Return what `targets_of_config` makes the same specs of, as JSON."""
    if isinstance(targets, Mapping):
        return {name: spec.config() for name, spec in targets.items()}
    return None if targets is None else targets.config()


def targets_of_config(config: Any, several: bool) -> "TargetSpec | dict[str, TargetSpec] | None":
    """Return the specs of one task, or of several by name, from their configuration."""
    if several:
        return {name: TargetSpec.from_config(spec) for name, spec in config.items()}
    return None if config is None else TargetSpec.from_config(config)
