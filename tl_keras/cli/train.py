"""`tl-keras train`: from a folder of images to a run directory."""

from pathlib import Path
from typing import Annotated

import typer

from tl_keras.cli.choices import Augmentation, ClassWeight, OnProblem, Schedule, Strategy
from tl_keras.cli.loading import start_tensorflow
from tl_keras.cli.output import check_accuracy, print_table, share_or_none
from tl_keras.cli.train_plan import (
    augmentation_layer,
    backbone_and_size,
    part_names,
    split_shares,
    stages_of,
)
from tl_keras.cli.workers import run_workers
from tl_keras.cluster import cluster_from_environment, is_chief, join_cluster
from tl_keras.errors import InputError

DATA, MODEL, TRAINING = "Data", "Model", "Training"
LOGS = "logs"


def train(
    context: typer.Context,
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
        ClassWeight,
        typer.Option(help="balanced: rare classes count more.", rich_help_panel=TRAINING),
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
        typer.Option(
            help="auto: the workers that TF_CONFIG names, or all GPUs if there are several.",
            rich_help_panel=TRAINING,
        ),
    ] = Strategy.auto,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Train in N processes on this machine, which share its cores and GPUs.",
            rich_help_panel=TRAINING,
        ),
    ] = 1,
    assert_accuracy_at_least: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            callback=share_or_none,
            help="Exit with code 1 if the test accuracy (0 to 1) is below X.",
        ),
    ] = None,
    export_saved_model: Annotated[
        bool, typer.Option("--export-saved-model", help="Also write RUN/saved_model.")
    ] = False,
) -> None:
    """Fine-tune a pretrained backbone on a folder of images and measure it on a test split.

    Writes the model, curves and the test report to RUN.
    """
    split = split_shares(validation_split, test_split, assert_accuracy_at_least, early_stopping)
    if output.exists() and not output.is_dir():
        raise InputError(f"--output: expected a directory, got the file {str(output)!r}.")
    if workers > 1:
        if strategy not in (Strategy.auto, Strategy.multi_worker):
            raise InputError(
                f"--strategy: with --workers, expected auto or multi_worker, got {strategy.value}."
            )
        raise typer.Exit(run_workers(workers, context, output / LOGS))
    cluster = cluster_from_environment()
    start_tensorflow()
    import keras

    from tl_keras.builder import build_transfer_model
    from tl_keras.data import image_folder
    from tl_keras.evaluation import evaluate
    from tl_keras.heads import resolve_head
    from tl_keras.training import fine_tune
    from tl_keras.training.run_directory import CURVES_FILE, MODEL_FILE

    if resolve_head(head).kind != "classification":
        raise InputError(
            f"--head: images in class folders need a classification head, got {head!r}. Use "
            "linear, mlp, attention, gem or cosine."
        )
    if cluster is not None:
        typer.echo(f"{cluster.name(cluster.index)} of {cluster.size} waits for the others")
        join_cluster()
    stages = stages_of(schedule.value, epochs, head_epochs)
    weights_or_none = None if weights == "none" else weights
    spec, size = backbone_and_size(backbone, weights_or_none, image_size)
    parts = image_folder(data, image_size=size, split=split, seed=seed, on_problem=on_problem.value)
    parts = dict(zip(part_names(validation_split, test_split), parts, strict=True))
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
        augmentation=augmentation_layer(augment, seed),
        early_stopping=early_stopping,
        output=output,
        seed=seed,
    )
    if not is_chief():
        return
    written = {"model": output / MODEL_FILE, "curves": output / CURVES_FILE}
    report = None
    if "test" in parts:
        report = evaluate(run.model, parts["test"], batch_size=batch_size)
        written |= {"test report": output / "report.json", "its figure": output / "report.png"}
        report.to_json(written["test report"])
        report.plot(written["its figure"])
    if export_saved_model:
        from tl_keras.export import saved_model

        written["SavedModel"] = output / "saved_model"
        saved_model(run.model, written["SavedModel"])
    print_table(("written", "where"), written.items())
    if report is not None:
        check_accuracy(report["accuracy"], assert_accuracy_at_least, "the test split")
