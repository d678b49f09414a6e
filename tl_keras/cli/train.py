"""`tl-keras train`: from a folder of images to a run directory."""

import enum
import inspect
from pathlib import Path
from typing import Annotated

import typer

from tl_keras.cli.loading import start_tensorflow
from tl_keras.cli.output import check_accuracy, print_table
from tl_keras.errors import InputError


class Schedule(str, enum.Enum):
    """Names of schedules."""

    auto = "auto"
    feature_extraction = "feature_extraction"
    two_stage = "two_stage"
    gradual_unfreezing = "gradual_unfreezing"
    full_fine_tuning = "full_fine_tuning"


class Strategy(str, enum.Enum):
    """Names of distribution strategies."""

    auto = "auto"
    one_device = "one_device"
    mirrored = "mirrored"


class ClassWeight(str, enum.Enum):
    """How much classes count."""

    none = "none"
    balanced = "balanced"


class Augmentation(str, enum.Enum):
    """Random changes to training images."""

    none = "none"
    horizontal_flip = "horizontal_flip"
    flips = "flips"


class OnProblem(str, enum.Enum):
    """What happens with broken files."""

    skip = "skip"
    refuse = "refuse"


DATA, MODEL, TRAINING = "Data", "Model", "Training"


def train(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder with a subfolder per class, or a CSV file: path,label."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="RUN", help="Directory of the run.")
    ],
    backbone: Annotated[
        str,
        typer.Option(
            help="A name from `tl-keras backbones`, keras_hub:PRESET, a .keras file, or a "
            "SavedModel (code from its author: take it from people you trust).",
            rich_help_panel=MODEL,
        ),
    ] = "EfficientNetB0",
    head: Annotated[
        str, typer.Option(help="linear, mlp, attention, gem or cosine.", rich_help_panel=MODEL)
    ] = "linear",
    weights: Annotated[
        str, typer.Option(help="imagenet, none, or a weights file.", rich_help_panel=MODEL)
    ] = "imagenet",
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Height and width in pixels; by default the backbone's own.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    schedule: Annotated[
        Schedule, typer.Option(help="What trains when.", rich_help_panel=TRAINING)
    ] = Schedule.auto,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Epochs of each stage of the named schedule that trains the backbone "
            "(feature_extraction: the head).",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    head_epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Epochs of the head alone, of two_stage and gradual_unfreezing.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images per update.", rich_help_panel=TRAINING)
    ] = 32,
    validation_split: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of images.", rich_help_panel=DATA)
    ] = 0.15,
    test_split: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of images.", rich_help_panel=DATA)
    ] = 0.15,
    on_problem: Annotated[
        OnProblem, typer.Option(help="What to do with broken files.", rich_help_panel=DATA)
    ] = OnProblem.skip,
    augment: Annotated[
        Augmentation, typer.Option(help="Random flips while training.", rich_help_panel=DATA)
    ] = Augmentation.none,
    seed: Annotated[
        int, typer.Option(help="Seed of the split and the training.", rich_help_panel=TRAINING)
    ] = 0,
    class_weight: Annotated[
        ClassWeight, typer.Option(help="balanced: rare classes count more.", rich_help_panel=TRAINING)
    ] = ClassWeight.none,
    label_smoothing: Annotated[
        float, typer.Option(min=0, max=0.99, help="0 is none.", rich_help_panel=TRAINING)
    ] = 0.0,
    early_stopping: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Stop after N epochs without gain.", rich_help_panel=TRAINING
        ),
    ] = None,
    strategy: Annotated[
        Strategy,
        typer.Option(help="auto: all GPUs if there are several.", rich_help_panel=TRAINING),
    ] = Strategy.auto,
    assert_accuracy_at_least: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="X", help="Exit with code 1 if the test accuracy is below X."
        ),
    ] = None,
    export_saved_model: Annotated[
        bool, typer.Option("--export-saved-model", help="Also write RUN/saved_model.")
    ] = False,
) -> None:
    """Fine-tune a pretrained backbone on a folder of images and measure it on a test split.

    Writes the model, curves and the test report to RUN.
    """
    split = _split(validation_split, test_split, assert_accuracy_at_least, early_stopping)
    if output.exists() and not output.is_dir():
        raise InputError(f"--output: expected a directory, got the file {str(output)!r}.")
    start_tensorflow()
    import keras

    from tl_keras import build_transfer_model, data as tl_data, evaluate, export, fine_tune
    from tl_keras.heads import resolve_head

    if resolve_head(head).kind != "classification":
        raise InputError(
            f"--head: images in class folders need a classification head, got {head!r}. Use "
            "linear, mlp, attention, gem or cosine."
        )
    stages = _stages(schedule.value, epochs, head_epochs)
    weights_or_none = None if weights == "none" else weights
    spec, size = _backbone_and_size(backbone, weights_or_none, image_size)
    parts = tl_data.image_folder(
        data, image_size=size, split=split, seed=seed, on_problem=on_problem.value
    )
    parts = dict(zip(_part_names(validation_split, test_split), parts, strict=True))
    training = parts["training"]
    print_table(
        ("class", *parts),
        [
            (name, *(int((part.labels == index).sum()) for part in parts.values()))
            for index, name in enumerate(training.class_names)
        ],
        numbers=len(parts),
    )
    keras.utils.set_random_seed(seed)
    model = build_transfer_model(
        spec,
        len(training.class_names),
        head=head,
        weights=weights_or_none,
        input_shape=(*size, 3),
        labels=training.class_names,
    )
    run = fine_tune(
        model,
        training,
        parts.get("validation"),
        schedule=stages,
        strategy=strategy.value,
        batch_size=batch_size,
        class_weight=None if class_weight is ClassWeight.none else class_weight.value,
        label_smoothing=label_smoothing,
        augmentation=_augmentation(augment, seed),
        early_stopping=early_stopping,
        output=output,
        seed=seed,
    )
    written = {"model": output / "model.keras", "curves": output / "curves.png"}
    run.plot(written["curves"])
    report = None
    if "test" in parts:
        report = evaluate(run.model, parts["test"], batch_size=batch_size)
        written |= {"test report": output / "report.json", "its figure": output / "report.png"}
        report.to_json(written["test report"])
        report.plot(written["its figure"])
    if export_saved_model:
        written["SavedModel"] = output / "saved_model"
        export.saved_model(run.model, written["SavedModel"])
    print_table(("written", "where"), written.items())
    if report is not None:
        check_accuracy(report["accuracy"], assert_accuracy_at_least, "the test split")


def _part_names(validation: float, test: float) -> list[str]:
    shares = {"training": 1, "validation": validation, "test": test}
    return [name for name, share in shares.items() if share]


def _split(
    validation: float, test: float, wanted: float | None, patience: int | None
) -> tuple[float, ...]:
    """Return the shares of the parts that there are."""
    if validation + test >= 1:
        raise InputError(
            "--validation-split and --test-split: expected shares with a sum below 1, got "
            f"{validation:g} + {test:g}, which leaves nothing to train on."
        )
    if wanted is not None and not test:
        raise InputError(
            "--assert-accuracy-at-least: it is measured on the test split, and --test-split is 0. "
            "Use --test-split 0.15."
        )
    if patience is not None and not validation:
        raise InputError(
            "--early-stopping: it watches the validation split, and --validation-split is 0. Use "
            "--validation-split 0.15."
        )
    return tuple(share for share in (1 - validation - test, validation, test) if share)


def _stages(name: str, epochs: int | None, head_epochs: int | None):
    """Return the schedule with the epochs asked for."""
    from tl_keras.schedules.named import NAMED_SCHEDULES

    chosen = {"epochs": epochs, "head_epochs": head_epochs}
    chosen = {key: value for key, value in chosen.items() if value is not None}
    if not chosen:
        return name
    if name == "auto":
        raise InputError(
            "--epochs, --head-epochs: the schedule auto chooses the epochs itself. Leave them out "
            "or name a schedule, such as --schedule two_stage."
        )
    function = NAMED_SCHEDULES[name]
    if "head_epochs" in chosen and "head_epochs" not in inspect.signature(function).parameters:
        raise InputError(
            f"--head-epochs: the schedule {name} has no stage for the head alone. Use --epochs."
        )
    return function(**chosen)


def _backbone_and_size(name: str, weights: str | None, image_size: int | None):
    """Return what to build from, and height and width of the images."""
    from tl_keras.backbones.resolve import resolve_backbone
    from tl_keras.cli.backbones import image_sizes

    if image_size is not None:
        return name, (image_size, image_size)
    sizes = image_sizes()
    if name in sizes:
        return name, (sizes[name], sizes[name])
    resolved = resolve_backbone(name, weights=weights)
    shape = resolved.input_shape
    if len(shape) != 3 or None in shape or shape[2] != 3:
        raise InputError(
            f"--image-size: the backbone {name!r} takes inputs of the shape {tuple(shape)}. Say "
            "how large the images shall be, such as --image-size 224."
        )
    return resolved, shape[:2]


def _augmentation(augment: Augmentation, seed: int):
    if augment is Augmentation.none:
        return None
    import keras

    both = augment is Augmentation.flips
    return keras.layers.RandomFlip("horizontal_and_vertical" if both else "horizontal", seed=seed)
