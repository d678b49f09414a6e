"""Labels as arrays: names, numbers of classes, values, and what is missing among them."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.utils.errors import InputError, counted, decodable, did_you_mean

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def label_name(label: Any) -> str:
    """Return a label as the name of its class: text in Unicode's composed form, NFC.

    Bytes, as TensorFlow has strings, are decoded; those that are not UTF-8 become escapes.
    """
    text = label.decode("utf-8", "surrogateescape") if isinstance(label, bytes) else str(label)
    return unicodedata.normalize("NFC", decodable(text))


def sorted_names(names: Iterable[str]) -> list[str]:
    """Return distinct class names in order: by value if all of them are numbers, else as text."""
    distinct = set(names)
    if all(map(_NUMBER.fullmatch, distinct)):
        return sorted(distinct, key=lambda name: (float(name), name))
    return sorted(distinct)


def finite(y: np.ndarray, argument: str) -> np.ndarray:
    """Return numbers as float32.

    Raises:
        InputError: If there is something else, NaN or an infinite value.
    """
    try:
        values = y.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{argument}: expected numbers, got {y.dtype}.") from error
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        raise InputError(
            f"{argument}: {counted(int(bad.sum()), 'label is', 'labels are')} NaN or infinite, "
            f"the first at row {row}. Remove or fix these examples."
        )
    return values


def column_of_values(y: Any, size: int, name: str, argument: str, or_also: str = "") -> np.ndarray:
    """Return labels as rows `(n, size)`; those `(n,)` are one column.

    Args:
        y: Labels.
        size: Number of outputs.
        name: What errors call the kind of head.
        argument: What errors call the labels.
        or_also: What errors say is taken, too.

    Raises:
        InputError: If the labels have another shape.
    """
    y = np.asarray(y)
    shape = y.shape
    if y.ndim == 1:
        y = y[:, None]
    if y.ndim != 2 or y.shape[1] != size:
        raise InputError(
            f"{argument}: expected labels of shape (n, {size}) for a {name} head{or_also}, "
            f"got shape {shape}."
        )
    return y


def values_in_graph(y: tf.Tensor) -> tf.Tensor:
    """Return labels `(b,)` or `(b, size)` as rows, float64."""
    y = tf.cast(y, tf.float64)
    return y[:, None] if y.shape.rank == 1 else y


def class_numbers(
    y: np.ndarray, size: int, names: Sequence[str] | None, argument: str
) -> np.ndarray:
    """Return the number of the class that each label `(n,)` says, by name or by number.

    Args:
        y: Names or whole numbers.
        size: Number of classes.
        names: Names of the classes, or None.
        argument: What errors call the labels.

    Raises:
        InputError: If a label is None, unknown, no whole number or out of range.
    """
    gone = [label is None for label in y] if y.dtype == object else []
    missing = np.flatnonzero(gone)
    if len(missing):
        raise InputError(
            f"{argument}: {counted(len(missing), 'label is', 'labels are')} None, the first "
            f"at row {missing[0]}. Remove or fix these examples."
        )
    if y.dtype.kind in "USO":
        return numbers_of_names(y, names, argument)
    values = finite(y, argument)
    numbers = values.astype(np.int64)
    bad = (numbers != values) | (numbers < 0) | (numbers >= size)
    if bad.any():
        shown = {f"{value:g}" for value in np.unique(values)}
        remedy = (
            " Its labels have these names: pass them as text, y.astype(int).astype(str)."
            if shown <= set(names or ())
            else ""
        )
        raise InputError(
            f"{argument}: expected integer class numbers from 0 to {size - 1}, got "
            f"{values[bad][0]:g} (and {int(bad.sum()) - 1} more). The model has "
            f"num_classes={size}.{remedy}"
        )
    return numbers


def numbers_of_names(y: np.ndarray, names: Sequence[str] | None, argument: str) -> np.ndarray:
    """Return the number of the class that each name stands for.

    Raises:
        InputError: If there are no names, or one is not among them.
    """
    if names is None:
        raise InputError(
            f"{argument}: labels are strings, but the model has no class names. Pass "
            "class_names=[…] to build_transfer_model, in the order of the classes."
        )
    position = {name: index for index, name in enumerate(names)}
    asked = [label_name(label) for label in y.ravel()]
    unknown = sorted({name for name in asked if name not in position})
    if unknown:
        raise InputError(
            f"{argument}: unknown labels {unknown[:5]}; the model's labels are "
            f"{list(names)[:20]}.{did_you_mean(unknown[0], names)}"
        )
    return np.array([position[name] for name in asked], np.int64)


def missing_labels(y: Any, minus_one: bool) -> np.ndarray:
    """Return which labels are missing `(n,)`: None, NaN, or −1 where that is no value.

    Args:
        y: Labels of any form, one a row.
        minus_one: Whether −1 marks a missing label.
    """

    def gone(value: Any) -> bool:
        if value is None:
            return True
        if isinstance(value, (str, bytes, set, frozenset)):
            return False
        if isinstance(value, (list, tuple)) and not len(value):
            return False
        parts = np.ravel(np.asarray(value))
        if parts.dtype.kind not in "biuf":
            return False
        return bool(np.isnan(parts.astype(np.float64)).all() or (minus_one and (parts == -1).all()))

    rows = y if isinstance(y, (list, tuple)) else np.asarray(y)
    return np.array([gone(row) for row in rows], bool)
