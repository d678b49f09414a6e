"""What `fine_tune` checks about its arguments before anything is trained or written."""

import dataclasses
import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.data import Examples
from tl_keras.data.base import Specs
from tl_keras.data.datasets import DatasetExamples
from tl_keras.data.domains import DomainExamples
from tl_keras.data.feature_cache import FeatureCache
from tl_keras.errors import InputError
from tl_keras.objectives import Objective, Supervised, is_target
from tl_keras.schedules import Stage, block_factors
from tl_keras.schedules.freezing import unfrozen_blocks
from tl_keras.targets import TargetSpec
from tl_keras.training.checkpoints import Checkpoints
from tl_keras.training.folding import check_precision
from tl_keras.training.settings import Settings
from tl_keras.transfer_model import TransferModel


def check_model(model: Any, *, head: bool = True) -> None:
    """Raise `InputError` unless the model is a transfer model, with a head if one is needed."""
    if not isinstance(model, TransferModel):
        raise InputError(
            f"model: expected one made by build_transfer_model, got {type(model).__name__}. Wrap a "
            "model of your own: tl.build_transfer_model(your_features_model, num_classes=…)."
        )
    if head and model.targets is None:
        raise InputError("model: it has no head to train. Build it with num_classes=… or labels=….")


def whole(value: Any, argument: str) -> int:
    """Return a number as an int, or raise `InputError` unless it is whole and ≥ 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{argument}: expected a whole number ≥ 1, got {value!r}.")
    return int(value)


def data_targets(model: TransferModel, data: Any, objectives: Sequence[Objective]) -> Specs:
    """Return what labels are encoded for: some may be missing where the objectives allow it.

    Target domains may be labelled in part, too: an adaptation uses the labels that there are.
    """
    partly = any(one.partly_labelled for one in objectives) or isinstance(data, Mapping)
    if not partly or model.targets is None:
        return model.targets
    if isinstance(model.targets, Mapping):
        return {k: dataclasses.replace(spec, partly=True) for k, spec in model.targets.items()}
    return dataclasses.replace(model.targets, partly=True)


def checked_domains(
    model: TransferModel,
    domains: DomainExamples,
    targets: Specs,
    argument: str,
    objectives: Sequence[Objective],
) -> dict[str, Any]:
    """Return the encoded targets of every labelled domain, having checked names and classes.

    Raises:
        InputError: If nothing is labelled although it has to be, or a source lacks some labels.
    """
    partly = any(one.partly_labelled for one in objectives)
    need = any(one.validates for one in objectives) or argument == "validation"
    encoded = {}
    for name, examples in domains.items():
        where = argument if domains.only is not None else f"{argument}[{name!r}]"
        check_images(model, examples, where)
        found = None if targets is None else checked_targets(model, targets, examples, where)
        if found is None:
            continue
        encoded[name] = found
        missing = sum(int(np.isnan(one).any(axis=1).sum()) for one in tf.nest.flatten(found))
        if missing and not partly and not is_target(name):
            raise InputError(
                f"{where}: {missing} labels are missing (−1, NaN or None), and no objective "
                "learns from examples without. Remove them, or add one that does, such as "
                "tl.objectives.PseudoLabel()."
            )
    if need and not encoded:
        raise InputError(f"{argument}: expected examples with labels, got images only.")
    return encoded


def checked_targets(model: TransferModel, targets: Specs, examples: Examples, argument: str):
    """Return the encoded targets of all examples, having checked names and classes.

    Returns:
        float32 `(n, size)`, a dict of these by task, or None for examples without labels.
    """
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
        return None
    one_task = isinstance(targets, TargetSpec) and targets.kind == "classification"
    if argument.startswith("data") and one_task:
        present = np.flatnonzero(np.nansum(encoded, axis=0))
        if len(present) == 1:
            raise InputError(
                f"{argument}: all examples are of one class, "
                f"{targets.class_names[present[0]]!r}; training needs at least two."
            )
    return encoded


def resolve_objectives(objectives, label_smoothing: float, class_weight) -> tuple[Objective, ...]:
    """Return the objectives asked for, by default the supervised one."""
    if objectives is None:
        return (Supervised(label_smoothing),)
    objectives = tuple(objectives)
    if not objectives or not all(isinstance(objective, Objective) for objective in objectives):
        raise InputError("objectives: expected a list of tl.objectives, such as [Supervised()].")
    names = [objective.name for objective in objectives]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"objectives: {twice[0]!r} is there {names.count(twice[0])} times. Use one, with the "
            "weights or layers of both."
        )
    if label_smoothing or class_weight is not None:
        raise InputError(
            "objectives: pass label_smoothing and class_weight to Supervised(…) in the list."
        )
    return objectives


def resolve_seed(seed: Any) -> int:
    """Return the seed as an int, or raise `InputError` unless it is whole and fits 32 bits."""
    whole_number = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not whole_number or not 0 <= seed < 2**32:
        raise InputError(f"seed: expected a whole number from 0 to 2³² − 1, got {seed!r}.")
    return int(seed)


def resolve_callbacks(callbacks: Any) -> tuple[keras.callbacks.Callback, ...]:
    """Return one callback or several as a tuple."""
    several = (callbacks,) if isinstance(callbacks, keras.callbacks.Callback) else callbacks
    try:
        several = tuple(several)
    except TypeError:
        several = (several,)
    for callback in several:
        if not isinstance(callback, keras.callbacks.Callback):
            raise InputError(
                f"callbacks: expected objects of keras.callbacks.Callback, got {callback!r}."
            )
        if isinstance(callback, keras.callbacks.TensorBoard) and not _is_installed("tensorboard"):
            raise InputError(
                "callbacks: TensorBoard needs the package tensorboard, which TensorFlow leaves "
                "out. Run `pip install tensorboard`."
            )
    return several


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def check_kinds(settings: Settings) -> None:
    """Raise `InputError` where an option object is something else."""
    if not isinstance(settings.checkpoints, Checkpoints):
        raise InputError(
            f"checkpoints: expected tl.Checkpoints(seconds=…, steps=…), got "
            f"{settings.checkpoints!r}."
        )
    if settings.cache is not None and not isinstance(settings.cache, FeatureCache):
        raise InputError(
            f"cache: expected tl.FeatureCache(…), or None for no cache, got {settings.cache!r}."
        )


def check_images(model: TransferModel, examples: Examples, argument: str) -> None:
    """Raise `InputError` unless the examples have the shape that the model takes."""
    shape = examples.batches(None, 1).element_spec.shape[1:]
    if not shape.is_compatible_with(model.image_shape):
        raise InputError(
            f"{argument}: the model takes inputs of shape {model.image_shape}, got "
            f"{tuple(shape)}. Resize them, or build the model with input_shape={tuple(shape)}."
        )


REMEDY = (
    "Leave .shuffle out (fine_tune shuffles), or pass reshuffle_each_iteration=False or "
    "shuffle=False where it is made."
)


def check_order(
    strategy: tf.distribute.Strategy, data: Mapping[str, Examples | None], deterministic: bool
) -> None:
    """Refuse data that has another order in each pass where that order counts.

    Each of several replicas makes its own pass and takes its share: with other orders, shares
    overlap. A deterministic run that was killed could not go on where it was.
    """
    if strategy.num_replicas_in_sync > 1:
        why = "the replicas would read other shares than their own"
    elif deterministic:
        why = "deterministic=True could not be kept"
    else:
        return
    for argument, examples in data.items():
        if has_changing_order(examples):
            raise InputError(
                f"{argument}: the dataset comes in another order in each pass, and {why}. {REMEDY}"
            )


def warn_of_changing_order(train: Examples) -> None:
    """Warn where a run that goes on cannot know which examples its last epoch has seen."""
    if has_changing_order(train):
        warnings.warn(
            "data: the dataset comes in another order in each pass, so that the epoch which was "
            f"interrupted sees some examples twice and others not at all. {REMEDY}",
            stacklevel=3,
        )


def has_changing_order(examples: Examples | None) -> bool:
    """Return whether two passes over a dataset differ; makes the passes."""
    if isinstance(examples, DomainExamples):
        return any(has_changing_order(one) for one in examples.values())
    return isinstance(examples, DatasetExamples) and not examples.has_fixed_order()


def check_combination(
    model: TransferModel,
    stages: tuple[Stage, ...],
    settings: Settings,
    strategy: tf.distribute.Strategy,
    count: int,
) -> None:
    """Refuse settings that cannot work together, in any stage.

    Args:
        model: What trains.
        stages: The schedule.
        settings: The run's.
        strategy: Where it runs.
        count: Number of training examples.

    Raises:
        InputError: Says which and why.
    """
    replicas = strategy.num_replicas_in_sync
    if settings.cache is not None:
        check_precision(settings.cache.precision)
        if settings.cache.views and not settings.augmentation:
            raise InputError(
                f"cache: views={settings.cache.views} stores augmented views, and there is no "
                "augmentation. Pass augmentation=…, or leave views out."
            )
    for stage in stages:
        unfrozen_blocks(model.blocks, stage.unfreeze)
        block_factors(model, stage)
        _check_batches(stage, settings.batch_size, replicas, count)
        _check_learning_rate(stage, settings.callbacks)


def _check_batches(stage: Stage, batch_size: int, replicas: int, count: int) -> None:
    slices = stage.accumulation
    if batch_size < slices * replicas:
        raise InputError(
            f"batch_size: {batch_size} examples cannot be cut into accumulation={slices} slices on "
            f"{replicas} replicas. Use a batch_size of at least {slices * replicas}."
        )
    if stage.batch_norm != "update":
        return
    if slices > 1:
        raise InputError(
            f"accumulation: with batch_norm='update' the statistics of stage {stage.name!r} would "
            "be of slices, not of batches. Use batch_norm='frozen' or accumulation=1."
        )
    last = count % batch_size
    if 0 < last < replicas:
        raise InputError(
            f"batch_size: the last batch has {last} examples for {replicas} replicas, and with "
            "batch_norm='update' every replica needs one. Use another batch_size."
        )


def _check_learning_rate(stage: Stage, callbacks: tuple[keras.callbacks.Callback, ...]) -> None:
    setters = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
    names = [type(callback).__name__ for callback in callbacks if isinstance(callback, setters)]
    if names and (stage.decay != "constant" or stage.warmup):
        raise InputError(
            f"callbacks: {names[0]} sets the learning rate, which stage {stage.name!r} changes by "
            "itself. Give the stage decay='constant' and warmup=0, or leave the callback out."
        )
