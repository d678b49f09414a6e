"""From the head's outputs to predictions: activations, and the units of regressions."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from tl_keras.models.heads import HeadSpec
from tl_keras.models.regression_layers import TargetScale
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.by_task import by_task, in_form_of


def closed(functions: Mapping[str, Callable], logits: Any) -> Any:
    """Apply each task's function to its logits."""
    return in_form_of(logits, {task: functions[task](one) for task, one in by_task(logits).items()})


def layer_name(task: str) -> str:
    """Return the name of the layer that closes a task."""
    return task or "predictions"


def closing_layers(activation: Any, targets: Any, head: Any) -> dict[str, keras.layers.Layer]:
    """Return task name → the layer from the head's output to predictions."""
    heads = getattr(head, "heads", {}) if isinstance(activation, Mapping) else by_task(head)
    specs = by_task(targets)
    return {
        task: _closing_layer(task, one, specs[task], heads.get(task))
        for task, one in by_task(activation).items()
    }


def _closing_layer(task: str, activation: str | None, spec: TargetSpec | None, head):
    name = layer_name(task)
    if spec is None or not spec.task.standardized:
        return keras.layers.Activation(activation, dtype="float32", name=name)
    head_spec = getattr(head, "spec", HeadSpec())
    given = head_spec.target_mean, head_spec.target_scale
    return TargetScale(spec.size, *given, dtype="float32", name=name)


def closing_functions(activation: Any, scales: Mapping[str, Callable]) -> dict[str, Callable]:
    """Return task name → what `closed` applies: the layer of its units, or its activation.

    Args:
        activation: Name of an activation or None, or task name → that.
        scales: Task name → the layer that brings a regression's values to the user's unit.
    """
    return {
        task: scales.get(task) or _float32_activation(one)
        for task, one in by_task(activation).items()
    }


def _float32_activation(activation: str | None) -> Callable:
    function = keras.activations.get(activation)
    return lambda logits: function(keras.ops.cast(logits, "float32"))
