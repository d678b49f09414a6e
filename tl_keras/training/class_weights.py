"""Class weights: checked, and balanced on request."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tl_keras.objectives.class_weights import (
    check_tasks,
    is_by_task,
    require_single_label,
    weight_of_each_class,
)
from tl_keras.utils.errors import InputError


def resolve_class_weight(
    class_weight: str | Mapping[Any, Any] | None, targets: Any, encoded: Any
) -> np.ndarray | dict[str, Any] | None:
    """Return the weight of each class.

    Args:
        class_weight: None, `"balanced"` (inverse to frequency: `n / (classes · count)`), or a
            dict with a weight ≥ 0 for every class, by number or by label; of several tasks, task
            name → one of these.
        targets: The model's `TargetSpec`, or task name → that; only single-label tasks can have
            class weights.
        encoded: Targets of the training data, `(n, size)`, as `TargetSpec.encode` gives them, or a
            list of these, or of dicts of these by task; rows of NaN have no label.

    Returns:
        float32 `(size,)`, task name → that, or None.

    Raises:
        InputError: If a class has no weight, a key is no class, or the model is of another kind.
    """
    if class_weight is None:
        return None
    if is_by_task(class_weight, targets):
        check_tasks(class_weight, targets)
        return {
            task: resolve_class_weight(weights, targets[task], [one[task] for one in encoded])
            for task, weights in class_weight.items()
        }
    require_single_label(targets)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise InputError(
                f"class_weight: expected 'balanced', a dict or None, got {class_weight!r}."
            )
        counts = np.nansum(np.vstack(encoded), axis=0)
        missing = [name for name, c in zip(targets.output_names, counts, strict=True) if c == 0]
        if missing:
            raise InputError(
                f"class_weight: 'balanced' needs examples of every class; none of {missing}."
            )
        return (counts.sum() / (len(counts) * counts)).astype(np.float32)
    if not isinstance(class_weight, Mapping):
        raise InputError(
            f"class_weight: expected 'balanced', a dict or None, got {type(class_weight).__name__}."
        )
    return weight_of_each_class(class_weight, targets)
