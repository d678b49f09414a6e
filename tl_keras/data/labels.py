"""Labels as data brings them, encoded as the targets of one or several tasks."""

from collections.abc import Mapping
from typing import Any, overload

import numpy as np
import tensorflow as tf

from tl_keras.data.base import Names, Specs, Targets
from tl_keras.data.columns import by_column, numbers_of_columns
from tl_keras.data.output_order import output_order, warn_of_own_numbers
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.by_task import ONLY_TASK, by_task, in_form_of
from tl_keras.utils.errors import InputError


@overload
def encode_labels(
    y: np.ndarray, spec: TargetSpec, argument: str, names: Names = None, *, lost: bool = False
) -> np.ndarray: ...
@overload
def encode_labels(
    y: Any, spec: Specs, argument: str, names: Names = None, *, lost: bool = False
) -> Targets: ...
def encode_labels(
    y: Any, spec: Specs, argument: str, names: Names = None, *, lost: bool = False
) -> Targets:
    """Encode labels with the spec of each task.

    Args:
        y: Labels of `n` examples, a dict of them for several tasks, or None.
        spec: A spec, a dict of specs, or None.
        argument: Name that errors use for `y`.
        names: Names of the classes or columns in the order of the data, where it has any; a dict
            of them where `y` is one.
        lost: Whether the data is of a kind that loses the names of its classes.

    Returns:
        float32 `(n, size)`, a dict of these, or None if `y` or `spec` is None.

    Raises:
        InputError: If tasks are missing or labels do not fit.
    """
    if y is None or spec is None:
        return None
    if isinstance(spec, dict) and isinstance(names, tuple) and np.ndim(y) == 2:
        y, names = by_column(y, names), None
    check_tasks(y, spec, argument)
    _check_names_by_task(y, names, argument)
    labels, encoded = by_task(y), {}
    for task, one in by_task(spec).items():
        where = f"{argument}[{task!r}]" if task else argument
        encoded[task] = _encode(labels[task], one, where, names_of(names, task), lost)
    return in_form_of(spec, encoded)


def _check_names_by_task(y: Any, names: Names, argument: str) -> None:
    """Raise `InputError` unless class names have the form of the labels: a dict for a dict."""
    if isinstance(y, dict) and isinstance(names, tuple):
        raise InputError(
            f"{argument}: labels of several tasks need class_names by task, got {list(names[:5])}. "
            f"Set class_names = {{{min(y)!r}: […], …}}."
        )
    by_task = names if isinstance(names, Mapping) else {}
    strangers = [task for task in by_task if not isinstance(y, dict) or task not in y]
    if strangers:
        tasks = f"tasks {sorted(y)}" if isinstance(y, dict) else "one unnamed task"
        raise InputError(
            f"{argument}: class_names has the tasks {strangers[:5]}, the labels have {tasks}. Name "
            "the classes of the tasks that the labels have."
        )


def names_of(names: Names, task: str = ONLY_TASK) -> tuple[str, ...] | None:
    """Return the names of a task's classes; names of no task belong to the one unnamed task."""
    return by_task(names).get(task)


def _encode(
    y: Any, spec: TargetSpec, argument: str, names: tuple[str, ...] | None, lost: bool
) -> np.ndarray:
    if isinstance(y, list):
        return spec.encode(y, argument)
    y = np.asarray(y)
    if names is not None:
        y = numbers_of_columns(y, names, argument)
    order = output_order(names, y.shape, y.dtype.kind in "USO", spec, argument)
    if order is not None:
        return order.in_order(order.spec.encode(y, argument))
    if names is None and y.size == len(y):
        warn_of_own_numbers(y, spec, argument, lost=lost)
    return spec.encode(y, argument)


def encode_labels_in_graph(y: Any, spec: Specs, names: Names = None) -> Any:
    """Encode a batch of labels, checked before by `encode_labels`, with TensorFlow ops.

    Args:
        y: Tensor `(b,)` or `(b, size)`, or a dict of these.
        spec: A spec or a dict of specs.
        names: Names of the classes in the order of the data, as for `encode_labels`.

    Returns:
        float32 `(b, size)`, or a dict of these.
    """
    if isinstance(spec, dict) and isinstance(names, tuple) and not isinstance(y, dict):
        y, names = dict(zip(names, tf.unstack(y, len(names), axis=1), strict=True)), None
    labels = by_task(y)
    encoded = {
        task: _encode_tensor(labels[task], one, names_of(names, task))
        for task, one in by_task(spec).items()
    }
    return in_form_of(spec, encoded)


def _encode_tensor(
    y: tf.Tensor, spec: TargetSpec, names: tuple[str, ...] | None = None
) -> tf.Tensor:
    order = output_order(names, y.shape, y.dtype == tf.string, spec, "y")
    if order is not None:
        encoded = order.in_order_in_graph(_encode_tensor(y, order.spec))
        return tf.ensure_shape(encoded, [None, spec.size])
    return spec.encode_in_graph(y)


def check_tasks(y: Any, spec: Specs, argument: str) -> None:
    """Raise `InputError` unless there are labels, by task name, for all tasks of a model."""
    if isinstance(spec, dict):
        if not isinstance(y, dict):
            raise InputError(
                f"{argument}: the model has the tasks {sorted(spec)}, expected a dict of labels "
                f"with these names, got {type(y).__name__}."
            )
        missing = sorted(set(spec) - set(y))
        if missing:
            raise InputError(
                f"{argument}: labels of the tasks {missing} are missing, got {sorted(y)}. Add "
                "them, or build the model without these tasks."
            )
    elif isinstance(y, dict):
        raise InputError(
            f"{argument}: the model has one unnamed task, expected its labels, got a dict with "
            f"{sorted(map(str, y))}. Pass the labels of one of them."
        )
