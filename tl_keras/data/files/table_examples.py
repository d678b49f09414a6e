"""Image files with labels for one task or several, as a table holds them."""

from collections.abc import Mapping, Sequence

import numpy as np

from tl_keras.data.base import Specs, Targets
from tl_keras.data.files.contents import FileContents
from tl_keras.data.files.file_labels import FileLabels
from tl_keras.data.files.image_files import ImageFiles
from tl_keras.data.labels import check_tasks
from tl_keras.inputs.decoding.problems import Problem
from tl_keras.utils.by_task import by_task, in_form_of
from tl_keras.utils.errors import counted, printable


class ImageTable(ImageFiles):
    """Image files with classes, several labels or values, for one task or several.

    `image_table` makes these.

    Args:
        paths: The files.
        labels: Their labels, or task name → labels.
        image_size: Height and width to resize to.
        pixel_range: As for `ImageFiles`.
        problems: What was found about rows and files, used or not.
        contents: As for `ImageFiles`.
    """

    def __init__(
        self,
        paths: Sequence[str],
        labels: FileLabels | Mapping[str, FileLabels],
        *,
        image_size: tuple[int, int],
        pixel_range: tuple[float, float] | None = None,
        problems: Sequence[Problem] = (),
        contents: FileContents | None = None,
    ):
        super().__init__(
            paths,
            image_size=image_size,
            pixel_range=pixel_range,
            problems=problems,
            contents=contents,
        )
        self.labels = dict(labels) if isinstance(labels, Mapping) else labels

    @property
    def class_names(self) -> tuple[str, ...] | dict[str, tuple[str, ...]] | None:
        """Names of classes or labels as `class_names=` of a model takes them.

        None for regression; task name → names for several tasks, without those of values.
        """
        if isinstance(self.labels, FileLabels):
            return self.labels.class_names
        named = {task: labels.class_names for task, labels in self.labels.items()}
        return {task: names for task, names in named.items() if names is not None}

    @property
    def num_classes(self) -> int | dict[str, int]:
        """Number of classes, labels or values, as `num_classes=` of a model takes it."""
        if isinstance(self.labels, FileLabels):
            return len(self.labels.names)
        return {task: len(labels.names) for task, labels in self.labels.items()}

    def __repr__(self) -> str:
        height, width = self.image_size
        what = ", ".join(
            f"{printable(task)}{': ' if task else ''}{_described(labels)}"
            for task, labels in self._tasks().items()
        )
        return (
            f"ImageTable({counted(len(self), 'image')}, {what}, {height}×{width}, "
            f"{counted(len(self.problems), 'problem')})"
        )

    def summary(self) -> str:
        """Return images by class, the range of values, and the table of problems, as text."""
        lines = [repr(self)]
        for task, labels in self._tasks().items():
            lines += [f"{printable(task)}:"] if task else []
            names = list(map(printable, labels.names))
            width = max(map(len, names))
            numbers = _numbers(labels)
            lines += [f"  {n:<{width}}  {text}" for n, text in zip(names, numbers, strict=True)]
        return "\n".join([*lines, self.problem_table()]).rstrip()

    def label_rows(self) -> list[tuple]:
        """Return the label of each file, of all tasks by name."""
        tasks = self._tasks()
        rows = zip(*(tasks[task].values.tolist() for task in sorted(tasks)), strict=True)
        # Classes are named by the images' own labels; values belong to the columns of their names.
        names = [
            (task, *(() if tasks[task].task.has_classes else tasks[task].names))
            for task in sorted(tasks)
        ]
        return [(*names, *row) for row in rows]

    def encoded_targets(self, spec: Specs) -> Targets:
        """Return all targets; classes are matched by name if the model has labels."""
        if spec is None:
            return None
        check_tasks(self.labels, spec, "data")
        labels = self._tasks()
        encoded = {
            task: labels[task].encode(one, f"data: {task!r}" if task else "data")
            for task, one in by_task(spec).items()
        }
        return in_form_of(spec, encoded)

    def _tasks(self) -> dict[str, FileLabels]:
        return by_task(self.labels)


def _described(labels: FileLabels) -> str:
    return counted(len(labels.names), *labels.task.nouns)


def _numbers(labels: FileLabels) -> list[str]:
    if not labels.task.has_classes:
        return [
            f"{low:.6g} … {high:.6g}"
            for low, high in zip(labels.values.min(axis=0), labels.values.max(axis=0), strict=True)
        ]
    if not labels.task.one_class:
        return [str(int(count)) for count in labels.values.sum(axis=0)]
    return [str(count) for count in np.bincount(labels.values, minlength=len(labels.names))]
