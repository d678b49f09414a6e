"""One task is a dict of one inside: code that does the same for every task has one form.

Models, labels and outputs of one task stand for themselves; those of several tasks are dicts by
name. `by_task` gives both the second form, and `in_form_of` turns results back.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

ONLY_TASK = ""
"""Name of the task of a model that has one and does not name it."""


def by_task(value: Any) -> dict[str, Any]:
    """Return task name → its part; what is no dict is that of `ONLY_TASK`."""
    return dict(value) if isinstance(value, Mapping) else {ONLY_TASK: value}


def in_form_of(given: Any, found: Mapping[str, Any]) -> Any:
    """Return what was found for each task: a dict if `given` is one, else that of `ONLY_TASK`."""
    return dict(found) if isinstance(given, Mapping) else found[ONLY_TASK]


def named(task: str, name: str) -> str:
    """Return what a result of a task is called: `"animal_loss"`; that of `ONLY_TASK`, `"loss"`."""
    return f"{task}_{name}" if task else name


def partly_labelled(targets: Any) -> Any:
    """Return the specs of labels of which some may be missing: one, or task name → one."""
    return in_form_of(
        targets,
        {task: dataclasses.replace(spec, partly=True) for task, spec in by_task(targets).items()},
    )
