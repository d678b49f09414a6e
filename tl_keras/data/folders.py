"""From a folder or a CSV file to checked, labelled image files, in one part or several."""

import operator
import os
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tl_keras.cluster import join_cluster
from tl_keras.data.image_files import ImageFolder
from tl_keras.data.inspection import inspect_images
from tl_keras.data.layouts import deeper_hint
from tl_keras.data.listing import LabelledFile, list_images, portable_names
from tl_keras.data.problems import Problem, problem_table
from tl_keras.data.splits import check_split, stratified_split
from tl_keras.errors import InputError, counted, did_you_mean
from tl_keras.targets import class_order

_ROWS_IN_A_MESSAGE = 20


def image_folder(
    path: str | os.PathLike,
    *,
    image_size: int | tuple[int, int] = 224,
    split: Sequence[float] | None = None,
    seed: int = 0,
    on_problem: Literal["skip", "refuse"] = "skip",
    progress: bool = True,
) -> ImageFolder | tuple[ImageFolder, ...]:
    """Read a folder with one subfolder per class, or a CSV file with the columns path,label.

    Every file is read once before this returns: files that are broken, empty, truncated or no
    images are reported in one table. JPEG, PNG, BMP, GIF and WebP are read by their content,
    whatever their extension says.

    Args:
        path: The folder, or the CSV file; its paths are relative to the file.
        image_size: Height and width in pixels, one number for a square; proportions may change.
        split: Fractions such as `(0.7, 0.15, 0.15)` for that many parts, each with every class in
            its proportion; None for all images in one. Depends on file names and seed only.
        seed: Seed of the split.
        on_problem: `"skip"` warns and leaves the files out, `"refuse"` raises.
        progress: Whether to show a progress bar if checking takes more than two seconds.

    Returns:
        One `ImageFolder`, or a tuple of them, all with the same `class_names`.

    Raises:
        InputError: If the path or an argument cannot be used, fewer than two classes have
            readable images, or there are problems and `on_problem="refuse"`.

    Example:
        train, validation, test = image_folder("cells/", split=(0.7, 0.15, 0.15))
    """
    join_cluster()
    size = _check_image_size(image_size)
    fractions = None if split is None else check_split(split)
    if on_problem not in ("skip", "refuse"):
        hint = did_you_mean(str(on_problem), ["skip", "refuse"])
        raise InputError(f"on_problem: expected 'skip' or 'refuse', got {on_problem!r}.{hint}")
    listed, problems = list_images(path)
    usable, found = inspect_images([(file.path, file.name) for file in listed], progress)
    files = [file for file, is_usable in zip(listed, usable, strict=True) if is_usable]
    problems = [*problems, *found, *_lost_classes(listed, files)]
    _report(problems, on_problem, path)
    class_names = _check_classes(files, problems, path)
    number = {name: index for index, name in enumerate(class_names)}
    labels = np.array([number[file.label] for file in files], np.int64)

    def part(rows: Sequence[int]) -> ImageFolder:
        return ImageFolder(
            [files[row].path for row in rows],
            labels[rows],
            class_names,
            image_size=size,
            problems=problems,
        )

    if fractions is None:
        return part(np.arange(len(files)))
    names = portable_names([file.path for file in files])
    rows = stratified_split(names, labels, fractions, seed)
    if not all(map(len, rows)):
        raise InputError(
            f"split: {tuple(split)} of {counted(len(files), 'image')} leaves a part empty (parts "
            f"of {[len(part) for part in rows]} images). Use fewer parts or more images."
        )
    return tuple(part(part_rows) for part_rows in rows)


def _check_image_size(image_size: Any) -> tuple[int, int]:
    try:
        if isinstance(image_size, (tuple, list)):
            height, width = map(operator.index, image_size)
        else:
            height = width = operator.index(image_size)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1 or isinstance(image_size, bool):
        raise InputError(
            "image_size: expected pixels as one whole number or as (height, width), at least 1, "
            f"got {image_size!r}. Use e.g. image_size=224."
        )
    return height, width


def _lost_classes(listed: Sequence[LabelledFile], files: Sequence[LabelledFile]) -> list[Problem]:
    lost = {file.label for file in listed} - {file.label for file in files}
    return [Problem(name, "empty class", "none of its files is usable") for name in sorted(lost)]


def _report(problems: Sequence[Problem], on_problem: str, path: Any) -> None:
    """Raise or warn, with all problems in one table."""
    refused = [problem for problem in problems if not problem.is_note]
    table = problem_table(problems, _ROWS_IN_A_MESSAGE)
    if refused and on_problem == "refuse":
        raise InputError(
            f"path: {counted(len(refused), 'problem')} in {os.fspath(path)!r}, and "
            f"on_problem='refuse'. Fix or remove these files, or pass on_problem='skip'.\n{table}"
        )
    if problems:
        notes = len(problems) - len(refused)
        warnings.warn(
            f"{counted(len(refused), 'problem')} (left out) and {counted(notes, 'note')} in "
            f"{os.fspath(path)!r}; problem_table() lists them all.\n{table}",
            stacklevel=3,
        )


def _check_classes(
    files: Sequence[LabelledFile], problems: Sequence[Problem], path: Any
) -> list[str]:
    class_names = class_order(file.label for file in files)
    if len(class_names) < 2:
        got = f"only the class {class_names[0]!r}" if class_names else "no readable image at all"
        table = problem_table(problems, _ROWS_IN_A_MESSAGE)
        raise InputError(
            f"path: expected images of at least two classes in {os.fspath(path)!r}, got {got}. "
            "Add a subfolder (or label) with images for each class."
            + (deeper_hint(pathlib.Path(path).expanduser()) + (table and "\n" + table))
        )
    return class_names
