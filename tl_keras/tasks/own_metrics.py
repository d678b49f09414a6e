"""Metrics that users bring: those of Keras, or functions of arrays."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tl_keras.utils.by_task import ONLY_TASK
from tl_keras.utils.errors import InputError, did_you_mean

Metric = keras.metrics.Metric | Callable[[np.ndarray, np.ndarray], float]


def checked_metrics(metrics: Any, targets: Any) -> dict[str, dict[str, Metric]]:
    """Return task → name → metric.

    Args:
        metrics: Metrics, or task name → metrics where there are several tasks; None for none.
        targets: What the model predicts: a spec, or task name → spec.

    Raises:
        InputError: If something is no metric, two have one name, or there is no such task.
    """
    if metrics is None:
        return {}
    if not isinstance(targets, Mapping):
        return {ONLY_TASK: _named(metrics, "metrics")}
    tasks = list(targets)
    if not isinstance(metrics, Mapping):
        raise InputError(f"metrics: the model has the tasks {tasks}; pass task name → metrics.")
    for task in metrics:
        if task not in tasks:
            raise InputError(
                f"metrics: there is no task {task!r}.{did_you_mean(str(task), tasks)} There are "
                f"{tasks}."
            )
    return {task: _named(own, f"metrics[{task!r}]") for task, own in metrics.items()}


def _named(metrics: Any, argument: str) -> dict[str, Metric]:
    if isinstance(metrics, (str, Mapping)) or not isinstance(metrics, Sequence):
        raise InputError(f"{argument}: expected a list of metrics, got {metrics!r}.")
    named: dict[str, Metric] = {}
    for metric in metrics:
        is_keras = isinstance(metric, keras.metrics.Metric)
        if not is_keras and not callable(metric):
            raise InputError(
                f"{argument}: expected a keras.metrics.Metric or a function of targets and "
                f"predictions, got {metric!r}."
            )
        name = metric.name if is_keras else getattr(metric, "__name__", type(metric).__name__)
        if name in named:
            raise InputError(f"{argument}: two metrics are called {name!r}. Name one otherwise.")
        named[name] = metric
    return named


def measured(
    metrics: Mapping[str, Metric], targets: np.ndarray, predictions: np.ndarray
) -> dict[str, float]:
    """Return metric name → value.

    Args:
        metrics: Of one task.
        targets: Encoded targets `(n, size)`: one-hot rows, multi-hot rows, or values.
        predictions: Probabilities or values `(n, size)`.

    Raises:
        InputError: If a metric gives no single number.
    """
    values = {}
    for name, metric in metrics.items():
        if isinstance(metric, keras.metrics.Metric):
            metric.reset_state()
            metric.update_state(targets, predictions)
            value = np.asarray(keras.ops.convert_to_numpy(metric.result()))
            metric.reset_state()
        else:
            value = np.asarray(metric(targets, predictions))
        if value.size != 1:
            raise InputError(
                f"metrics: {name!r} gives an array of shape {value.shape}, expected one number. "
                "Take its mean, or one metric for each output."
            )
        values[name] = float(value.reshape(()))
    return values
