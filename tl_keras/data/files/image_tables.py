"""From a CSV file or a DataFrame to checked image files with labels of any kind."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np

from tl_keras.data.files.file_labels import FileLabels
from tl_keras.data.files.listing import portable_names
from tl_keras.data.files.reading import (
    ROWS_IN_A_MESSAGE,
    check_image_size,
    check_on_problem,
    check_parts,
    inspect_listed,
    report_problems,
)
from tl_keras.data.files.splits import balanced_split, check_split, stratified_split
from tl_keras.data.files.table_examples import ImageTable
from tl_keras.data.files.table_labels import TaskColumns, read_tasks
from tl_keras.data.files.table_rows import files_of
from tl_keras.data.files.tables import read_table
from tl_keras.inputs.decoding.problems import Problem, problem_table
from tl_keras.inputs.preprocessing import check_pixel_range
from tl_keras.tasks.base import Task
from tl_keras.utils.cluster import join_cluster
from tl_keras.utils.errors import InputError, counted

Columns = str | Sequence[str]


@overload
def image_table(
    table: Any,
    *,
    path: str = "path",
    label: Columns | Mapping[str, Columns] = "label",
    task: str | Task | Mapping[str, str | Task] | None = None,
    separator: str | None = None,
    folder: str | os.PathLike | None = None,
    image_size: int | tuple[int, int] = 224,
    split: None = None,
    seed: int = 0,
    pixel_range: tuple[float, float] | None = None,
    on_problem: Literal["skip", "refuse"] = "skip",
    progress: bool = True,
) -> ImageTable: ...
@overload
def image_table(
    table: Any,
    *,
    path: str = "path",
    label: Columns | Mapping[str, Columns] = "label",
    task: str | Task | Mapping[str, str | Task] | None = None,
    separator: str | None = None,
    folder: str | os.PathLike | None = None,
    image_size: int | tuple[int, int] = 224,
    split: Sequence[float],
    seed: int = 0,
    pixel_range: tuple[float, float] | None = None,
    on_problem: Literal["skip", "refuse"] = "skip",
    progress: bool = True,
) -> tuple[ImageTable, ...]: ...
def image_table(
    table: Any,
    *,
    path: str = "path",
    label: Columns | Mapping[str, Columns] = "label",
    task: str | Task | Mapping[str, str | Task] | None = None,
    separator: str | None = None,
    folder: str | os.PathLike | None = None,
    image_size: int | tuple[int, int] = 224,
    split: Sequence[float] | None = None,
    seed: int = 0,
    pixel_range: tuple[float, float] | None = None,
    on_problem: Literal["skip", "refuse"] = "skip",
    progress: bool = True,
) -> ImageTable | tuple[ImageTable, ...]:
    r"""Read image files and their labels from a CSV file or a DataFrame.

    One class per image, several labels, real values, or several tasks at once. Files are looked
    into as by `image_folder`. Several rows of one image are joined: their labels for
    `"multi_label"`, else they have to agree.

    Args:
        table: Path of a CSV file in UTF-8 with commas and a header, of at most 1 GiB, or a
            DataFrame.
        path: Column of the paths. Where a path does not exist, `\` is read as `/`, letter case may
            differ, and an extension may be missing; such files are noted.
        label: Column of the labels. Several columns hold 0 and 1 for a label each, a label name
            each (empty where there are fewer), or a value each. For several tasks: task name →
            column or columns.
        task: `"classification"`, `"multi_label"`, `"regression"` or a `tl.tasks.Task`, or task name
            → that. None sees
            it from one column: several labels where there is a separator or where cells of a
            DataFrame are lists, else classes; numbers that are hardly classes are refused.
        separator: What stands between the labels of one cell, such as `"|"` or `" "`, for the
            multi-label tasks.
        folder: Where relative paths start; by default the folder of the CSV file, or the working
            directory.
        image_size: Height and width in pixels, one number for a square; proportions may change.
        split: Fractions such as `(0.7, 0.15, 0.15)` for that many parts, each with its share of
            every class, label and range of values; None for all images in one. Depends on file
            names, labels and seed only.
        seed: Seed of the split.
        pixel_range: Darkest and brightest value of the images, such as `(0, 4095)` for 12 bits in
            16-bit PNG files: images are float32 with the values that the files have, for a model
            built with the same `pixel_range`. None: 16-bit channels keep their upper 8 bits.
        on_problem: `"skip"` warns and leaves rows and files out, `"refuse"` raises.
        progress: Whether to show a progress bar if checking takes more than two seconds.

    Returns:
        One `ImageTable`, or a tuple of them. Its `num_classes` and `class_names` are what
        `build_transfer_model` takes as `num_classes` and `labels`.

    Raises:
        InputError: If a column or an argument cannot be used, a task has no class, or one where
            there is a `split`, no image is left, or there are problems and `on_problem="refuse"`.

    Example:
        train, test = image_table("tags.csv", label="tags", separator="|", split=(0.8, 0.2))
        model = tl.build_transfer_model(
            "EfficientNetB0", head="multi_label", class_names=train.class_names
        )
    """
    join_cluster()
    size = check_image_size(image_size)
    pixel_range = check_pixel_range(pixel_range)
    fractions = None if split is None else check_split(split)
    check_on_problem(on_problem)
    cells = read_table(table, folder)
    tasks = read_tasks(cells, label, task, separator)
    listed, problems, hints = files_of(cells, path, tasks)
    usable, found, contents = inspect_listed(listed, hints, progress, pixel_range)
    files = [listed[row] for row in usable]
    problems = [*problems, *found]
    report_problems(problems, on_problem, "table", cells.source)
    if not files:
        shown = problem_table(problems, ROWS_IN_A_MESSAGE)
        raise InputError(
            f"table: {cells.source} lists no readable image with a label. Relative paths start at "
            f"{str(cells.folder.absolute())!r}; folder= changes that." + (shown and "\n" + shown)
        )
    labels = {
        name: columns.labels([file.values[name] for file in files])
        for name, columns in tasks.items()
    }
    for name, one in labels.items():
        _check_labels(one, tasks[name], problems, is_split=fractions is not None)
    parts = [np.arange(len(files))]
    if fractions is not None:
        parts = _split([file.path for file in files], list(labels.values()), fractions, seed)
        check_parts(parts, fractions)
    examples = tuple(
        ImageTable(
            [files[row].path for row in rows],
            labels[""].rows(rows)
            if "" in labels
            else {name: one.rows(rows) for name, one in labels.items()},
            image_size=size,
            pixel_range=pixel_range,
            problems=problems,
            contents=contents.rows(rows),
        )
        for rows in parts
    )
    return examples[0] if fractions is None else examples


def _split(
    paths: Sequence[str], labels: Sequence[FileLabels], fractions: Sequence[float], seed: int
) -> list[np.ndarray]:
    names = portable_names(paths)
    if len(labels) == 1 and labels[0].task.one_class:
        return stratified_split(names, labels[0].values, fractions, seed)
    numbers: list[list[int]] = [[] for _ in names]
    first = 0
    for one in labels:
        own = one.numbers()
        for row, more in zip(numbers, own, strict=True):
            row += [first + number for number in more]
        first += 1 + max((max(more, default=-1) for more in own), default=-1)
    return balanced_split(names, numbers, fractions, seed)


def _check_labels(
    labels: FileLabels, columns: TaskColumns, problems: Sequence[Problem], *, is_split: bool
) -> None:
    least = 2 if labels.task.one_class and is_split else 1
    if len(labels.names) < least:
        shown = problem_table(problems, ROWS_IN_A_MESSAGE)
        raise InputError(
            f"label{columns.key}: expected images of at least "
            f"{counted(least, 'class', 'classes')} in the columns {columns.columns}, got "
            f"{list(labels.names)}."
            + (" Without split, one is read, to test on." if least == 2 else "")
            + (shown and "\n" + shown)
        )
