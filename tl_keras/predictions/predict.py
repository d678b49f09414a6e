"""`predict`: labels and scores for files, folders, arrays and datasets."""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.domains import as_domains
from tl_keras.data.examples import Examples, as_examples
from tl_keras.data.read_errors import elements_of
from tl_keras.evaluation.evaluate import targets_of
from tl_keras.models.model_inputs import check_examples, warn_of_doubtful_values
from tl_keras.models.transfer_model import TransferModel
from tl_keras.predictions.files import find_files
from tl_keras.predictions.predictor import Scores, predictor_of
from tl_keras.predictions.table import Predictions, result
from tl_keras.utils.arguments import whole
from tl_keras.utils.by_task import by_task
from tl_keras.utils.errors import InputError, counted, decodable, warn_user
from tl_keras.utils.tracing import traced_once


def predict(model: TransferModel, data: Any, *, top: int = 1, batch_size: int = 32) -> Predictions:
    """Predict labels and scores of images, as `tl-keras predict` does.

    Args:
        model: Made by `build_transfer_model`, with a head.
        data: An image file, a folder of images, a pattern such as `"*.jpg"`, or several of these
            as a list, an array, a column of a table or a generator; or what `tl.evaluate` takes,
            with labels or without: an image folder, arrays, a `tf.data.Dataset`.
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
    data, words = _as_words(data)
    specs = by_task(spec)
    labels = {task: one.output_names for task, one in specs.items()}
    regression = frozenset(task for task, one in specs.items() if not one.task.has_classes)
    if words is None:
        examples = as_examples(data, wanted=model.modality.spec)
        check_examples(model, examples, "data")
        warn_of_doubtful_values(model, {"data": as_domains(examples, "data")})
        found = _of_examples(model, examples, batch_size)
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


def _as_words(data: Any) -> tuple[Any, list[str] | None]:
    """Return the data, and names of files, folders or patterns if it is these, else None.

    A generator is read to its end if its first item is a name; the data is a list then.
    """
    if _is_name(data):
        return data, [os.fspath(data)]
    if isinstance(data, Iterator) and not hasattr(data, "__getitem__"):
        first = list(itertools.islice(data, 1))
        if first and not _is_name(first[0]):
            return data, None
        data = [*first, *data]
    if isinstance(data, Sequence) and not len(data):
        raise InputError("data: expected images or names of files, got none.")
    several = np.asarray(data).tolist() if getattr(data, "ndim", 0) == 1 else data
    if isinstance(several, (list, tuple)) and all(map(_is_name, several)):
        return data, [os.fspath(one) for one in several]
    return data, None


def _is_name(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _of_examples(
    model: TransferModel, examples: Examples, batch_size: int
) -> Iterator[tuple[str | Path, Scores, str]]:
    forward = traced_once(
        model, "predictions", lambda x: model(x, training=False), model.modality.batch_spec
    )
    row = 0
    for x in elements_of(examples.batches(None, batch_size), "data"):
        found = tf.nest.map_structure(np.asarray, forward(x))
        scores = by_task(found)
        for index in range(len(tf.nest.flatten(x)[0])):
            name = examples.paths[row] if examples.paths else f"row {row}"
            yield name, {task: values[index] for task, values in scores.items()}, ""
            row += 1
