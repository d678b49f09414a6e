"""Labels as data brings them, encoded as the targets of one or several tasks."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.base import Specs, Targets
from tl_keras.errors import InputError
from tl_keras.targets import TargetSpec


def encode_labels(y: Any, spec: Specs, argument: str) -> Targets:
    """Encode labels with the spec of each task.

    Args:
        y: Labels of `n` examples, a dict of them for several tasks, or None.
        spec: A spec, a dict of specs, or None.
        argument: Name that errors use for `y`.

    Returns:
        float32 `(n, size)`, a dict of these, or None if `y` or `spec` is None.

    Raises:
        InputError: If tasks are missing or labels do not fit.
    """
    if y is None or spec is None:
        return None
    _check_tasks(y, spec, argument)
    if isinstance(spec, dict):
        return {task: one.encode(y[task], f"{argument}[{task!r}]") for task, one in spec.items()}
    return spec.encode(y, argument)


def encode_labels_in_graph(y: Any, spec: Specs) -> Any:
    """Encode a batch of labels, checked before by `encode_labels`, with TensorFlow ops.

    Args:
        y: Tensor `(b,)` or `(b, size)`, or a dict of these.
        spec: A spec or a dict of specs.

    Returns:
        float32 `(b, size)`, or a dict of these.
    """
    if isinstance(spec, dict):
        return {task: _encode_tensor(y[task], one) for task, one in spec.items()}
    return _encode_tensor(y, spec)


def _encode_tensor(y: tf.Tensor, spec: TargetSpec) -> tf.Tensor:
    if spec.partly:
        encoded = _encode_tensor(y, dataclasses.replace(spec, partly=False))
        return tf.where(_missing(y, encoded, spec)[:, None], np.float32(np.nan), encoded)
    if y.shape.rank == 2 and y.shape[1] == 1 and spec.size > 1:
        y = y[:, 0]
    if spec.kind == "classification" and y.shape.rank == 1:
        if y.dtype == tf.string:
            encoded = tf.cast(y[:, None] == tf.constant(spec.labels)[None, :], tf.float32)
        else:
            encoded = tf.one_hot(tf.cast(y, tf.int32), spec.size)
    else:
        encoded = tf.cast(y, tf.float32)
        if y.shape.rank == 1:
            encoded = encoded[:, None]
    return tf.ensure_shape(encoded, [None, spec.size])


def _missing(y: tf.Tensor, encoded: tf.Tensor, spec: TargetSpec) -> tf.Tensor:
    """Return which labels of a batch are missing, bool `(b,)`."""
    if y.dtype == tf.string:
        return tf.reduce_sum(encoded, axis=1) == 0
    values = tf.cast(tf.reshape(y, [tf.shape(y)[0], -1]), tf.float32)
    missing = tf.reduce_all(tf.math.is_nan(values), axis=1)
    if spec.kind != "regression":
        missing |= tf.reduce_all(values == -1.0, axis=1)
    return missing


def _check_tasks(y: Any, spec: Specs, argument: str) -> None:
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
