"""From the head's outputs to predictions: activations, and the units of regressions."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from tl_keras.models.heads import HeadSpec
from tl_keras.models.regression_layers import TargetScale
from tl_keras.tasks.targets import TargetSpec

ONLY_TASK = "predictions"
"""What the task of a model with one unnamed head is called."""


def closed(functions: Mapping[str, Callable], logits: Any) -> Any:
    """Apply each task's function to its logits; those of `ONLY_TASK` where logits are no dict."""
    if isinstance(logits, Mapping):
        return {name: functions[name](value) for name, value in logits.items()}
    return functions[ONLY_TASK](logits)


def closing_layers(activation: Any, targets: Any, head: Any) -> dict[str, keras.layers.Layer]:
    """Return task name → the layer from the head's output to predictions."""
    if isinstance(activation, Mapping):
        heads = getattr(head, "heads", {})
        return {
            task: _closing_layer(task, activation[task], targets[task], heads.get(task))
            for task in activation
        }
    return {ONLY_TASK: _closing_layer(ONLY_TASK, activation, targets, head)}


def _closing_layer(name: str, activation: str | None, spec: TargetSpec | None, head):
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
    named = activation if isinstance(activation, Mapping) else {ONLY_TASK: activation}
    return {task: scales.get(task) or _float32_activation(one) for task, one in named.items()}


def _float32_activation(activation: str | None) -> Callable:
    function = keras.activations.get(activation)
    return lambda logits: function(keras.ops.cast(logits, "float32"))
