"""Image files on disk, with the folder or a CSV file saying which class each belongs to."""

import dataclasses
import operator
import os
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from tl_keras.data.base import Examples, Specs
from tl_keras.data.decoding import decode_and_resize
from tl_keras.data.inspection import Problem, inspect_images, problem_table
from tl_keras.data.labels import check_batch_size
from tl_keras.data.listing import LabelledFile, list_images
from tl_keras.data.rows import WHOLE, Epochs, Part, row_batches
from tl_keras.data.splits import check_split, stratified_split
from tl_keras.errors import InputError, did_you_mean

_ROWS_IN_A_MESSAGE = 20


class ImageFolder(Examples):
    """Labelled image files, decoded and resized in parallel as they are needed.

    `image_folder` makes these.

    Args:
        paths: The files.
        labels: Class numbers, `(n,)`.
        class_names: Names of the classes.
        image_size: Height and width to resize to.
        problems: What was found about files of the folder, used or not.
    """

    def __init__(
        self,
        paths: Sequence[str],
        labels: np.ndarray,
        class_names: Sequence[str],
        *,
        image_size: tuple[int, int],
        problems: Sequence[Problem] = (),
    ):
        self.paths = tuple(paths)
        self.labels = np.asarray(labels, np.int64)
        self.class_names = tuple(class_names)
        self.image_size = image_size
        self.problems = list(problems)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def row_names(self, rows: np.ndarray) -> list[str]:
        """Return the paths of images."""
        return [self.paths[row] for row in rows]

    def __repr__(self) -> str:
        height, width = self.image_size
        return (
            f"ImageFolder({len(self)} images, {len(self.class_names)} classes, {height}×{width}, "
            f"{len(self.problems)} problems)"
        )

    def summary(self) -> str:
        """Return the number of images of each class, and the table of problems, as text."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        width = max(map(len, self.class_names))
        lines = [repr(self)]
        lines += [
            f"  {name:<{width}}  {count}"
            for name, count in zip(self.class_names, counts, strict=True)
        ]
        return "\n".join([*lines, self.problem_table()]).rstrip()

    def problem_table(self) -> str:
        """Return everything found about files of the folder as a table; empty if nothing."""
        return problem_table(self.problems)

    def encoded_targets(self, spec: Specs) -> np.ndarray | None:
        """Return all targets; classes are matched by name if the model has labels."""
        if spec is None:
            return None
        if isinstance(spec, dict) or spec.kind == "regression":
            what = f"the tasks {sorted(spec)}" if isinstance(spec, dict) else "regression"
            raise InputError(
                f"data: an image folder gives one class per image, the model expects {what}. "
                "Pass a tf.data.Dataset with such labels."
            )
        spec = dataclasses.replace(spec, kind="classification")
        if spec.labels is not None:
            return spec.encode(np.array(self.class_names)[self.labels], "data: classes")
        if spec.size != len(self.class_names):
            raise InputError(
                f"data: the model has num_classes={spec.size} without labels, the image folder "
                f"has {len(self.class_names)} classes {list(self.class_names)[:10]}. Build the "
                "model with labels=train.class_names."
            )
        return spec.encode(self.labels, "data: classes")

    def batches(
        self,
        spec: Specs,
        batch_size: int,
        *,
        epochs: Epochs | None = None,
        part: Part = WHOLE,
    ) -> tf.data.Dataset:
        """Return the images in batches, uint8 `(b, h, w, 3)`; see `Examples.batches`."""
        batch_size = check_batch_size(batch_size)
        targets = self.encoded_targets(spec)
        with tf.device("/cpu:0"):
            paths = tf.constant(self.paths, tf.string)
            y = None if targets is None else tf.convert_to_tensor(targets)

        def load(rows: tf.Tensor) -> Any:
            images = tf.map_fn(
                lambda path: decode_and_resize(tf.io.read_file(path), self.image_size),
                tf.gather(paths, rows),
                fn_output_signature=tf.TensorSpec((*self.image_size, 3), tf.uint8),
            )
            return images if y is None else (images, tf.gather(y, rows))

        rows = row_batches(len(self), batch_size, epochs, part)
        return rows.map(load, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


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
    rows = stratified_split(_portable_names(files), labels, fractions, seed)
    if not all(map(len, rows)):
        raise InputError(
            f"split: {tuple(split)} of {len(files)} images leaves a part empty (parts of "
            f"{[len(part) for part in rows]} images). Use fewer parts or more images."
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
    refused = [problem for problem in problems if not problem.usable]
    table = problem_table(problems, _ROWS_IN_A_MESSAGE)
    if refused and on_problem == "refuse":
        raise InputError(
            f"path: {len(refused)} problems in {os.fspath(path)!r}, and on_problem='refuse'. Fix "
            f"or remove these files, or pass on_problem='skip'.\n{table}"
        )
    if problems:
        notes = len(problems) - len(refused)
        warnings.warn(
            f"{len(refused)} problems (left out) and {notes} notes in {os.fspath(path)!r}; "
            f"problem_table() lists them all.\n{table}",
            stacklevel=3,
        )


def _check_classes(
    files: Sequence[LabelledFile], problems: Sequence[Problem], path: Any
) -> list[str]:
    class_names = sorted({file.label for file in files})
    if len(class_names) < 2:
        got = f"only the class {class_names[0]!r}" if class_names else "no readable image at all"
        table = problem_table(problems, _ROWS_IN_A_MESSAGE)
        raise InputError(
            f"path: expected images of at least two classes in {os.fspath(path)!r}, got {got}. "
            "Add a subfolder (or label) with images for each class." + (table and "\n" + table)
        )
    return class_names


def _portable_names(files: Sequence[LabelledFile]) -> list[str]:
    """Return paths below the folder that holds all files: a split is the same on any machine."""
    paths = [os.path.abspath(file.path) for file in files]
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, common).replace(os.sep, "/") for path in paths]
