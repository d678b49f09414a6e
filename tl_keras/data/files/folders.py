"""From a folder or a CSV file to checked, labelled image files, in one part or several."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np

from tl_keras.data.files.image_files import ImageFolder
from tl_keras.data.files.layouts import deeper_hint
from tl_keras.data.files.listing import LabelledFile, list_images, portable_names
from tl_keras.data.files.reading import (
    ROWS_IN_A_MESSAGE,
    check_image_size,
    check_on_problem,
    check_parts,
    inspect_listed,
    report_problems,
)
from tl_keras.data.files.splits import check_split, stratified_split
from tl_keras.inputs.decoding.problems import Problem, problem_table
from tl_keras.inputs.preprocessing import check_pixel_range
from tl_keras.tasks.encoding import sorted_names
from tl_keras.utils.cluster import join_cluster
from tl_keras.utils.errors import InputError


@overload
def image_folder(
    path: str | os.PathLike,
    *,
    image_size: int | tuple[int, int] = 224,
    split: None = None,
    seed: int = 0,
    pixel_range: tuple[float, float] | None = None,
    on_problem: Literal["skip", "refuse"] = "skip",
    progress: bool = True,
) -> ImageFolder: ...
@overload
def image_folder(
    path: str | os.PathLike,
    *,
    image_size: int | tuple[int, int] = 224,
    split: Sequence[float],
    seed: int = 0,
    pixel_range: tuple[float, float] | None = None,
    on_problem: Literal["skip", "refuse"] = "skip",
    progress: bool = True,
) -> tuple[ImageFolder, ...]: ...
def image_folder(
    path: str | os.PathLike,
    *,
    image_size: int | tuple[int, int] = 224,
    split: Sequence[float] | None = None,
    seed: int = 0,
    pixel_range: tuple[float, float] | None = None,
    on_problem: Literal["skip", "refuse"] = "skip",
    progress: bool = True,
) -> ImageFolder | tuple[ImageFolder, ...]:
    """Read a folder with one subfolder per class, or a CSV file with the columns path,label.

    Every file is read once before this returns: files that are broken, empty, truncated or no
    images are reported in one table, and so are pipes, devices and files of more than 1 GiB. JPEG,
    PNG, BMP, GIF and WebP are read by their content, whatever their extension says.

    A folder of one class is read to test or predict on, or as one of several domains; `fine_tune`
    refuses to learn from it alone.

    Args:
        path: The folder, or the CSV file; its paths are relative to the file.
        image_size: Height and width in pixels, one number for a square; proportions may change.
        split: Fractions such as `(0.7, 0.15, 0.15)` for that many parts, each with every class in
            its proportion; None for all images in one. Depends on file names and seed only.
        seed: Seed of the split.
        pixel_range: Darkest and brightest value of the images, such as `(0, 4095)` for 12 bits in
            16-bit PNG files: images are float32 with the values that the files have, for a model
            built with the same `pixel_range`. None: 16-bit channels keep their upper 8 bits.
        on_problem: `"skip"` warns and leaves the files out, `"refuse"` raises.
        progress: Whether to show a progress bar if checking takes more than two seconds.

    Returns:
        One `ImageFolder`, or a tuple of them, all with the same `class_names`.

    Raises:
        InputError: If the path or an argument cannot be used, there is no readable image, fewer
            than two classes have some and there is a `split` or the only folder holds folders, or
            there are problems and `on_problem="refuse"`.

    Example:
        train, validation, test = image_folder("cells/", split=(0.7, 0.15, 0.15))
    """
    join_cluster()
    size = check_image_size(image_size)
    pixel_range = check_pixel_range(pixel_range)
    fractions = None if split is None else check_split(split)
    check_on_problem(on_problem)
    listed, problems, hints = list_images(path)
    usable, found, contents = inspect_listed(listed, hints, progress, pixel_range)
    files = [listed[row] for row in usable]
    problems = [*problems, *found, *_lost_classes(listed, files)]
    report_problems(problems, on_problem, "path", repr(os.fspath(path)))
    class_names = _check_classes(files, problems, path, is_split=fractions is not None)
    number = {name: index for index, name in enumerate(class_names)}
    labels = np.array([number[file.label] for file in files], np.int64)

    def part(rows: np.ndarray) -> ImageFolder:
        return ImageFolder(
            [files[row].path for row in rows],
            labels[rows],
            class_names,
            image_size=size,
            pixel_range=pixel_range,
            problems=problems,
            contents=contents.rows(rows),
        )

    if fractions is None:
        return part(np.arange(len(files)))
    names = portable_names([file.path for file in files])
    rows = stratified_split(names, labels, fractions, seed)
    check_parts(rows, fractions)
    return tuple(part(part_rows) for part_rows in rows)


def _lost_classes(listed: Sequence[LabelledFile], files: Sequence[LabelledFile]) -> list[Problem]:
    lost = {file.label for file in listed} - {file.label for file in files}
    return [Problem(name, "empty class", "none of its files is usable") for name in sorted(lost)]


def _check_classes(
    files: Sequence[LabelledFile], problems: Sequence[Problem], path: Any, *, is_split: bool
) -> list[str]:
    """Return the names of the classes that files have, in order.

    Raises:
        InputError: If there is none, or one where a split needs two or more, or the folders inside
            that of the only class seem to be the classes.
    """
    class_names = sorted_names(file.label for file in files)
    deeper = deeper_hint(pathlib.Path(path).expanduser()) if len(class_names) < 2 else ""
    if not class_names or (len(class_names) == 1 and (is_split or deeper)):
        got = f"only the class {class_names[0]!r}" if class_names else "no readable image at all"
        table = problem_table(problems, ROWS_IN_A_MESSAGE)
        raise InputError(
            f"path: expected images of at least two classes in {os.fspath(path)!r}, got {got}. "
            "Add a subfolder (or label) with images for each class."
            + (" Without split, one class is read, to test on." if class_names and is_split else "")
            + (deeper + (table and "\n" + table))
        )
    return class_names
