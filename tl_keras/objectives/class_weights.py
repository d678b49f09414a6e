"""Weights of classes: what a user may give, in the order of a model's outputs."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import numpy as np

from tl_keras.tasks.encoding import label_name
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.arguments import number
from tl_keras.utils.errors import InputError


def given_class_weight(class_weight: Any) -> dict[Any, Any] | list[float] | None:
    """Return what was given as a dict or a list of floats; None stays None.

    Raises:
        InputError: If it is neither, or a weight is no finite number ≥ 0.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, Mapping):
        return {
            key: given_class_weight(value) if _is_several(value) else _weight(value, key)
            for key, value in class_weight.items()
        }
    if isinstance(class_weight, str):
        remedy = ""
        if class_weight == "balanced":
            remedy = (
                " An objective does not see all labels before it trains: pass "
                "list(sklearn.utils.class_weight.compute_class_weight('balanced', classes=…, "
                "y=…)), or leave objectives out and use fine_tune(class_weight='balanced')."
            )
        raise InputError(
            "class_weight: expected one weight per class, as a list or a dict, got "
            f"{class_weight!r}.{remedy}"
        )
    if np.ndim(class_weight) == 0 or not isinstance(class_weight, Iterable):
        raise InputError(
            "class_weight: expected one weight per class, as a list or a dict, got "
            f"{class_weight!r}."
        )
    return [_weight(value, index) for index, value in enumerate(class_weight)]


def is_by_task(class_weight: Any, targets: Any) -> TypeGuard[Mapping[str, Any]]:
    """Return whether weights are given as task name → weights of its classes."""
    return isinstance(class_weight, Mapping) and isinstance(targets, Mapping)


def check_tasks(class_weight: Mapping[str, Any], targets: Mapping[str, TargetSpec]) -> None:
    """Raise `InputError` where weights are given for an unknown task, or one without classes."""
    fitting = [task for task, spec in targets.items() if spec.task.one_class]
    strangers = [task for task in class_weight if task not in fitting]
    if strangers:
        raise InputError(
            f"class_weight: expected task name → weights of its classes for some of {fitting}, got "
            f"{strangers[0]!r}. Leave it out, or write class_weight={{task: {{class: weight}}}}."
        )


def weight_of_each_class(
    class_weight: Mapping[Any, float] | list[float], targets: Any
) -> np.ndarray:
    """Return the weights of classes in the order of the outputs, float32 `(size,)`.

    Args:
        class_weight: One weight per class: in that order, or by number or label.
        targets: The model's `TargetSpec`, or task name → that.

    Raises:
        InputError: If the model has not one single-label head, a class has no weight, or there is
            one for what is no class.
    """
    require_single_label(targets)
    if isinstance(class_weight, Mapping):
        return _from_dict(class_weight, targets)
    if len(class_weight) != targets.size:
        raise InputError(
            f"class_weight: expected {targets.size} weights, one per class, got "
            f"{len(class_weight)}. The classes are {list(targets.output_names)[:20]}."
        )
    return np.asarray(class_weight, np.float32)


def require_single_label(targets: Any) -> None:
    """Raise `InputError` unless there is one task, with one class per example."""
    if not isinstance(targets, TargetSpec) or not targets.task.one_class:
        raise InputError(
            "class_weight: only single-label heads can weight classes. Leave it out; for one of "
            "several tasks pass {task: weights of its classes}."
        )


def _from_dict(class_weight: Mapping[Any, float], targets: TargetSpec) -> np.ndarray:
    position = {name: index for index, name in enumerate(targets.output_names)}
    weights = np.full(targets.size, np.nan, np.float32)
    for key, weight in class_weight.items():
        index = position.get(label_name(key) if isinstance(key, str) else key, key)
        if not isinstance(index, (int, np.integer)) or not 0 <= index < targets.size:
            raise InputError(
                f"class_weight: {key!r} is no class; the classes are "
                f"{list(targets.output_names)[:20]}."
            )
        weights[index] = _weight(weight, key)
    missing = [targets.output_names[i] for i in np.flatnonzero(np.isnan(weights))]
    if missing:
        raise InputError(
            f"class_weight: no weight for the classes {missing}. Give every class one, or use "
            "fine_tune(class_weight='balanced')."
        )
    return weights


def _is_several(value: Any) -> bool:
    return isinstance(value, (Mapping, list, tuple, np.ndarray))


def _weight(value: Any, key: Any) -> float:
    return number(value, f"class_weight[{key!r}]", least=0.0)
