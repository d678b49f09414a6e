"""Labels that count the data's own classes, in the order of the model's outputs: by name."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.base import Names
from tl_keras.tasks.kinds import KINDS
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError, warn_user

NAMES_AT_MOST = 20


@dataclasses.dataclass(frozen=True)
class OutputOrder:
    """How columns of labels become the outputs of a model.

    Attributes:
        spec: What the labels are in the order of the data.
        columns: For each output of the model the column of the data, or −1 where it has none.
    """

    spec: TargetSpec
    columns: tuple[int, ...]

    def in_order(self, encoded: np.ndarray) -> np.ndarray:
        """Return targets `(n, columns of the data)` as `(n, size)`; missing rows stay NaN."""
        return np.concatenate([encoded, encoded[:, :1] * 0], axis=1)[:, list(self.columns)]

    def in_order_in_graph(self, encoded: tf.Tensor) -> tf.Tensor:
        """Do the same with TensorFlow operations."""
        columns = np.array(self.columns) % (self.spec.size + 1)
        return tf.gather(tf.concat([encoded, encoded[:, :1] * 0], axis=1), columns, axis=1)


def output_order(
    names: Sequence[str] | None,
    shape: Any,
    is_text: bool,
    spec: TargetSpec,
    argument: str,
) -> OutputOrder | None:
    """Return how labels are brought into the order of the model's outputs.

    Args:
        names: Names of the data's classes or columns, in its order; None if it has none.
        shape: Shape of all labels, `(n, …)`, as arrays and tensors have it.
        is_text: Whether the labels are names themselves.
        spec: What the model predicts.
        argument: Name that errors use for the labels.

    Returns:
        The order, or None where the labels already are in that of the model.

    Raises:
        InputError: If names are not the model's, or none can be matched and the numbers differ.
    """
    is_rows = len(shape) == 2 and shape[1] > 1
    if names is None or (is_text and not is_rows):
        return None
    if is_text and shape[1] == len(names):
        raise InputError(
            f"{argument}: expected numbers in the columns {list(names)[:NAMES_AT_MOST]}, got text. "
            "Pass 0 and 1, one-hot rows or values there."
        )
    if is_rows:
        if shape[1] != len(names):
            return None  # Rows as long as the model's outputs; `encode` refuses all others.
    elif len(names) == 1 and len(shape) == 2:  # One column, which is not a class of its own.
        if spec.size == 1:
            _check_names(names, spec, argument)
        return None
    elif not spec.task.has_classes:
        return None
    labels = spec.class_names
    if labels is None:
        if is_rows or (spec.size == 1 and len(names) == 2):
            return None
        if spec.size == 1:
            raise InputError(
                f"{argument}: the data has {list(names)[:NAMES_AT_MOST]}, and the model one output "
                "without a name, so that it is unknown whether that is the class which counts as "
                "1. Build the model with class_names=['name of that class']."
            )
        if spec.size != len(names):
            raise InputError(
                f"{argument}: the model has num_classes={spec.size} without class names, the data "
                f"has {len(names)} classes {list(names)[:NAMES_AT_MOST]}. Build the model with "
                "class_names=train.class_names."
            )
        labels = tuple(names)
    task = spec.task if is_rows else KINDS["classification"]
    if spec.size > 1 or is_rows or len(names) != 2 or labels[0] not in names:
        # For one output of two classes, the class that the model does not name is its absence.
        _check_names(names, spec, argument)
        if not task.one_class:
            _check_complete(names, labels, argument)
    if tuple(names) == labels and task == spec.task:
        return None
    position = {name: index for index, name in enumerate(names)}
    own = dataclasses.replace(spec, task=task, size=len(names), class_names=tuple(names))
    return OutputOrder(own, tuple(position.get(label, -1) for label in labels))


def warn_of_own_numbers(y: np.ndarray, spec: TargetSpec, argument: str, *, lost: bool) -> None:
    """Warn where integers may count other classes than those of the model.

    Args:
        y: Labels without names of their own, `(n,)` or `(n, 1)`.
        spec: What the model predicts.
        argument: Name that the warning uses.
        lost: Whether the data is of a kind that loses its class names.
    """
    if not spec.task.one_class or spec.class_names is None or y.dtype.kind not in "iuf":
        return
    numbers = np.unique(y)
    numbers = numbers[np.isfinite(numbers) & (numbers >= 0)].astype(np.int64).tolist()
    labels = list(spec.class_names)
    shown = labels[:NAMES_AT_MOST]
    if all(label.isdecimal() for label in labels):
        other = [n for n in numbers if n < len(labels) and labels[n] != str(n)]
        if other and {str(number) for number in numbers} <= set(labels):
            warn_user(
                f"{argument}: integers count the model's labels from 0, so that {other[0]} is read "
                f"as {labels[other[0]]!r}; its labels are {shown}. Pass names (strings) if the "
                "numbers are names."
            )
            return
    if lost and len(numbers) < len(labels) and numbers == list(range(len(numbers))):
        warn_user(
            f"{argument}: there are only the integers 0 … {len(numbers) - 1}, read as the first of "
            f"the model's labels {shown}. If the data lacks classes and counts its own, set "
            "dataset.class_names = […], which .map loses."
        )


def check_lost_names(names: Sequence[str], y: np.ndarray, spec: TargetSpec, argument: str) -> None:
    """Raise `InputError` where labels count classes whose names a step in a pipeline has lost.

    Args:
        names: The names before that step.
        y: Labels after it.
        spec: What the model predicts.
        argument: Name that the error uses.
    """
    is_own = y.dtype.kind not in "USO" and (y.size == len(y) or y.shape[1] == len(names))
    if not spec.task.has_classes or spec.class_names is None or not is_own:
        return
    if output_order(names, y.shape, False, spec, argument) is not None:
        raise InputError(
            f"{argument}: the dataset was made with the classes {list(names)[:NAMES_AT_MOST]}, "
            "which are not in the order of the model's labels "
            f"{list(spec.class_names)[:NAMES_AT_MOST]}, and .map may have changed the labels. Say "
            "which classes they count now: dataset.class_names = […]."
        )


def check_same_names(named: Mapping[str, Names], labels: Any) -> None:
    """Raise `InputError` where data name different classes and the model names none.

    Args:
        named: Argument → names of its classes, or None.
        labels: The model's class names, or None.
    """
    known = {argument: tuple(names) for argument, names in named.items() if names}
    if labels is not None or len(set(known.values())) < 2:
        return
    first, names = next(iter(known.items()))
    other = next(argument for argument in known if known[argument] != names)
    raise InputError(
        f"{other}: its classes are {list(known[other])[:NAMES_AT_MOST]}, those of {first} are "
        f"{list(names)[:NAMES_AT_MOST]}, and the model has no class names to bring them together. "
        "Build the model with class_names=train.class_names."
    )


def _check_names(names: Sequence[str], spec: TargetSpec, argument: str) -> None:
    known = spec.class_names or tuple(names)
    strangers = sorted(set(names) - set(known))
    if strangers:
        raise InputError(
            f"{argument}: unknown labels {strangers[:5]}; the model's labels are "
            f"{list(known)[:NAMES_AT_MOST]}. Rename or remove them, or build the model "
            "with them."
        )


def _check_complete(names: Sequence[str], labels: Sequence[str], argument: str) -> None:
    missing = [label for label in labels if label not in names]
    if missing:
        raise InputError(
            f"{argument}: the columns {missing[:5]} are missing, got "
            f"{list(names)[:NAMES_AT_MOST]}. Add them: every output needs its column."
        )
