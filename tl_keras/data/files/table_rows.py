"""From the rows of a table to files, each once, with what its rows say about it."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from tl_keras.data.files.table_files import FileFinder
from tl_keras.data.files.table_labels import TaskColumns
from tl_keras.data.files.tables import Table, not_utf8, text_of
from tl_keras.inputs.decoding.problems import Problem
from tl_keras.utils.errors import InputError, decodable


@dataclasses.dataclass(slots=True)
class TableFile:
    """A file that a table names.

    Attributes:
        path: Where it is.
        name: What messages call it.
        values: Task → what the rows say; None where they say nothing.
        place: The first row that names it.
    """

    path: str
    name: str
    values: dict[str, Any]
    place: str


def files_of(
    table: Table, path: str, tasks: Mapping[str, TaskColumns]
) -> tuple[list[TableFile], list[Problem], dict[str, str]]:
    """Return the files of a table that have a label for each task, sorted by name.

    Args:
        table: The table.
        path: Column of the paths.
        tasks: Task name → its columns.

    Returns:
        The files, problems of rows, and name → what to say about a file that is not there.

    Raises:
        InputError: If no row names a labelled file, or most files have labels that contradict.
    """
    finder = FileFinder(table.folder)
    files: dict[str, TableFile] = {}
    problems = list(table.problems)
    contradicted = set()
    for row, (cell, place) in enumerate(zip(table.cells(path, "path"), table.places, strict=True)):
        text = "" if cell is None else text_of(cell)
        if not text:
            problems.append(Problem("", "no path", place))
            continue
        found, name = finder.find(text)
        if decodable(text) != text and not os.path.isfile(found):
            raise not_utf8(table.source, f"{place} holds {decodable(text)!r}")
        try:
            values = {task: columns.value(row) for task, columns in tasks.items()}
        except ValueError as error:
            problems.append(Problem(name, "not a number", f"{place}: {error}"))
            continue
        if not any(value is not None for value in values.values()):
            problems.append(Problem(name, "no label", place))
            continue
        known = files.get(found)
        if known is None:
            files[found] = TableFile(found, name, values, place)
            continue
        try:
            joined = {t: c.join(known.values[t], values[t]) for t, c in tasks.items()}
        except ValueError as error:
            problems.append(Problem(name, "two labels", f"{place}: {error}"))
            contradicted.add(found)
            continue
        if joined == known.values:
            detail = f"again at {place}"
            problems.append(Problem(name, "listed twice", detail, usable=True))
        known.values = joined
    if contradicted and 2 * len(contradicted) > len(files):
        several = any(columns.task.one_class for columns in tasks.values())
        remedy = "For several labels per image use tl.data.image_table(…, task='multi_label')."
        if not several:
            remedy = "Keep one row for each image, such as the mean of its values."
        raise InputError(
            f"label: {len(contradicted)} of {len(files)} images in {table.source} have several "
            f"rows with different labels. {remedy}"
        )
    complete = []
    for file in sorted(files.values(), key=lambda file: file.name):
        missing = [task for task, value in file.values.items() if value is None]
        if missing:
            detail = f"{file.place}: nothing for the tasks {missing}"
            problems.append(Problem(file.name, "no label", detail))
        else:
            complete.append(file)
    return complete, [*problems, *finder.notes()], finder.hints
