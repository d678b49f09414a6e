"""`tl-keras evaluate`: measure a trained model on labelled images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tl_keras.cli import tables
from tl_keras.cli.choices import OnProblem
from tl_keras.cli.loading import Trust, image_size_of, load_model
from tl_keras.cli.output import check_accuracy, class_or_number, share_or_none
from tl_keras.utils.errors import InputError

NO_WORDS: list[str] = []


def evaluate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Directory of a run, or a .keras file.")
    ],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder with a subfolder per class, or a CSV file: path,label. Classes are "
            "matched by name and may be some of the model's.",
        ),
    ],
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as JSON.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the report (.png, .pdf, .svg).")
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Of two classes, the one that precision, recall and F1 are about, of several "
            "tasks as TASK=CLASS; by default the last.",
        ),
    ] = None,
    path_column: tables.PathColumn = None,
    label: tables.Label = NO_WORDS,
    task: tables.Task = NO_WORDS,
    separator: tables.Separator = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Images at a time.")] = 32,
    on_problem: Annotated[
        OnProblem, typer.Option(help="What to do with broken files.")
    ] = OnProblem.skip,
    assert_accuracy_at_least: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            callback=share_or_none,
            help="Exit with code 1 if the accuracy (0 to 1) is below X.",
        ),
    ] = None,
    trust: Trust = False,
) -> None:
    """Measure a trained model on a folder of labelled images: accuracy, recall, calibration."""
    if not data.exists():
        raise InputError(f"DIR: expected a folder or a CSV file, {str(data)!r} does not exist.")
    model = load_model(run, trust=trust)
    from tl_keras.evaluation import evaluate as measure
    from tl_keras.tasks.targets import TargetSpec

    only = model.targets if isinstance(model.targets, TargetSpec) else None
    of_classes = only is not None and only.task.has_classes
    one_class = only is not None and only.task.has_classes and only.task.one_class
    if assert_accuracy_at_least is not None and not one_class:
        raise InputError("--assert-accuracy-at-least: it needs one class per image. Leave it out.")
    if not of_classes and not data.is_file():
        raise InputError(
            "RUN: expected a model of classes for a folder, got one of several tasks or of real "
            "values. Evaluate it on a CSV file with a column for each."
        )
    columns = tables.columns_for(
        model, data, tables.columns_of(path_column, label, task, separator)
    )
    examples = tables.read_images(
        data,
        columns,
        image_size=image_size_of(model),
        pixel_range=model.pixel_range,
        on_problem=on_problem.value,
    )
    if only is not None and of_classes and only.class_names is not None:
        check_classes(examples.class_names, only.class_names, data, "DIR", "those of the model")
    report = measure(
        model,
        examples,
        positive=positive_of(positive, model.targets),
        batch_size=batch_size,
    )
    for path, write in ((json, report.to_json), (plot, report.plot)):
        if path is not None:
            write(path)
            typer.echo(f"written: {path}")
    if assert_accuracy_at_least is not None:
        check_accuracy(report.metrics["accuracy"], assert_accuracy_at_least, str(data))


def positive_of(word: str | None, targets: Any) -> Any:
    """Return the option `--positive` as `tl.evaluate` takes it.

    Args:
        word: CLASS, or TASK=CLASS.
        targets: What the model predicts.

    Raises:
        InputError: If several tasks have two classes and the word does not say which is meant.
    """
    from tl_keras.evaluation.positive import is_binary

    if word is None or not isinstance(targets, dict):
        return word if word is None else class_or_number(word, targets.output_names)
    task, equals, name = word.partition("=")
    if equals and task in targets:
        return {task: class_or_number(name, targets[task].output_names)}
    binary = [one for one, spec in targets.items() if is_binary(spec)]
    if len(binary) != 1:
        raise InputError(
            f"--positive: for the tasks {', '.join(targets)}, of which {len(binary)} have two "
            f"classes, expected TASK=CLASS, got {word!r}."
        )
    return {binary[0]: class_or_number(word, targets[binary[0]].output_names)}


def check_classes(
    names: Sequence[str], known: Sequence[str], data: Path, argument: str, those: str
) -> None:
    """Raise `InputError` if classes of the data are not known.

    Args:
        names: Classes of the data.
        known: The classes there are.
        data: The folder or the CSV file that has them.
        argument: Where the command names the data.
        those: Whose the known classes are, in words.
    """
    strangers = [name for name in names if name not in known]
    if strangers:
        from tl_keras.data.files.label_cells import likely_separator

        one = len(strangers) == 1
        noun = "label" if data.is_file() else "folder"
        separator = likely_separator(strangers) if data.is_file() else None
        parted = f" If cells hold several labels, pass --separator {separator!r}."
        raise InputError(
            f"{argument}: {'class' if one else 'classes'} {_some(strangers)} not found among "
            f"{those}, {_some(known)}. Rename or remove {'this' if one else 'these'} {noun}"
            f"{'' if one else 's'}.{parted if separator else ''}"
        )


def _some(names, most: int = 10) -> str:
    """Return names in quotes, the first few if there are many."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
