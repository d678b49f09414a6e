"""One call that turns whatever holds examples into `Examples`."""

import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.data.arrays import ArrayExamples
from tl_keras.data.base import Examples
from tl_keras.data.datasets import DatasetExamples
from tl_keras.data.py_datasets import generator_remedy, py_dataset_examples
from tl_keras.utils.errors import InputError, describe

__all__ = ["Examples", "as_examples"]

_ACCEPTED = (
    "expected (x, y) arrays, an array x, a tf.data.Dataset of x or (x, y), or an image folder "
    "from tl.data.image_folder"
)


def as_examples(data: Any, argument: str = "data") -> Examples:
    """Turn data in any of the accepted forms into `Examples`.

    Args:
        data: A tuple `(x, y)` of arrays (`y` may be None or a dict of labels by task), an array
            `x` or a list of equal arrays, a `tf.data.Dataset` of `x` or `(x, y)`, batched or
            not, a `keras.utils.PyDataset` of batches of these, or `Examples`, which are returned
            as they are.
        argument: Name that errors use for the data.

    Returns:
        The examples.

    Raises:
        InputError: If the data has another form.

    Example:
        >>> as_examples((np.zeros((5, 32, 32, 3), np.uint8), [0, 1, 0, 1, 1]))
        ArrayExamples(5 examples)
    """
    if isinstance(data, Examples):
        return data
    if isinstance(data, tf.data.Dataset):
        return DatasetExamples(data, argument)
    if isinstance(data, keras.utils.PyDataset):
        return py_dataset_examples(data, argument)
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


def _is_name(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))
