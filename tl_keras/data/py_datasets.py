"""Examples from a `keras.utils.PyDataset`, as Keras' own image generators are."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.data.datasets import DatasetExamples
from tl_keras.utils.errors import InputError


def py_dataset_examples(
    data: keras.utils.PyDataset, argument: str, wanted: Any = None, steps: int | None = None
) -> DatasetExamples:
    """Return the batches of a `PyDataset` as examples; they are read again in each pass.

    Class names come from the `class_indices` of Keras' directory iterators.

    Args:
        data: Batches `x` or `(x, y)`.
        argument: Name that errors use.
        wanted: What a model takes of one example, if it is known.
        steps: How many batches make an epoch; None for all.

    Raises:
        InputError: If it has no end, no batches, or batches of another form.
    """
    count = steps if data.num_batches is None else min(steps or data.num_batches, data.num_batches)
    if count is None:
        raise InputError(
            f"{argument}: expected a PyDataset with an end, got one whose num_batches is None. "
            "Give it __len__ or num_batches, or pass tl.data.as_examples(data, steps=…)."
        )
    if count < 1:
        raise InputError(f"{argument}: the PyDataset has no batches. Check what it reads.")
    first = plain(data[0], argument)

    def batches() -> Any:
        return (plain(data[index], argument) for index in range(count))

    signature = tf.nest.map_structure(
        lambda part: tf.TensorSpec([None, *part.shape[1:]], tf.as_dtype(part.dtype)), first
    )
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    numbers = getattr(data, "class_indices", None)
    if isinstance(numbers, dict):
        # As Keras does; the stubs know no such attribute.
        dataset.class_names = sorted(  # pyright: ignore[reportAttributeAccessIssue]
            numbers, key=numbers.__getitem__
        )
    return DatasetExamples(dataset, argument, batched=True, wanted=wanted)


def plain(batch: Any, argument: str) -> Any:
    """Return a batch with arrays in it, `x` or `(x, y)`."""
    if isinstance(batch, (tuple, list)) and len(batch) == 3:
        raise InputError(
            f"{argument}: expected batches x or (x, y), got three parts. Sample weights are not "
            "taken; use class_weight."
        )
    if isinstance(batch, (tuple, list)) and 1 <= len(batch) <= 2:
        parts = [_arrays(part) for part in batch]
        return tuple(parts) if len(parts) == 2 else parts[0]
    return np.asarray(batch)


def _arrays(part: Any) -> Any:
    """Return images or labels as an array, labels of several tasks as a dict of arrays."""
    if isinstance(part, dict):
        return {task: np.asarray(labels) for task, labels in part.items()}
    return np.asarray(part)


def generator_remedy(data: Any) -> str:
    """Say what to do with a generator of images or batches, or nothing if it is none."""
    if hasattr(data, "flow") and hasattr(data, "flow_from_directory"):
        return " Pass what its .flow(…) or .flow_from_directory(…) gives."
    if hasattr(data, "__next__"):
        return " Wrap it with tf.data.Dataset.from_generator, and end it with .take(n)."
    return ""
