"""Models as functions from the contents of image files to scores by label."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tl_keras.utils.by_task import by_task
from tl_keras.utils.errors import InputError
from tl_keras.utils.regular_files import read_regular

if TYPE_CHECKING:
    from tl_keras.models.transfer_model import TransferModel

Scores = dict[str, np.ndarray]
"""Task → scores `(n, size)`; the one task of most models is called ""."""


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A model of image files.

    Attributes:
        labels: Task → names of its outputs.
        regression: Tasks whose outputs are values instead of scores.
        run: From the contents of files to their scores, and to what is wrong with each, "" where
            nothing is; scores of those with something wrong mean nothing.
    """

    labels: dict[str, tuple[str, ...]]
    regression: frozenset[str]
    run: Callable[[list[bytes]], tuple[Scores, list[str]]]

    def each(
        self, files: Sequence[Path], batch_size: int
    ) -> Iterator[tuple[Path, Scores | None, str]]:
        """Predict files in batches, and go on after those that cannot be read.

        Args:
            files: The image files.
            batch_size: Files at a time.

        Yields:
            The file, task → its scores `(size,)` or None, and what is wrong or "".
        """
        for start in range(0, len(files), batch_size):
            batch = files[start : start + batch_size]
            contents, errors = {}, {}
            for file in batch:
                try:
                    contents[file] = read_regular(file)
                except (OSError, ValueError) as error:  # A name cannot hold a null character.
                    errors[file] = getattr(error, "strerror", None) or str(error)
            rows = self._scores(contents, errors)
            for file in batch:
                yield file, rows.get(file), errors.get(file, "")

    def _scores(self, contents: dict[Path, bytes], errors: dict[Path, str]) -> dict[Path, Scores]:
        """Run a batch; note what is wrong with files that are not images."""
        if not contents:
            return {}
        scores, found = self.run(list(contents.values()))
        rows = {}
        for row, (file, error) in enumerate(zip(contents, found, strict=True)):
            if error:
                errors[file] = _as_inspected(file, error)
            else:
                rows[file] = {task: values[row] for task, values in scores.items()}
        return rows


def _as_inspected(file: Path, error: str) -> str:
    """Return what an inspection says of a file that a model refuses; it knows more."""
    from tl_keras.data.files.inspection import inspect_image

    problem = inspect_image(file, str(file))
    if problem is None or problem.usable:  # The file has changed meanwhile.
        return error.replace(": ", ", ", 1)
    return f"{problem.kind}, {problem.detail}"


def predictor_of(model: "TransferModel", argument: str) -> Predictor:
    """Return a model as a function of image files.

    Args:
        model: Made by `build_transfer_model`, with a head.
        argument: What errors call it.

    Raises:
        InputError: If it does not take gray or RGB images of one size.
    """
    import tensorflow as tf

    from tl_keras.utils.tracing import traced_once

    if model.modality.raw_name is None:
        raise InputError(
            f"{argument}: expected a model of images of one size, got one with the input "
            f"shape {model.modality.shape}. Use it from Python."
        )
    targets = by_task(model.targets)

    def scores_and_errors(contents):
        examples, error = model.modality.from_raw(contents)
        return model(examples, training=False), error

    outputs = traced_once(model, "scores of files", scores_and_errors, tf.TensorSpec([None]))

    def run(contents: list[bytes]) -> tuple[Scores, list[str]]:
        found, error = outputs(tf.constant(contents, tf.string))
        scores = {task: np.asarray(one) for task, one in by_task(found).items()}
        return scores, [text.decode() for text in error.numpy()]

    return Predictor(
        {task: spec.output_names for task, spec in targets.items()},
        frozenset(task for task, spec in targets.items() if not spec.task.has_classes),
        run,
    )
