"""`predict`: labels and scores for files, folders, arrays and datasets."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.arguments import whole
from tl_keras.data.examples import Examples, as_examples
from tl_keras.data.image_files import ImageFiles
from tl_keras.errors import InputError, counted, decodable, warn_user
from tl_keras.evaluation.evaluate import targets_of
from tl_keras.model_inputs import check_examples
from tl_keras.predictions.files import find_files
from tl_keras.predictions.predictor import Scores, predictor_of
from tl_keras.predictions.table import Predictions, result
from tl_keras.transfer_model import TransferModel


def predict(model: TransferModel, data: Any, *, top: int = 1, batch_size: int = 32) -> Predictions:
    """Predict labels and scores of images, as `tl-keras predict` does.

    Args:
        model: Made by `build_transfer_model`, with a head.
        data: An image file, a folder of images, a pattern such as `"*.jpg"`, or a list of these;
            or what `tl.evaluate` takes, with labels or without: an image folder, arrays, a
            `tf.data.Dataset`.
        top: Labels per example, the best first; of a regression all values come.
        batch_size: Examples at a time.

    Returns:
        A table with `.to_csv()`, `.to_json()` and `.to_pandas()`. `score` is what `model.predict`
        gives. Files that cannot be read are warned of and stay in it, with the reason.

    Raises:
        InputError: If the model has no head, the data has another shape than it takes, or no file
            can be read.

    Example:
        >>> tl.predict(model, "photographs/").to_csv("labels.csv")  # doctest: +SKIP
    """
    spec = targets_of(model)
    top, batch_size = whole(top, "top"), whole(batch_size, "batch_size")
    words = _as_words(data)
    specs = spec if isinstance(spec, dict) else {"": spec}
    labels = {task: one.class_names for task, one in specs.items()}
    regression = frozenset(task for task, one in specs.items() if one.kind == "regression")
    if words is None:
        found = _of_examples(model, as_examples(data), batch_size)
    else:
        files = find_files(words, "data")
        found = predictor_of(model, "model").each(files, batch_size)
    predictions = Predictions(
        [
            result(decodable(str(name)), scores, error, labels, regression, top)
            for name, scores, error in found
        ]
    )
    unread = predictions.errors
    if unread:
        name, reason = next(iter(unread.items()))
        text = f"{counted(len(unread), 'file')} cannot be read, such as {name!r}: {reason}"
        if len(unread) == len(predictions):
            raise InputError(f"data: {text}. Check the spelling, or convert the files.")
        warn_user(f"data: {text}")
    return predictions


def _as_words(data: Any) -> list[str] | None:
    """Return names of files, folders or patterns, or None if the data is something else."""
    if isinstance(data, (str, os.PathLike)):
        return [os.fspath(data)]
    if (
        isinstance(data, Sequence)
        and not isinstance(data, memoryview)
        and data
        and all(isinstance(d, (str, os.PathLike)) for d in data)
    ):
        return [os.fspath(one) for one in data]
    return None


def _of_examples(
    model: TransferModel, examples: Examples, batch_size: int
) -> Iterator[tuple[str | Path, Scores, str]]:
    check_examples(model, examples, "data")
    forward = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    row = 0
    for x in examples.batches(None, batch_size):
        found = tf.nest.map_structure(np.asarray, forward(x))
        scores = found if isinstance(found, dict) else {"": found}
        for index in range(len(x)):
            is_file = isinstance(examples, ImageFiles)
            name = examples.paths[row] if is_file else f"row {row}"
            yield name, {task: values[index] for task, values in scores.items()}, ""
            row += 1
