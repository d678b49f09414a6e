"""Batches of examples that a model is called with: what is checked, and how they are run."""

import operator
import os
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.utils.errors import InputError, describe


def check_predicted(x: Any, modality: Any) -> None:
    """Check what `model.predict` gets: arrays, and that labels beside images are no text.

    Args:
        x: Array, tensor or table of examples, or data in batches, of which only the first batch
            of a `PyDataset` is looked at.
        modality: Says what the model takes.

    Raises:
        InputError: If it is something else, has examples of another shape or text beside them,
            is empty or not finite.
    """
    what = modality.plural
    other = f"For lists of {what} and for data with labels call tl.predict(model, data)."
    if isinstance(x, keras.utils.PyDataset):
        batch = x[0] if x.num_batches != 0 else None
        labels = tf.nest.flatten(batch[1:]) if isinstance(batch, (tuple, list)) else []
        if any(np.asarray(part).dtype.kind in "OSU" for part in labels):
            raise InputError(f"x: expected batches of {what}, got labels that are text. {other}")
        _check_batches(batch, modality)
        return
    if isinstance(x, tf.data.Dataset):
        _check_batches(x.element_spec if x.cardinality() != 0 else None, modality)
        return
    if hasattr(x, "__next__"):
        return
    if isinstance(x, (tuple, list)) or isinstance(x, Mapping) != (modality.shape is None):
        takes = f"one array of {what}" if modality.shape else f"a dict of arrays of {what}"
        raise InputError(f"x: expected {takes}, got {describe(x)}. {other}")
    for one in tf.nest.flatten(modality.check_array(x, "x")):
        _check_numbers(one)


def _check_numbers(x: Any) -> None:
    if "complex" in str(x.dtype):
        raise InputError(f"x: expected real numbers, got {x.dtype}. Pass e.g. np.abs(x).")
    if isinstance(x, np.ndarray) and x.dtype.kind == "f" and not np.isfinite(x).all():
        raise InputError("x: expected finite numbers, got NaN or infinity. Remove or fix these.")


def _check_batches(batch: Any, modality: Any) -> None:
    """Check data in batches by the first one, or by what all are; None where there is none."""
    if batch is None:
        raise InputError(f"x: expected at least one batch of {modality.plural}, got none.")
    examples = batch[0] if isinstance(batch, (tuple, list)) else batch
    if not hasattr(examples, "shape") or modality.shape is None:
        return
    shape = tf.TensorShape(examples.shape)
    if shape.is_compatible_with((None, *modality.shape)):
        return
    if shape.is_compatible_with(modality.shape):
        remedy = "Put them together first: x = x.batch(32)."
    else:
        remedy = modality.remedy(tf.TensorSpec(shape[1:]))
    sides = ", ".join(str(side) for side in ("batch", *modality.shape))
    raise InputError(
        f"x: expected batches of {modality.plural} ({sides}), got {tuple(shape)}. {remedy}"
    )


def check_array(x: Any, modality: Any, argument: str) -> Any:
    """Return a batch of examples that are one tensor each as an array or a tensor.

    Args:
        x: Array or tensor with a batch axis, or a list of examples.
        modality: Says what the model takes.
        argument: Name that errors use.

    Raises:
        InputError: If it is something else.
    """
    sides = ", ".join(str(side) for side in ("batch", *modality.shape))
    expected = f"{argument}: expected an array of numbers ({sides})"
    if isinstance(x, (list, tuple)):
        try:
            x = np.asarray(x)
        except ValueError as error:
            raise InputError(
                f"{expected}, got {describe(x)} whose items differ in shape. {modality.one_shape}"
            ) from error
    if not hasattr(x, "dtype") and hasattr(x, "__array__"):
        x = np.asarray(x)
    if not hasattr(x, "shape") or not hasattr(x, "dtype") or _is_text(x):
        raise InputError(f"{expected}, got {describe(x)}. {modality.as_numbers}")
    shape = tf.TensorShape(x.shape)
    if not shape.is_compatible_with((None, *modality.shape)):
        alone = shape.is_compatible_with(modality.shape)
        remedy = f"Pass one {modality.singular} as x[None]."
        if not alone:
            remedy = modality.remedy(tf.TensorSpec(shape[1:]))
        raise InputError(f"{expected}, got shape {tuple(shape)}. {remedy}")
    if shape[0] == 0:
        raise InputError(f"{expected}, got none. Pass at least one {modality.singular}.")
    return x


def _is_text(x: Any) -> bool:
    if isinstance(x, np.ndarray):
        return x.dtype.kind in "OSU"
    return x.dtype == tf.string


def check_end(x: Any) -> None:
    """Raise `InputError` where data in batches has no end, or does not say that it has one."""
    endless = isinstance(x, tf.data.Dataset) and x.cardinality() == tf.data.INFINITE_CARDINALITY
    if endless or (isinstance(x, keras.utils.PyDataset) and x.num_batches is None):
        raise InputError(
            "x: expected data with an end, got some without. Leave out .repeat(), end it with "
            ".take(n), or pass steps=…."
        )


def in_batches(function: Callable[[Any], Any], x: Any, batch_size: int) -> Any:
    """Return what a function gives for arrays, some examples at a time.

    Args:
        function: From a batch to tensors with a batch axis.
        x: Array, or name → array, with at least one example.
        batch_size: Examples at a time.
    """
    parts = []
    for start in range(0, len(tf.nest.flatten(x)[0]), batch_size):
        rows = slice(start, start + batch_size)
        batch = tf.nest.map_structure(operator.itemgetter(rows), x)
        parts.append(tf.nest.map_structure(np.asarray, function(batch)))
    return tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def batches_of_examples(modality: Any, x: Any, batch_size: int | None) -> tuple[Any, int | None]:
    """Return what Keras predicts: image folders and other examples as batches without labels.

    Args:
        modality: Of the model.
        x: What `model.predict` was given.
        batch_size: The same; 32 for examples if it is None.

    Returns:
        `x` as it was with its batch size, or a dataset and None.

    Raises:
        InputError: If `x` names files, or examples were read for another model.
    """
    if hasattr(x, "encoded_targets"):  # Examples, which this room knows nothing of.
        x = x.read_for(modality.spec)
        modality.check_reading(x, "x")
        modality.check_spec(x.spec, "x", files=bool(x.paths))
        return x.batches(None, batch_size or 32), None
    first = x[0] if isinstance(x, (list, tuple)) and len(x) else x
    if isinstance(first, (str, os.PathLike)):
        raise InputError(
            f"x: expected {modality.plural}, got the name {os.fspath(first)!r}. For files "
            "and folders call tl.predict(model, files)."
        )
    return x, batch_size
