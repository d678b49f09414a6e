"""Losses that users bring: any `keras.losses.Loss` in place of that of the head."""

from collections.abc import Mapping
from typing import Any

import keras

from tl_keras.tasks.base import Task
from tl_keras.utils.by_task import by_task
from tl_keras.utils.errors import InputError


def check_losses(loss: Any) -> None:
    """Raise `InputError` unless a loss is None, one of Keras, or task name → one of Keras."""
    for task, one in by_task(loss).items():
        if one is not None and not isinstance(one, keras.losses.Loss):
            where = f"[{task!r}]" if task else ""
            raise InputError(
                f"loss{where}: expected a keras.losses.Loss, such as "
                f"keras.losses.CategoricalFocalCrossentropy(from_logits=True), got {one!r}."
            )
        if isinstance(one, keras.losses.SparseCategoricalCrossentropy):
            raise InputError(
                "loss: targets are one-hot here. Use keras.losses.CategoricalCrossentropy in place "
                "of the sparse one."
            )


def losses_of(loss: Any, targets: Any) -> dict[str, keras.losses.Loss]:
    """Return task name → its loss; tasks without one are left out.

    Args:
        loss: What `check_losses` let pass.
        targets: The model's `TargetSpec`, or task name → that.

    Raises:
        InputError: If the loss has not the form of the tasks.
    """
    if loss is None:
        return {}
    if not isinstance(targets, Mapping):
        if isinstance(loss, Mapping):
            raise InputError(
                f"loss: the model has one unnamed task, got losses of {list(loss)}. Pass one loss."
            )
        return by_task(loss)
    strangers = [one for one in by_task(loss) if one not in targets]
    if strangers:
        raise InputError(
            f"loss: the model has the tasks {list(targets)}; pass task name → loss for some of "
            f"them, got {strangers[0] or loss!r}."
        )
    return {task: one for task, one in loss.items() if one is not None}


def loss_of_each(loss: keras.losses.Loss, y: Any, logits: Any, task: Task) -> Any:
    """Return a loss for each example `(b,)`.

    Args:
        loss: It gets logits if it says `from_logits`, else predictions; of values what the head
            learns, in standard units.
        y: Targets `(b, size)`.
        logits: `(b, size)`.
        task: The kind of target.

    Raises:
        InputError: If the loss is not one number per example.
    """
    outputs = logits if getattr(loss, "from_logits", False) else task.close(logits)
    values = keras.ops.convert_to_tensor(loss.call(y, outputs))
    if len(values.shape) != 1:
        raise InputError(
            f"loss: {type(loss).__name__} gives an array of shape {tuple(values.shape)}, expected "
            "one number per example (batch,), so that examples without a label can be left out. "
            "Take the mean over the outputs only, such as axis=-1."
        )
    return values
