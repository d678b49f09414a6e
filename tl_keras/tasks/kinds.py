"""The kinds of targets by name, and how a task is written to files and read from them."""

from collections.abc import Mapping
from typing import Any

import keras

from tl_keras.tasks.base import Task
from tl_keras.tasks.classification import Classification
from tl_keras.tasks.multi_label import MultiLabel
from tl_keras.tasks.regression import Regression
from tl_keras.utils.errors import InputError, did_you_mean

KINDS: dict[str, Task] = {
    task.name: task for task in (Classification(), MultiLabel(), Regression())
}


def resolve_task(task: Any, argument: str = "task") -> Task:
    """Return the task that a name stands for; a task passes through.

    Args:
        task: A name, or a `Task`.
        argument: What errors call it.

    Raises:
        InputError: If it is neither.
    """
    if isinstance(task, Task):
        return task
    if isinstance(task, str) and task in KINDS:
        return KINDS[task]
    raise InputError(
        f"{argument}: expected {', '.join(map(repr, KINDS))} or a tl.tasks.Task, got {task!r}."
        f"{did_you_mean(str(task), KINDS)}"
    )


def task_config(task: Task) -> str | dict[str, Any]:
    """Return what a file says about a task: its name, or how Keras makes one from outside."""
    if KINDS.get(task.name) == task:
        return task.name
    return keras.saving.serialize_keras_object(task)


def task_of_config(config: str | Mapping[str, Any]) -> Task:
    """Return the task of `task_config`'s answer.

    Raises:
        InputError: If Keras does not know its class.
    """
    if isinstance(config, (str, Task)):
        return resolve_task(config)
    try:
        return keras.saving.deserialize_keras_object(dict(config))
    except (TypeError, ValueError) as error:
        name = config.get("registered_name") or config.get("class_name")
        raise InputError(
            f"task: the model predicts what the class {name!r} says, which Keras does not know "
            "here. Import it before loading, and decorate it with "
            "@keras.saving.register_keras_serializable()."
        ) from error
