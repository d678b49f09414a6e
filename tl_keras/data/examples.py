"""One call that turns whatever holds examples into `Examples`."""

import functools
import inspect
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.data.arrays import ArrayExamples
from tl_keras.data.base import Examples
from tl_keras.data.datasets import DatasetExamples
from tl_keras.data.files.image_tables import image_table
from tl_keras.data.generators import generated
from tl_keras.data.py_datasets import generator_remedy, py_dataset_examples
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError, describe

__all__ = ["Examples", "as_examples"]

_ACCEPTED = (
    "expected (x, y) arrays, an array x, a tf.data.Dataset of x or (x, y), or an image folder "
    "from tl.data.image_folder"
)


def as_examples(
    data: Any,
    argument: str = "data",
    *,
    batched: bool | None = None,
    steps: int | None = None,
    wanted: Any = None,
) -> Examples:
    """Turn data in any of the accepted forms into `Examples`.

    Args:
        data: A tuple `(x, y)` of arrays (`y` may be None or a dict of labels by task), an array
            `x` or a list of equal arrays, a `tf.data.Dataset` of `x` or `(x, y)`, batched or
            not, a function that returns an iterator over such elements each time it is called, a
            `keras.utils.PyDataset` of batches of these, a pandas DataFrame with the columns
            `path` and `label` (`tl.data.image_table` takes other names), or `Examples`, which are
            returned as they are.
        argument: Name that errors use for the data.
        batched: Whether the elements of a dataset or function are batches; None to find out.
        steps: How many elements of a dataset, function or `PyDataset` make an epoch, where it has
            no end; None for all.
        wanted: What a model takes of one example, if it is known: `model.modality.spec`.

    Returns:
        The examples.

    Raises:
        InputError: If the data has another form.

    Example:
        >>> as_examples((np.zeros((5, 32, 32, 3), np.uint8), [0, 1, 0, 1, 1]))
        ArrayExamples(5 examples)
    """
    if isinstance(data, Examples):
        return data if wanted is None else data.read_for(wanted)
    steps = None if steps is None else whole(steps, "steps")
    if isinstance(data, keras.utils.PyDataset):
        return py_dataset_examples(data, argument, wanted, steps)
    if inspect.isfunction(data) or inspect.ismethod(data) or isinstance(data, functools.partial):
        data = generated(data, argument)
    if isinstance(data, tf.data.Dataset):
        data = data if steps is None else data.take(steps)
        return DatasetExamples(data, argument, batched=batched, wanted=wanted)
    for name, value in (("batched", batched), ("steps", steps)):
        if value is not None:
            raise InputError(
                f"{name}: it is for datasets and functions, got {describe(data)}. Leave it out."
            )
    if "path" in getattr(data, "columns", ()):
        return image_table(data, image_size=_image_size(wanted), progress=False)
    found = _array_examples(data, argument, wanted)
    return found if wanted is None else found.read_for(wanted)


def are_inputs(data: Any, wanted: Any) -> bool:
    """Return whether a dict holds the several inputs of a model, by their names."""
    return isinstance(wanted, dict) and isinstance(data, dict) and set(data) == set(wanted)


def _array_examples(data: Any, argument: str, wanted: Any) -> Examples:
    if are_inputs(data, wanted):
        return ArrayExamples(data, argument=argument)
    if isinstance(data, (list, tuple)) and data and _is_name(data[0]):
        raise InputError(
            f"{argument}: {_ACCEPTED}; got the names of files, such as {os.fspath(data[0])!r}. For "
            "predictions call tl.predict(model, files); files with labels are read by "
            "tl.data.image_folder and tl.data.image_table."
        )
    if isinstance(data, tuple):
        if len(data) != 2:
            raise InputError(
                f"{argument}: {_ACCEPTED}; got a tuple of length {len(data)}."
                + (" Sample weights are not taken; use class_weight." if len(data) == 3 else "")
            )
        return ArrayExamples(*data, argument=argument)
    if isinstance(data, (np.ndarray, tf.Tensor, list, memoryview)) or hasattr(data, "__array__"):
        return ArrayExamples(data, argument=argument)
    raise InputError(f"{argument}: {_ACCEPTED}; got {describe(data)}.{_remedy(data)}")


def _remedy(data: Any) -> str:
    if isinstance(data, (str, os.PathLike)):
        return f" For files on disk pass tl.data.image_folder({os.fspath(data)!r})."
    if isinstance(data, dict):
        return " A dict of domains goes to tl.fine_tune; pass one domain here."
    if hasattr(data, "__getitem__") and not hasattr(data, "__next__"):
        return " Wrap it with tf.data.Dataset.from_generator."
    return generator_remedy(data)


def _image_size(wanted: Any) -> int | tuple[int, int]:
    """Return the size that a model of images takes, else the default of readers."""
    sides = tuple(wanted.shape) if isinstance(wanted, tf.TensorSpec) else ()
    known = [side for side in sides if side is not None]
    return (known[0], known[1]) if len(known) == len(sides) == 3 else 224


def _is_name(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))
