"""What `fine_tune` checks about its arguments before anything is trained or written."""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tl_keras.data.augmentation.augment import resolve_augmentation
from tl_keras.frozen.feature_cache import FeatureCache
from tl_keras.frozen.folding import check_precision
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Joint, MultiTask, Objective, Supervised
from tl_keras.schedules import Stage, block_factors
from tl_keras.schedules.freezing import unfrozen_blocks
from tl_keras.training.early_stopping import resolve_early_stopping
from tl_keras.training.keras_callbacks import check_callbacks
from tl_keras.training.plan import RunPlan, Settings
from tl_keras.training.runs.checkpoints import Checkpoints
from tl_keras.utils.arguments import whole
from tl_keras.utils.by_task import by_task, named
from tl_keras.utils.errors import InputError, counted, listed, warn_user

OF_LABELS = (Joint, MultiTask, Supervised)


def check_model(model: Any, *, head: bool = True) -> None:
    """Raise `InputError` unless the model is a transfer model, with a head if one is needed."""
    if not isinstance(model, TransferModel):
        raise InputError(
            f"model: expected one made by build_transfer_model, got {type(model).__name__}. Wrap a "
            "model of your own: tl.build_transfer_model(your_features_model, num_classes=…)."
        )
    if head and model.targets is None:
        raise InputError(
            "model: it has no head to train. Build it with num_classes=… or class_names=…."
        )


def warn_of_compile(model: TransferModel) -> None:
    """Say what stands in for the arguments of `model.compile`, which training does not read."""
    if model.compiled:
        warn_user(
            "model: fine_tune does not use what model.compile(…) was given. Optimizer and learning "
            "rate are those of stages, schedule=tl.Stage(10, optimizer='adam', learning_rate=1e-3);"
            " the loss follows from the head and objectives=[…]."
        )


def resolve_objectives(objectives, label_smoothing: float, class_weight) -> tuple[Objective, ...]:
    """Return the objectives asked for, by default the supervised one."""
    if objectives is None:
        return (Supervised(label_smoothing),)
    several = isinstance(objectives, Iterable)
    objectives = tuple(objectives) if several else (objectives,)
    if not objectives or not all(isinstance(objective, Objective) for objective in objectives):
        raise InputError("objectives: expected a list of tl.objectives, such as [Supervised()].")
    names = [objective.name for objective in objectives]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"objectives: {twice[0]!r} is there {names.count(twice[0])} times. Use one, with the "
            "weights or layers of both."
        )
    of_labels = [type(one).__name__ for one in objectives if isinstance(one, OF_LABELS)]
    if len(of_labels) > 1:
        raise InputError(
            f"objectives: {listed(of_labels)} would count the same labels twice. Use one."
        )
    if label_smoothing or class_weight is not None:
        raise InputError(
            "objectives: pass label_smoothing and class_weight to Supervised(…) in the list; there "
            "class_weight is one weight per class, a list or a dict; instead of 'balanced', what "
            "sklearn.utils.class_weight.compute_class_weight gives."
        )
    return objectives


def check_names_of_metrics(
    metrics: Mapping[str, Mapping[str, Any]], model: TransferModel, objectives: Sequence[Objective]
) -> None:
    """Raise `InputError` where a metric of the user's has the name of what is measured anyway."""
    taken = {"loss", "learning_rate", "seconds", *(one.name for one in objectives)}
    for task, spec in by_task(model.targets).items():
        row = np.zeros((1, spec.size), np.float32)
        own = [*spec.task.example_metrics(row, row), *taken]
        twice = [name for name in metrics.get(task, ()) if name in own]
        if twice:
            raise InputError(
                f"metrics: {twice[0]!r} is measured anyway, as val_{named(task, twice[0])}. Leave "
                "it out, or give yours another name."
            )


def resolve_settings(**asked: Any) -> Settings:
    """Return settings of arguments as they were given, checked.

    Args:
        **asked: By the names of the attributes of `Settings`; some can be left out, as there.

    Raises:
        InputError: If one of them cannot be used.
    """
    resolved = {
        "batch_size": whole(asked["batch_size"], "batch_size"),
        "early_stopping": resolve_early_stopping(asked.get("early_stopping")),
        "augmentation": resolve_augmentation(asked.get("augmentation")),
        "callbacks": _resolve_callbacks(asked.get("callbacks", ())),
        "seed": _resolve_seed(asked["seed"]),
    }
    settings = Settings(**{**asked, **resolved})
    target_labels, checkpoints = settings.target_labels, settings.checkpoints
    if not isinstance(target_labels, bool):
        raise InputError(f"target_labels: expected True or False, got {target_labels!r}.")
    if not isinstance(checkpoints, Checkpoints):
        raise InputError(
            f"checkpoints: expected tl.Checkpoints(seconds=…, steps=…), got {checkpoints!r}."
        )
    if settings.cache is not None and not isinstance(settings.cache, FeatureCache):
        raise InputError(
            f"cache: expected tl.FeatureCache(…), or None for no cache, got {settings.cache!r}."
        )
    return settings


def _resolve_seed(seed: Any) -> int:
    """Return the seed as an int, or raise `InputError` unless it is whole and fits 32 bits."""
    whole_number = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not whole_number or not 0 <= seed < 2**32:
        raise InputError(f"seed: expected a whole number from 0 to 2³² − 1, got {seed!r}.")
    return int(seed)


def _resolve_callbacks(callbacks: Any) -> tuple[keras.callbacks.Callback, ...]:
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


def check_combination(plan: RunPlan) -> None:
    """Refuse settings that cannot work together, in any stage.

    Raises:
        InputError: Says which and why.
    """
    settings, stages = plan.settings, plan.stages
    counts = [len(domain) for domain in plan.train.values()]
    check_callbacks(settings.callbacks, stages)
    if settings.cache is not None:
        check_precision(settings.cache.precision)
        if settings.cache.views and not settings.augmentation:
            raise InputError(
                f"cache: views={settings.cache.views} stores augmented views, and there is no "
                "augmentation. Pass augmentation=…, or leave views out."
            )
    for stage in stages:
        unfrozen_blocks(plan.model.blocks, stage.unfreeze)
        block_factors(plan.model, stage)
        _check_batches(stage, settings.batch_size, plan.replicas, counts)
        _check_learning_rate(stage, settings.callbacks)


def _check_batches(stage: Stage, batch_size: int, replicas: int, counts: Sequence[int]) -> None:
    slices = stage.accumulation
    if batch_size < slices * replicas:
        raise InputError(
            f"batch_size: {counted(batch_size, 'example')} cannot be cut into "
            f"accumulation={slices} slices on {counted(replicas, 'replica')}. Use a batch_size of "
            f"at least {slices * replicas}."
        )
    if stage.batch_norm != "update":
        return
    if slices > 1:
        raise InputError(
            f"accumulation: with batch_norm='update' the statistics of stage {stage.name!r} would "
            "be of slices, not of batches. Use batch_norm='frozen' or accumulation=1."
        )
    # Smaller domains carry over the end of a pass: only the largest has a last batch of the rest.
    rest = max(counts) % batch_size or batch_size
    last = min([rest, *(count for count in counts if count < max(counts))])
    if last < replicas:
        raise InputError(
            f"batch_size: the last batch of a domain has {counted(last, 'example')} for "
            f"{replicas} replicas, and with batch_norm='update' every replica needs one. Use "
            "another batch_size."
        )


def _check_learning_rate(stage: Stage, callbacks: tuple[keras.callbacks.Callback, ...]) -> None:
    setters = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
    names = [type(callback).__name__ for callback in callbacks if isinstance(callback, setters)]
    changes = stage.follows_own_rate or stage.decay != "constant" or stage.warmup_share
    if names and changes:
        raise InputError(
            f"callbacks: {names[0]} sets the learning rate, which stage {stage.name!r} changes by "
            "itself. Give the stage decay='constant' and warmup=0, or leave the callback out."
        )
