"""What `fine_tune` checks about its arguments before anything is trained or written."""

from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data import Examples
from tl_keras.errors import InputError
from tl_keras.objectives import Objective, Supervised
from tl_keras.schedules import Stage
from tl_keras.targets import TargetSpec
from tl_keras.training.folding import check_precision
from tl_keras.training.settings import Settings
from tl_keras.transfer_model import TransferModel


def check_model(model: Any) -> None:
    """Raise `InputError` unless the model is a transfer model with a head."""
    if not isinstance(model, TransferModel):
        raise InputError(
            f"model: expected one made by build_transfer_model, got {type(model).__name__}. Wrap a "
            "model of your own: tl.build_transfer_model(your_features_model, num_classes=…)."
        )
    if model.targets is None:
        raise InputError("model: it has no head to train. Build it with num_classes=… or labels=….")


def whole(value: Any, argument: str) -> int:
    """Return a number as an int, or raise `InputError` unless it is whole and ≥ 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{argument}: expected a whole number ≥ 1, got {value!r}.")
    return int(value)


def checked_targets(model: TransferModel, examples: Examples, argument: str):
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


def resolve_objectives(objectives, label_smoothing: float, weights) -> tuple[Objective, ...]:
    """Return the objectives asked for, by default the supervised one."""
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


def check_combination(
    model: TransferModel,
    stages: tuple[Stage, ...],
    settings: Settings,
    strategy: tf.distribute.Strategy,
) -> None:
    """Refuse settings that cannot work together.

    Raises:
        InputError: Says which and why.
    """
    replicas = strategy.num_replicas_in_sync
    slices = max(stage.accumulation for stage in stages)
    if settings.batch_size < slices * replicas:
        raise InputError(
            f"batch_size: {settings.batch_size} examples cannot be cut into accumulation={slices} "
            f"slices on {replicas} replicas. Use a batch_size of at least {slices * replicas}."
        )
    if settings.cache is not None:
        check_precision(settings.cache.precision)
    if settings.cache is not None and settings.cache.views and not settings.augmentation:
        raise InputError(
            f"cache: views={settings.cache.views} stores augmented views, and there is no "
            "augmentation. Pass augmentation=…, or leave views out."
        )
    for stage in stages:
        if stage.accumulation > 1 and stage.batch_norm == "update":
            raise InputError(
                f"accumulation: with batch_norm='update' the statistics of stage {stage.name!r} "
                "would be of slices, not of batches. Use batch_norm='frozen' or accumulation=1."
            )
