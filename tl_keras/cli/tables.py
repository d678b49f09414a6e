"""Images whose labels the command line reads from a table: columns, heads, and what is printed."""

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tl_keras.utils.by_task import ONLY_TASK, by_task
from tl_keras.utils.errors import InputError

PANEL = "Data"
DEFAULT_HEAD = "linear"

PathColumn = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="Column of a CSV file with the images' paths.", rich_help_panel=PANEL
    ),
]

Label = Annotated[
    list[str],
    typer.Option(
        metavar="COLUMN",
        help="Column of a CSV file with labels; several times for several labels or values of an "
        "image, as TASK=COLUMN for several tasks.",
        rich_help_panel=PANEL,
    ),
]

Task = Annotated[
    list[str],
    typer.Option(
        metavar="KIND",
        help="What the labels of a CSV file are: classification, multi_label or regression; "
        "TASK=KIND for several tasks.",
        rich_help_panel=PANEL,
    ),
]

Separator = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="What stands between several labels in one cell, such as '|'.",
        rich_help_panel=PANEL,
    ),
]

_OPTIONS = {
    "path": "--path-column",
    "label": "--label",
    "task": "--task",
    "separator": "--separator",
}


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns of a table are read, as `tl.data.image_table` takes them."""

    path: str = "path"
    label: Any = "label"
    task: Any = None
    separator: str | None = None


def columns_of(
    path: str | None, label: Sequence[str], task: Sequence[str], separator: str | None
) -> Columns | None:
    """Return the columns that the options name; None if they name none.

    Raises:
        InputError: If only some of several labels or kinds name their task.
    """
    if path is None and not label and not task and separator is None:
        return None
    labels = _by_task(label, "--label", "COLUMN")
    kinds = _by_task(task, "--task", "KIND")
    if isinstance(labels, Mapping):
        labels = {name: one if len(one) > 1 else one[0] for name, one in labels.items()}
    else:
        labels = labels[0] if len(labels) == 1 else labels or "label"
    if isinstance(kinds, Mapping):
        kinds = {name: one[-1] for name, one in kinds.items()}
    else:
        kinds = kinds[-1] if kinds else None
    if isinstance(kinds, Mapping) and not isinstance(labels, Mapping):
        raise InputError(
            f"--task: {sorted(kinds)} are tasks, and --label names none. Add --label TASK=COLUMN."
        )
    return Columns(path or "path", labels, kinds, separator)


def _by_task(words: Sequence[str], option: str, what: str) -> list[str] | dict[str, list[str]]:
    named = [word for word in words if "=" in word]
    if not named:
        return list(words)
    if len(named) < len(words):
        other = next(word for word in words if "=" not in word)
        raise InputError(f"{option}: with several tasks, expected TASK={what}, got {other!r}.")
    tasks: dict[str, list[str]] = {}
    for word in named:
        task, _, rest = word.partition("=")
        tasks.setdefault(task, []).append(rest)
    return tasks


def read_images(data: Path, columns: Columns | None, argument: str = "DIR", **options: Any) -> Any:
    """Return the images of class folders or of a table, with the names of options in errors.

    Args:
        data: The folder or the CSV file.
        columns: Columns of the file; None for class folders, or path and label.
        argument: Where the command names the data.
        **options: Arguments of `tl.data.image_folder` and `tl.data.image_table`.
    """
    from tl_keras.data import image_folder, image_table

    if columns is not None and data.is_dir():
        raise InputError(
            f"{argument}: {', '.join(_OPTIONS.values())} are for a CSV file, and {str(data)!r} is "
            "a folder. Leave them out; its subfolders are the classes."
        )
    if columns is None:
        _refuse_splits(data, argument)
    own = {"path": argument} if columns is None else {**_OPTIONS, "table": argument}
    try:
        if columns is None:
            return image_folder(data, **options)
        return image_table(data, **dataclasses.asdict(columns), **options)
    except InputError as error:
        match = re.match(rf"({'|'.join(own)})((\[[^\]]*\])?:.*)", str(error), re.DOTALL)
        if match is None:
            raise
        raise InputError(own[match[1]] + match[2]) from error


def _refuse_splits(data: Path, argument: str) -> None:
    from tl_keras.data.files.layouts import split_folders

    splits = split_folders(data)
    if "train" not in splits:
        return
    remedy = "Name one of them."
    if argument == "DIR":
        train = splits.pop("train")
        others = " ".join(f"--{kind} {shlex.quote(str(path))}" for kind, path in splits.items())
        remedy = (
            f"Train with `tl-keras train {shlex.quote(str(train))} {others}`, and evaluate on one "
            "of them."
        )
    raise InputError(
        f"{argument}: {str(data)!r} holds splits, which would be read as classes. {remedy}"
    )


def columns_for(model: Any, data: Path, columns: Columns | None) -> Columns | None:
    """Return the columns that a model is evaluated with: by default, those that it predicts.

    Several tasks have columns of their names, values and several labels the column label.
    """
    targets = model.targets
    if not data.is_file() or (columns is not None and columns.task is not None):
        return columns
    columns = columns or Columns()
    if isinstance(targets, dict):
        kinds = {task: spec.task for task, spec in targets.items()}
        label = columns.label if isinstance(columns.label, Mapping) else {t: t for t in targets}
        return dataclasses.replace(columns, label=label, task=kinds)
    if not targets.task.one_class or columns != Columns():
        return dataclasses.replace(columns, task=targets.task)
    return None


def is_of_classes(examples: Any) -> bool:
    """Return whether each image has one class and nothing else."""
    from tl_keras.data import ImageFolder

    return isinstance(examples, ImageFolder) or (
        not isinstance(examples.labels, Mapping) and examples.labels.task.one_class
    )


def heads_for(examples: Any, head: str) -> tuple[Any, Any]:
    """Return number of classes and head as `build_transfer_model` takes them.

    Args:
        examples: The training images.
        head: What was asked for; the default gives way to the head of other labels.

    Raises:
        InputError: If the head predicts something else than the labels are.
    """
    from tl_keras.models.heads import resolve_head
    from tl_keras.tasks.kinds import KINDS

    if is_of_classes(examples):
        kinds: Any = KINDS["classification"]
    elif isinstance(examples.labels, Mapping):
        kinds = {task: labels.task for task, labels in examples.labels.items()}
    else:
        kinds = examples.labels.task
    heads = {}
    for task, labels in by_task(kinds).items():
        heads[task] = labels.head if head == DEFAULT_HEAD else head
        if resolve_head(heads[task]).task != labels:
            fitting = "linear, mlp, attention, gem or cosine" if labels.one_class else labels
            of = f" of the task {task!r}" if task else ""
            raise InputError(f"--head: the labels{of} need {fitting}, got {head!r}.")
    if isinstance(kinds, Mapping):
        return examples.num_classes, heads
    return getattr(examples, "num_classes", len(examples.class_names or ())), heads[ONLY_TASK]
