"""Which of two classes precision, recall and F1 are about."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.arguments import is_whole
from tl_keras.utils.errors import InputError, counted, did_you_mean

OF_POSITIVE = (
    *("precision", "recall", "f1", "auc"),
    *("precision_micro", "recall_micro", "f1_micro", "mean_average_precision"),
)
"""Metrics of two classes, or of one label, that are about the positive one."""


def is_binary(spec: TargetSpec) -> bool:
    """Return whether there is a positive class: two classes, or one label that is there or not."""
    return spec.task.has_positive(spec.size)


def positive_class(spec: TargetSpec, positive: Any, argument: str = "positive") -> int | None:
    """Return the number of the positive class, or None where there is none.

    Args:
        spec: What is predicted.
        positive: The name or the number of a class; None for the last one, which scikit-learn
            takes, too.
        argument: Name that errors use.

    Raises:
        InputError: If there is no such class, or there are not two classes.
    """
    if not is_binary(spec):
        if positive is None:
            return None
        raise InputError(
            f"{argument}: only a model of two classes has a positive class, this one predicts "
            f"{counted(spec.size, *spec.task.nouns)}. Leave it out"
            + ("." if not spec.task.has_classes else "; the table by class has a row for each.")
        )
    names = spec.output_names
    if positive is None:
        return spec.size - 1
    if isinstance(positive, str) and positive in names:
        return names.index(positive)
    if is_whole(positive) and not isinstance(positive, bool) and 0 <= positive < spec.size:
        return int(positive)
    raise InputError(
        f"{argument}: expected one of the classes {list(names)}, or its number from 0, got "
        f"{positive!r}.{did_you_mean(positive, names) if isinstance(positive, str) else ''}"
    )


def positive_classes(
    spec: TargetSpec | dict[str, TargetSpec], positive: Any
) -> int | dict[str, int | None] | None:
    """Return the number of the positive class, of several tasks by task.

    Args:
        spec: What is predicted.
        positive: As for `positive_class`; of several tasks a dict from task to that, which can
            leave tasks out. Where only one task has two classes, its class alone will do.

    Raises:
        InputError: If there is no such task or class.
    """
    if isinstance(spec, TargetSpec):
        return positive_class(spec, positive)
    if positive is None:
        positive = {}
    elif not isinstance(positive, Mapping):
        binary = [task for task, part in spec.items() if is_binary(part)]
        if len(binary) != 1:
            raise InputError(
                f"positive: the model has the tasks {list(spec)}, of which {len(binary)} have two "
                f"classes. Pass a dict from task to class, got {positive!r}."
            )
        positive = {binary[0]: positive}
    unknown = [task for task in positive if task not in spec]
    if unknown:
        raise InputError(
            f"positive: there is no task {unknown[0]!r}.{did_you_mean(str(unknown[0]), spec)} "
            f"There are {list(spec)}."
        )
    return {
        task: positive_class(part, positive.get(task), f"positive[{task!r}]")
        for task, part in spec.items()
    }


def headings(metrics: Iterable[str], positive: str | None) -> dict[str, str]:
    """Return the metrics that printed tables show → their names there.

    Left out are those that say the same as others: of two classes or one label the means over
    classes, of more classes the weighted recall, which is the accuracy.

    Args:
        metrics: Names of all metrics.
        positive: Name of the positive class, or None where there is none.
    """
    if positive is None:
        return {name: name.replace("_", " ") for name in metrics if name != "recall_weighted"}
    return {
        name: name.replace("_", " ") + (f" ({positive})" if name in OF_POSITIVE else "")
        for name in metrics
        if not name.endswith(("_macro", "_weighted"))
    }


def positive_line(labels: Sequence[str], positive: str | None) -> str:
    """Return what tables say about the positive class; empty where there is none."""
    if positive is None:
        return ""
    is_default = len(labels) > 1 and positive == labels[-1]
    return f"positive class {positive}" + (" (the last; `positive` chooses)" if is_default else "")
