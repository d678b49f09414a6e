"""What readers of image files have in common: arguments, inspection, and the report."""

import dataclasses
import operator
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from tl_keras.data.files.contents import FileContents
from tl_keras.data.files.inspection import inspect_images
from tl_keras.inputs.decoding.problems import Problem, problem_table
from tl_keras.utils.errors import InputError, counted, did_you_mean, warn_user

ROWS_IN_A_MESSAGE = 20


class Listed(Protocol):
    """A file and what messages call it."""

    @property
    def path(self) -> str:
        """Where the file is."""
        ...

    @property
    def name(self) -> str:
        """What messages call it."""
        ...


def inspect_listed(
    files: Sequence[Listed],
    hints: Mapping[str, str],
    progress: bool,
    pixel_range: tuple[float, float] | None = None,
) -> tuple[np.ndarray, list[Problem], FileContents]:
    """Inspect files, and add hints to problems of those that are not there.

    Args:
        files: The files.
        hints: Name → what to say about a file that is not there.
        progress: Whether to show a progress bar.
        pixel_range: Darkest and brightest value that the images have.

    Returns:
        Rows of the files that can be used, the problems and notes, and the contents of these files.
    """
    named = [(file.path, file.name) for file in files]
    usable, found, contents = inspect_images(named, progress, pixel_range)
    rows = np.flatnonzero(usable)
    problems = [
        dataclasses.replace(problem, detail=problem.detail + hints[problem.path])
        if problem.kind == "missing" and problem.path in hints
        else problem
        for problem in found
    ]
    return rows, problems, contents.rows(rows)


def check_image_size(image_size: Any) -> tuple[int, int]:
    """Return height and width from one number of pixels, or from both.

    Raises:
        InputError: If they are something else.
    """
    try:
        if isinstance(image_size, (tuple, list)):
            height, width = map(operator.index, image_size)
        else:
            height = width = operator.index(image_size)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1 or isinstance(image_size, bool):
        raise InputError(
            "image_size: expected pixels as an integer or as (height, width), at least 1, "
            f"got {image_size!r}. Use e.g. image_size=224."
        )
    return height, width


def check_on_problem(on_problem: Any) -> None:
    """Raise `InputError` unless it is `"skip"` or `"refuse"`."""
    if on_problem not in ("skip", "refuse"):
        hint = did_you_mean(str(on_problem), ["skip", "refuse"])
        raise InputError(f"on_problem: expected 'skip' or 'refuse', got {on_problem!r}.{hint}")


def check_parts(parts: Sequence[np.ndarray], split: Sequence[float]) -> None:
    """Raise `InputError` if a part of a split is empty."""
    sizes = [len(part) for part in parts]
    if not all(sizes):
        raise InputError(
            f"split: {tuple(split)} of {counted(sum(sizes), 'image')} leaves a part empty "
            f"(parts of {sizes} images). Use fewer parts or more images."
        )


def report_problems(
    problems: Sequence[Problem], on_problem: str, argument: str, source: str
) -> None:
    """Raise or warn, with all problems in one table.

    Args:
        problems: Problems and notes.
        on_problem: `"skip"` or `"refuse"`.
        argument: What messages call the data.
        source: Where the files are listed, in words.

    Raises:
        InputError: If there are problems, and they are to be refused.
    """
    refused = [problem for problem in problems if not problem.is_note]
    table = problem_table(problems, ROWS_IN_A_MESSAGE)
    if refused and on_problem == "refuse":
        raise InputError(
            f"{argument}: {counted(len(refused), 'problem')} in {source}, and "
            f"on_problem='refuse'. Fix or remove these files, or pass on_problem='skip'.\n{table}"
        )
    if problems:
        notes = len(problems) - len(refused)
        warn_user(
            f"{counted(len(refused), 'problem')} (left out) and {counted(notes, 'note')} in "
            f"{source}; problem_table() lists them all.\n{table}"
        )
