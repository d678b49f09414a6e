"""`fine_tune`: checks everything, then trains."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tl_keras
from tl_keras.data import Examples, as_examples
from tl_keras.errors import InputError
from tl_keras.objectives import Objective, Supervised
from tl_keras.schedules import Stage, resolve_schedule
from tl_keras.schedules.freezing import unfrozen_blocks
from tl_keras.targets import TargetSpec
from tl_keras.training.class_weights import resolve_class_weight
from tl_keras.training.run import CONFIG_FILE, CURVES_FILE, HISTORY_FILE, Run, RunDirectory
from tl_keras.training.strategies import give_back, resolve_strategy, under_strategy
from tl_keras.training.trainer import Settings, Trainer
from tl_keras.transfer_model import TransferModel


def fine_tune(
    model: TransferModel,
    data: Any,
    validation: Any = None,
    *,
    schedule: str | Stage | Sequence[Stage] = "auto",
    objectives: Sequence[Objective] | None = None,
    strategy: str | tf.distribute.Strategy = "auto",
    batch_size: int = 32,
    class_weight: str | Mapping | None = None,
    label_smoothing: float = 0.0,
    augmentation: keras.layers.Layer | None = None,
    early_stopping: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    output: str | os.PathLike | None = None,
    seed: int = 0,
    verbose: bool = True,
) -> Run:
    """Train a transfer model on new data.

    The head trains first on a frozen backbone, then as many blocks as the schedule says, with
    BatchNorm statistics frozen. Everything is checked before the first step. While the whole
    backbone is frozen and nothing random stands before it, its features are computed once and
    not in every epoch.

    Args:
        model: Made by `build_transfer_model`. It is trained in place.
        data: Training examples: `(x, y)` arrays, a `tf.data.Dataset` of `(x, y)`, or an image
            folder. Labels are integers, names out of `model.labels`, or one-hot rows.
        validation: The same, measured after each epoch. With it, the model ends with the weights
            of the epoch with the smallest validation loss.
        schedule: `"auto"` (by number of examples, see `tl.schedules.auto`), the name of a
            schedule, a `Stage`, or several.
        objectives: What is minimised; by default `Supervised`.
        strategy: `"auto"`, `"one_device"`, `"mirrored"` or a `tf.distribute.Strategy`.
        batch_size: Examples per update, over all devices.
        class_weight: None, `"balanced"`, or a dict with a weight for every class.
        label_smoothing: Share of each label spread over all classes, 0 … 1.
        augmentation: Keras layer applied to training images only, such as
            `keras.layers.RandomFlip("horizontal")`.
        early_stopping: Epochs without a better validation loss after which a stage ends.
        callbacks: Keras callbacks. `stop_training` ends the stage, not the run.
        output: New directory for config, history, curves, best weights and the model.
        seed: Seed of the order of examples.
        verbose: Whether to show progress.

    Returns:
        The run: history, audit of what trained, `.plot()`, and the directory's path.

    Raises:
        InputError: If an argument cannot be used or the loss is not finite. Nothing is trained
            or written before all arguments have been checked.
    """
    _check_model(model)
    batch_size = _whole(batch_size, "batch_size")
    if early_stopping is not None:
        early_stopping = _whole(early_stopping, "early_stopping")
        if validation is None:
            raise InputError("early_stopping: it needs validation data. Pass validation=….")
    train = as_examples(data, "data")
    held_out = None if validation is None else as_examples(validation, "validation")
    encoded = _checked_targets(model, train, "data")
    if held_out is not None:
        _checked_targets(model, held_out, "validation")
    stages = resolve_schedule(schedule, num_examples=len(train), batch_size=batch_size)
    for stage in stages:
        unfrozen_blocks(model.blocks, stage.unfreeze)
    weights = resolve_class_weight(class_weight, model.targets, encoded)
    objectives = _objectives(objectives, label_smoothing, weights)
    settings = Settings(batch_size, early_stopping, augmentation, tuple(callbacks), seed, verbose)
    strategy = resolve_strategy(strategy)
    directory = None if output is None else RunDirectory(output)
    if directory is not None:
        directory.write_json(
            CONFIG_FILE, _config(model, stages, settings, train, held_out, weights, label_smoothing)
        )
    trained = under_strategy(model, strategy)
    trainer = Trainer(trained, strategy, objectives, train, held_out, settings, directory)
    try:
        trainer.run(stages)
    finally:
        give_back(trained, model)
        if directory is not None:
            directory.write_json(HISTORY_FILE, trainer.history)
    run = Run(
        model=model,
        history=trainer.history,
        stages=stages,
        stage_starts=tuple(trainer.stage_starts),
        audits=tuple(trainer.audits),
        best_epoch=trainer.best_epoch,
        path=None if directory is None else directory.path,
    )
    if directory is not None:
        directory.write_model(model)
        run.plot(directory.path / CURVES_FILE)
    return run


def _check_model(model: Any) -> None:
    if not isinstance(model, TransferModel):
        raise InputError(
            f"model: expected one made by build_transfer_model, got {type(model).__name__}. Wrap a "
            "model of your own: tl.build_transfer_model(your_features_model, num_classes=…)."
        )
    if model.targets is None:
        raise InputError("model: it has no head to train. Build it with num_classes=… or labels=….")


def _whole(value: Any, argument: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{argument}: expected a whole number ≥ 1, got {value!r}.")
    return int(value)


def _checked_targets(model: TransferModel, examples: Examples, argument: str):
    """Return the encoded targets of all examples, having checked names and classes."""
    targets = model.targets
    names = examples.class_names
    if isinstance(targets, TargetSpec) and names and targets.labels:
        strangers = sorted(set(names) - set(targets.labels))
        if strangers:
            raise InputError(
                f"{argument}: its classes {strangers} are not among the model's labels "
                f"{list(targets.labels)[:20]}. Build the model with labels=data.class_names."
            )
    encoded = examples.encoded_targets(targets)
    if encoded is None:
        raise InputError(f"{argument}: expected examples with labels, got images only.")
    if argument == "data" and isinstance(targets, TargetSpec) and targets.kind == "classification":
        present = np.flatnonzero(encoded.sum(axis=0))
        if len(present) < 2:
            raise InputError(
                f"{argument}: all examples are of one class, "
                f"{targets.class_names[present[0]]!r}; training needs at least two."
            )
    return encoded


def _objectives(objectives, label_smoothing: float, weights) -> tuple[Objective, ...]:
    if objectives is None:
        return (Supervised(label_smoothing, weights),)
    objectives = tuple(objectives)
    if not objectives or not all(isinstance(objective, Objective) for objective in objectives):
        raise InputError("objectives: expected a list of tl.objectives, such as [Supervised()].")
    if label_smoothing or weights is not None:
        raise InputError(
            "objectives: pass label_smoothing and class_weight to Supervised(…) in the list."
        )
    return objectives


def _config(model, stages, settings, train, held_out, weights, label_smoothing) -> dict[str, Any]:
    return {
        "tl_keras": tl_keras.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "backbone": model.backbone.name,
        "image_shape": model.image_shape,
        "labels": model.labels,
        "stages": [dataclasses.asdict(stage) for stage in stages],
        "training_examples": len(train),
        "validation_examples": None if held_out is None else len(held_out),
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "early_stopping": settings.early_stopping,
        "label_smoothing": label_smoothing,
        "class_weight": None if weights is None else weights.tolist(),
        "augmentation": None
        if settings.augmentation is None
        else keras.saving.serialize_keras_object(settings.augmentation),
    }
