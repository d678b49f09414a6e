"""`tl-keras train`: from a folder of images to a run directory."""

import shutil
from pathlib import Path
from typing import cast

import typer

from tl_keras.cli import data_options, tables
from tl_keras.cli import train_options as options
from tl_keras.cli.choices import (
    Augmentation,
    ClassWeight,
    MixedPrecision,
    OnProblem,
    Schedule,
    Strategy,
)
from tl_keras.cli.loading import Trust, is_saved_model, start_tensorflow
from tl_keras.cli.output import check_accuracy, class_or_number, print_table
from tl_keras.cli.train_plan import (
    augmentation_layers,
    backbone_and_size,
    check_precision,
    checked_range,
    count_table,
    dtype_policy,
    labelled_images,
    part_names,
    share_of,
    split_shares,
    stages_of,
    with_chosen,
    with_controls,
)
from tl_keras.cli.workers import run_workers
from tl_keras.utils.cluster import cluster_from_environment, is_chief, join_cluster
from tl_keras.utils.errors import InputError

LOGS, TENSORBOARD = "logs", "tensorboard"
REPORT, PICTURE, SAVED_MODEL = "report.json", "report.png", "saved_model"
NO_AUGMENTATION: list[Augmentation] = []
NO_WORDS: list[str] = []


def train(
    context: typer.Context,
    data: data_options.Data,
    output: options.Output,
    overwrite: options.Overwrite = False,
    backbone: options.Backbone = "EfficientNetB0",
    head: options.Head = "linear",
    weights: options.Weights = "imagenet",
    image_size: options.ImageSize = None,
    pixel_range: data_options.PixelRange = None,
    schedule: options.ScheduleName = Schedule.auto,
    epochs: options.Epochs = None,
    head_epochs: options.HeadEpochs = None,
    learning_rate: options.LearningRate = None,
    layer_decay: options.LayerDecay = 1.0,
    global_clipnorm: options.GlobalClipnorm = None,
    ema_momentum: options.EmaMomentum = None,
    renamed: options.Renamed = None,
    accumulation: options.Accumulation = 1,
    batch_size: options.BatchSize = 32,
    validation: data_options.Validation = None,
    test: data_options.Test = None,
    validation_split: data_options.ValidationSplit = None,
    test_split: data_options.TestSplit = None,
    path_column: tables.PathColumn = None,
    label: tables.Label = NO_WORDS,
    task: tables.Task = NO_WORDS,
    separator: tables.Separator = None,
    on_problem: data_options.BrokenFiles = OnProblem.skip,
    augment: data_options.Augment = NO_AUGMENTATION,
    views: data_options.Views = 0,
    seed: options.Seed = 0,
    class_weight: options.ClassWeighting = ClassWeight.none,
    label_smoothing: options.LabelSmoothing = 0.0,
    early_stopping: options.EarlyStopping = "auto",
    mixed_precision: options.Precision = MixedPrecision.none,
    deterministic: options.Deterministic = False,
    tensorboard: options.Tensorboard = False,
    strategy: options.StrategyName = Strategy.auto,
    workers: options.Workers = 1,
    positive: options.Positive = None,
    assert_accuracy_at_least: options.AssertAccuracyAtLeast = None,
    export_saved_model: options.ExportSavedModel = False,
    trust: Trust = False,
) -> None:
    """Fine-tune a pretrained backbone on a folder of images and measure it on a test split.

    Writes the model, curves and the test report to RUN.
    """
    folders = {"validation": validation, "test": test}
    folders = {name: folder for name, folder in folders.items() if folder is not None}
    named = [("DIR", data), *((f"--{name}", folder) for name, folder in folders.items())]
    for name, folder in named:
        if not folder.exists():
            raise InputError(f"{name}: {str(folder)!r} does not exist. Check the spelling.")
    shares = (
        share_of("validation", validation_split, validation),
        share_of("test", test_split, test),
    )
    split = split_shares(*shares, assert_accuracy_at_least, early_stopping, folders)
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

    from tl_keras.evaluation import evaluate
    from tl_keras.evaluation.positive import positive_class
    from tl_keras.frozen.feature_cache import FeatureCache
    from tl_keras.models.builder import build_transfer_model
    from tl_keras.models.heads import resolve_head
    from tl_keras.schedules.named import resolve_schedule
    from tl_keras.tasks.kinds import KINDS
    from tl_keras.tasks.targets import TargetSpec
    from tl_keras.training import fine_tune
    from tl_keras.training.runs.run_directory import CURVES_FILE, MODEL_FILE

    columns = tables.columns_of(path_column, label, task, separator)
    if columns is None and not resolve_head(head).task.one_class:
        raise InputError(
            f"--head: images in class folders need a classification head, got {head!r}. Use "
            "linear, mlp, attention, gem or cosine."
        )
    if cluster is not None:
        typer.echo(f"{cluster.name(cluster.index)} of {cluster.size} waits for the others")
        join_cluster()
    stages = stages_of(schedule.value, epochs, head_epochs, learning_rate)
    weights_or_none = None if weights == "none" else weights
    keras.utils.set_random_seed(seed)
    with dtype_policy(mixed_precision):
        spec, size = backbone_and_size(backbone, weights_or_none, image_size, trust)
    pixel_range = checked_range(pixel_range)
    reading = {"image_size": size, "pixel_range": pixel_range, "on_problem": on_problem.value}
    parts = tables.read_images(data, columns, split=split, seed=seed, **reading)
    parts = dict(zip(part_names(*shares), parts, strict=True))
    training = parts["training"]
    for name, folder in folders.items():
        parts[name] = labelled_images(folder, f"--{name}", training.class_names, columns, reading)
    parts = {name: parts[name] for name in ("training", "validation", "test") if name in parts}
    num_classes, head = tables.heads_for(training, head)
    positive_or_number = None
    if tables.is_of_classes(training):
        names = training.class_names
        positive_or_number = class_or_number(positive, names)
        positive_class(TargetSpec(KINDS["classification"], len(names), names), positive_or_number)
        print_table(("class", *parts), count_table(parts, names), numbers=len(parts))
    else:
        asked = {"--positive": positive, "--assert-accuracy-at-least": assert_accuracy_at_least}
        for option, value in asked.items():
            if value is not None:
                raise InputError(f"{option}: it needs one class per image. Leave it out.")
        print_table(("part", "images"), parts.items())
    with dtype_policy(mixed_precision):
        model = build_transfer_model(
            spec,
            num_classes,
            head=head,
            weights=weights_or_none,
            input_shape=(*size, 3),
            class_names=training.class_names,
            pixel_range=pixel_range,
        )
    check_precision(model.backbone, mixed_precision)
    chosen = resolve_schedule(stages, num_examples=len(training), batch_size=batch_size)
    if stages == "auto":
        chosen = with_chosen(chosen, epochs, head_epochs, learning_rate)
    stages = with_controls(
        chosen,
        layer_decay=layer_decay,
        global_clipnorm=global_clipnorm,
        ema_momentum=ema_momentum,
        accumulation=accumulation,
    )
    callbacks = []
    if tensorboard and is_chief():
        callbacks.append(keras.callbacks.TensorBoard(output / TENSORBOARD))
    run = fine_tune(
        model,
        training,
        parts.get("validation"),
        schedule=stages,
        strategy=strategy.value,
        batch_size=batch_size,
        class_weight=None if class_weight is ClassWeight.none else class_weight.value,
        label_smoothing=label_smoothing,
        augmentation=augmentation_layers(augment, seed),
        cache=FeatureCache(views=views),
        callbacks=callbacks,
        deterministic=deterministic,
        early_stopping=cast(options.Patience, early_stopping),
        output=output,
        overwrite=overwrite,
        seed=seed,
    )
    if not is_chief():
        return
    if overwrite:
        remove_results(output)
    written = {"model": output / MODEL_FILE, "curves": output / CURVES_FILE}
    report = None
    if "test" in parts:
        report = evaluate(
            run.model, parts["test"], positive=positive_or_number, batch_size=batch_size
        )
        written |= {"test report": output / REPORT, "its figure": output / PICTURE}
        report.to_json(written["test report"])
        report.plot(written["its figure"])
    if export_saved_model:
        from tl_keras.export import saved_model

        written["SavedModel"] = output / SAVED_MODEL
        saved_model(run.model, written["SavedModel"])
    print_table(("written", "where"), written.items())
    if report is not None and tables.is_of_classes(training):
        check_accuracy(report.metrics["accuracy"], assert_accuracy_at_least, "the test split")


def remove_results(output: Path) -> None:
    """Remove what an earlier command made of the model that has just been replaced."""
    for name in (REPORT, PICTURE):
        (output / name).unlink(missing_ok=True)
    exported = output / SAVED_MODEL
    if is_saved_model(exported) and not exported.is_symlink():  # Anything else is not ours.
        shutil.rmtree(exported, ignore_errors=True)
