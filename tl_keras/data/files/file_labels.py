"""Labels of files for one task, and how they become the targets of a model."""

import dataclasses
from typing import Any

import numpy as np

from tl_keras.data.labels import encode_labels
from tl_keras.tasks.base import Task, labelled_alike
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class FileLabels:
    """Labels of `n` files for one task.

    Attributes:
        task: What the labels are.
        values: Classification: class numbers, int64 `(n,)`. Multi-label: 0 and 1, float32
            `(n, size)`. Regression: float64 `(n, size)`.
        names: Names of the classes, of the labels, or of the columns of regressed values.
        is_listed: Whether labels were listed by name, so that one that is not named does not hold.
    """

    task: Task
    values: np.ndarray
    names: tuple[str, ...]
    is_listed: bool = False

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of classes or labels; None for regression."""
        return self.names if self.task.has_classes else None

    def rows(self, rows: Any) -> "FileLabels":
        """Return the labels of some files."""
        return dataclasses.replace(self, values=self.values[rows])

    def numbers(self) -> list[list[int]]:
        """Return the numbers of the classes or labels that each file has.

        Regressed values count as classes of ten neighbouring ones.
        """
        if self.task.one_class:
            return [[int(number)] for number in self.values]
        if self.task.has_classes:
            return [np.flatnonzero(row).tolist() for row in self.values]
        ranks = self.values.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
        bins = 1 + len(ranks) // 10
        return (ranks // 10 + bins * np.arange(ranks.shape[1])).tolist()

    def encode(self, spec: TargetSpec, argument: str) -> np.ndarray:
        """Return the targets of a model, float32 `(n, spec.size)`, matched by name where it can be.

        Args:
            spec: What the model predicts.
            argument: What errors call the labels.

        Raises:
            InputError: If the model predicts something else.
        """
        is_class = self.task.one_class and spec.task.has_classes
        if not labelled_alike(self.task, spec.task) and not is_class:
            raise InputError(
                f"{argument}: the data holds {self.task.labels_are}, the model has a {spec.task} "
                f"head. Build it with head={self.task.head!r}, or read the data with "
                f"tl.data.image_table(…, task={spec.task.name!r})."
            )
        if is_class:
            return encode_labels(self.values, spec, f"{argument}: classes", self.names)
        return spec.encode(self._values_for(spec, argument), argument)

    def _values_for(self, spec: TargetSpec, argument: str) -> np.ndarray:
        """Return the columns in the order of the model's outputs."""
        known = dict(zip(self.names, self.values.T, strict=True))
        if spec.class_names is None or (
            not self.task.has_classes and set(spec.class_names) != set(known)
        ):
            self._check_size(spec, argument)
            return self.values
        strangers = sorted(set(known) - set(spec.class_names))
        if strangers:
            raise InputError(
                f"{argument}: unknown labels {strangers[:5]}; the model's labels are "
                f"{list(spec.class_names)[:20]}."
            )
        lacking = sorted(set(spec.class_names) - set(known))
        if lacking and not self.is_listed:
            raise InputError(
                f"{argument}: there are no columns for the model's labels {lacking[:5]}."
            )
        none = np.zeros(len(self.values), self.values.dtype)
        return np.stack([known.get(name, none) for name in spec.class_names], axis=1)

    def _check_size(self, spec: TargetSpec, argument: str) -> None:
        if spec.size != len(self.names):
            raise InputError(
                f"{argument}: the model has num_classes={spec.size} without class names, the "
                f"image files have {len(self.names)} {self.task.nouns[1]} {list(self.names)[:10]}. "
                "Build the model with class_names=train.class_names."
            )
