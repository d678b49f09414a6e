"""From the cells of label columns to the labels of files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tl_keras.data.files.file_labels import FileLabels
from tl_keras.data.files.label_cells import (
    check_class_cells,
    check_decimal_point,
    class_name,
    indicator_of,
    is_collection,
    names_in,
    warn_of_other_separators,
)
from tl_keras.data.files.tables import Table, check_utf8, number_of, text_of
from tl_keras.tasks.base import Task
from tl_keras.tasks.encoding import label_name, sorted_names
from tl_keras.tasks.kinds import KINDS, resolve_task
from tl_keras.utils.errors import InputError


class TaskColumns:
    """The label columns of one task, read cell by cell.

    Args:
        table: The table.
        columns: Names of the columns.
        kind: What the labels are, or None to see it from the cells.
        separator: What stands between the labels of a cell; None where a cell is one label.
        task: Name of the task; "" for the only one.

    Raises:
        InputError: If a column is missing, or the cells do not say what they are.
    """

    def __init__(
        self,
        table: Table,
        columns: Sequence[str],
        kind: Task | None,
        separator: str | None,
        task: str = "",
    ):
        self.key = f"[{task!r}]" if task else ""
        self.columns = list(columns)
        self.separator = separator
        self._cells = [table.cells(column, f"label{self.key}") for column in self.columns]
        filled = [cell for cells in self._cells for cell in cells if cell is not None]
        check_utf8(table, filled)
        self._are_numbers = [n for n in map(number_of, filled) if n is not None]
        self._are_numeric = bool(filled) and len(self._are_numbers) == len(filled)
        if separator is None and (kind is None or not kind.has_classes):
            for name, cells in zip(self.columns, self._cells, strict=True):
                known = [cell for cell in cells if cell is not None]
                check_decimal_point(known, name, table.source, are_values=kind is not None)
        self.task = kind or KINDS[self._kind_of(filled)]
        self.is_indicator = self._check_indicators() if self.task.has_several else False
        if self.task.has_several and separator is not None:
            names = {name for cell in filled for name in names_in(cell, separator)}
            warn_of_other_separators(sorted(names), separator, table.source)
        if self.task.one_class:
            if len(self.columns) > 1:
                raise InputError(
                    f"label{self.key}: expected one column with the class of each image, got "
                    f"{self.columns}. For several labels use task='multi_label'."
                )
            if separator is not None:
                raise InputError(
                    f"separator{self.key}: one class per image has no separator, got {separator!r}."
                    " Use task='multi_label'."
                )
            if kind is None:
                texts = [self._class_of(cell) for cell in filled]
                check_class_cells(texts, self.columns[0], table.source)

    def _kind_of(self, filled: Sequence[Any]) -> str:
        if self.separator is not None or any(map(is_collection, filled)):
            return "multi_label"
        if len(self.columns) == 1:
            return "classification"
        likely = "task='multi_label'"
        if self._are_numeric and not set(self._are_numbers) <= {0.0, 1.0}:
            likely = "task='regression'"
        raise InputError(
            f"task{self.key}: {len(self.columns)} label columns can be several labels of an image, "
            f"several values or several tasks. Pass {likely}, as their cells look, or "
            "label={'task name': 'column', …} for one task each."
        )

    def _check_indicators(self) -> bool:
        """Return whether the columns hold 0 and 1, or yes and no, for a label each."""
        if self.separator is not None:
            return False
        filled = [[cell for cell in cells if cell is not None] for cells in self._cells]
        said = [[indicator_of(cell) for cell in cells] for cells in filled]
        several = len(self.columns) > 1
        if any(None in values for values in said):
            own = [v and None not in v for v in said]
            indicators = [name for name, is_own in zip(self.columns, own, strict=True) if is_own]
            marks = {text_of(cell) for cells in filled for cell in cells}
            if several and (indicators or len(marks) == 1):
                what = f"only {indicators} hold it" if indicators else f"all cells are {marks}"
                raise InputError(
                    f"label{self.key}: expected 0 or 1 in a column for each label, or names of "
                    f"labels in all of {self.columns}; {what}. Write 0 and 1."
                )
            return False
        others = sorted(
            {value for values in said for value in values if value is not None} - {0.0, 1.0}
        )
        if others and several:
            raise InputError(
                f"label{self.key}: expected 0 or 1 in a column for each label, got {others[0]:g}. "
                "For real values use task='regression'; an image with an empty cell is left out."
            )
        return not others

    def _class_of(self, cell: Any) -> str:
        return label_name(class_name(cell, self._are_numeric))

    def value(self, row: int) -> Any:
        """Return what a row says: a name, a frozenset of names, a tuple of numbers, or None.

        Raises:
            ValueError: If a cell is no number where one is needed.
        """
        cells = [column[row] for column in self._cells]
        if self.task.has_several and not self.is_indicator:
            names = [name for cell in cells for name in names_in(cell, self.separator)]
            said = [cell for cell in cells if cell is not None]
            return frozenset(map(label_name, names)) if said else None
        if any(cell is None for cell in cells):
            return None
        if self.task.one_class:
            return self._class_of(cells[0])
        if self.is_indicator:
            pairs = zip(self.columns, cells, strict=True)
            return frozenset(label_name(name) for name, cell in pairs if indicator_of(cell))
        numbers = [number_of(cell) for cell in cells]
        for cell, number in zip(cells, numbers, strict=True):
            if number is None or not np.isfinite(number):
                raise ValueError(f"{cell!r} is not a finite number")
        return tuple(numbers)

    def join(self, first: Any, second: Any) -> Any:
        """Return what two rows about one file say together.

        Raises:
            ValueError: If they contradict each other.
        """
        if first is None or second is None or first == second:
            return second if first is None else first
        if self.task.has_several:
            return first | second
        what = "labelled" if self.task.one_class else "the values"
        one, two = (
            repr(v[0]) if isinstance(v, tuple) and len(v) == 1 else repr(v) for v in (first, second)
        )
        remedy = "; for several labels per image use tl.data.image_table(…, task='multi_label')"
        raise ValueError(
            f"{what} {one} and {two}, the first is kept" + (remedy if self.task.one_class else "")
        )

    def labels(self, values: Sequence[Any]) -> FileLabels:
        """Return the labels of files from the value of each."""
        if not self.task.has_classes:
            numbers = np.array(values, np.float64).reshape(-1, len(self.columns))
            return FileLabels(self.task, numbers, tuple(map(label_name, self.columns)))
        if self.task.one_class:
            names = sorted_names(values)
            number = {name: index for index, name in enumerate(names)}
            numbers = np.array([number[value] for value in values], np.int64)
            return FileLabels(self.task, numbers, tuple(names))
        names = sorted_names(name for value in values for name in value)
        if self.is_indicator:
            names = list(map(label_name, self.columns))
        holds = [[name in value for name in names] for value in values]
        has = np.array(holds, np.float32).reshape(-1, len(names))
        return FileLabels(self.task, has, tuple(names), is_listed=not self.is_indicator)


def read_tasks(
    table: Table, label: Any, task: Any, separator: str | None
) -> dict[str, TaskColumns]:
    """Return task name → its columns; the only task of most tables is called "".

    Args:
        table: The table.
        label: A column, several columns, or task name → one of these.
        task: What the labels are, None to see it from the cells, or task name → that.
        separator: What stands between the labels of one cell of multi-label tasks.

    Raises:
        InputError: If an argument cannot be used.
    """
    if separator is not None and (not isinstance(separator, str) or not separator):
        raise InputError(f"separator: expected text such as '|' or ' ', got {separator!r}.")
    if not isinstance(label, Mapping):
        return {"": TaskColumns(table, _columns(label, ""), _kind(task, ""), separator)}
    if not label:
        raise InputError("label: expected at least one task, got an empty dict.")
    kinds = task if isinstance(task, Mapping) else dict.fromkeys(label, task)
    strangers = sorted(set(map(str, kinds)) - set(map(str, label)))
    if strangers:
        raise InputError(f"task: {strangers} are not tasks of label, which has {list(label)}.")
    read = {name: _kind(kinds.get(name), f"[{name!r}]") for name in label}
    if separator is not None and not any(map(_has_several, read.values())):
        raise InputError(
            f"separator: none of the tasks {list(label)} is said to have several labels. Pass "
            "task={…: 'multi_label'} for those that have."
        )
    tasks = {}
    for name, columns in label.items():
        key = f"[{name!r}]"
        own = separator if _has_several(read[name]) else None
        tasks[name] = TaskColumns(table, _columns(columns, key), read[name], own, name)
    return tasks


def _columns(columns: Any, key: str) -> list[str]:
    if isinstance(columns, str) or not isinstance(columns, Sequence):
        return [columns]
    if not columns or len(set(columns)) < len(columns):
        raise InputError(
            f"label{key}: expected a column, or several different ones, got {list(columns)}."
        )
    return list(columns)


def _has_several(task: Task | None) -> bool:
    return task is not None and task.has_several


def _kind(task: Any, key: str) -> Task | None:
    return None if task is None else resolve_task(task, f"task{key}")
