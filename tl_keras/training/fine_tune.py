"""`fine_tune`: checks everything, then trains."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.cluster import join_cluster
from tl_keras.data import Examples
from tl_keras.data.augmentation import resolve_augmentation
from tl_keras.data.augmentation_checks import check_augmentation
from tl_keras.data.base import Specs
from tl_keras.data.domains import DomainExamples, as_domains
from tl_keras.data.feature_cache import FeatureCache
from tl_keras.errors import InputError
from tl_keras.objectives import Objective, Supervised
from tl_keras.schedules import Stage, resolve_schedule
from tl_keras.training.agreement import check_agreement, from_chief
from tl_keras.training.checkpoints import Checkpoints
from tl_keras.training.checks import (
    check_combination,
    check_kinds,
    check_model,
    check_order,
    checked_domains,
    data_targets,
    resolve_callbacks,
    resolve_objectives,
    resolve_seed,
    warn_of_changing_order,
    whole,
)
from tl_keras.training.class_weights import resolve_class_weight
from tl_keras.training.identity import check_same_run, run_config, shared_facts
from tl_keras.training.lost_workers import readable_worker_errors
from tl_keras.training.run import Run, finished_run, write_finished_run
from tl_keras.training.run_directory import (
    CONFIG_FILE,
    HISTORY_FILE,
    MODEL_FILE,
    Found,
    RunDirectory,
)
from tl_keras.training.settings import Settings
from tl_keras.training.strategies import (
    give_back,
    is_chief,
    resolve_strategy,
    under_strategy,
)
from tl_keras.training.trainer import Trainer
from tl_keras.transfer_model import TransferModel

EVERY_FIVE_MINUTES = Checkpoints()
ON_DISK = FeatureCache()


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
    augmentation: keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
    early_stopping: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    output: str | os.PathLike | None = None,
    resume: bool = True,
    checkpoints: Checkpoints = EVERY_FIVE_MINUTES,
    cache: FeatureCache | None = ON_DISK,
    deterministic: bool = False,
    seed: int = 0,
    verbose: bool = True,
) -> Run:
    """Train a transfer model on new data.

    The head trains first on a frozen backbone, then as many blocks as the schedule says, with
    BatchNorm statistics frozen. Everything is checked before the first step. Frozen layers at the
    bottom, with nothing random before them, run once per image and not once per epoch.

    Args:
        model: Made by `build_transfer_model`. It is trained in place.
        data: Training examples: `(x, y)` arrays, a `tf.data.Dataset` of `(x, y)`, or an image
            folder. Labels are integers, names out of `model.labels`, or one-hot rows. Several
            domains are a dict of these, such as `{"source": …, "target": …}`: those whose names
            begin with `target` are adapted to, all others are sources; one without labels is its
            `x` alone. Every domain brings `batch_size` examples to a batch, and an epoch is one
            pass over the largest. Labels of a target domain may be missing in part (−1, NaN).
        validation: The same, measured after each epoch. With it, the model ends with the weights
            of the epoch with the smallest validation loss.
        schedule: `"auto"` (by number of examples, see `tl.schedules.auto`), the name of a
            schedule, a `Stage`, or several.
        objectives: What is minimised, summed with their weights; by default `Supervised`.
        strategy: `"auto"`, `"one_device"`, `"mirrored"`, `"multi_worker"` (the workers that
            `TF_CONFIG` names) or a `tf.distribute.Strategy`.
        batch_size: Examples per update, of each domain, over all devices.
        class_weight: None, `"balanced"`, or a dict with a weight for every class.
        label_smoothing: Share of each label spread over all classes, 0 … 1.
        augmentation: Keras layer or layers applied to training images only, in order, such as
            `keras.layers.RandomFlip("horizontal")` or `keras.layers.MixUp()`.
        early_stopping: Epochs without a better validation loss after which a stage ends.
        callbacks: Keras callbacks. `stop_training` ends the stage, not the run. Of several workers
            each has its own; those that write files belong to the chief only.
        output: Directory for config, history, curves, checkpoints, best weights and the model.
        resume: Whether a run of the same settings that was stopped in `output` goes on where it
            was; a finished one is then returned as it is. Changed settings or data are refused.
        checkpoints: When the state is saved in `output`, besides at the ends of stages, at SIGTERM
            and at Ctrl-C.
        cache: Where outputs of frozen layers are kept; None computes them anew in every epoch.
        deterministic: Make two runs on one device equal to the last bit, at some cost in speed.
            For the rest of the process it switches TensorFlow's operations, and it seeds the random
            numbers of Python, NumPy and TensorFlow.
        seed: Seed of the order of examples and of augmentation.
        verbose: Whether to show progress.

    Returns:
        The run: history, audit of what trained, `.plot()`, and the directory's path. The losses in
        it are those of the objectives, without the penalties of regularised layers.

    Raises:
        InputError: If an argument cannot be used or the loss is not finite. Nothing is trained
            or written before all arguments have been checked.
        WorkerLost: If one of several workers died.
    """
    check_model(model)
    settings = Settings(
        batch_size=whole(batch_size, "batch_size"),
        early_stopping=None if early_stopping is None else whole(early_stopping, "early_stopping"),
        augmentation=resolve_augmentation(augmentation),
        callbacks=resolve_callbacks(callbacks),
        seed=resolve_seed(seed),
        checkpoints=checkpoints,
        cache=cache,
        verbose=verbose,
    )
    check_kinds(settings)
    if settings.early_stopping is not None and validation is None:
        raise InputError("early_stopping: it needs validation data. Pass validation=….")
    join_cluster()
    with readable_worker_errors():
        train = as_domains(data, "data")
        held_out = None if validation is None else as_domains(validation, "validation")
        asked = resolve_objectives(objectives, label_smoothing, class_weight)
        targets = data_targets(model, data, asked)
        encoded = checked_domains(model, train, targets, "data", asked)
        if held_out is not None:
            checked_domains(model, held_out, targets, "validation", asked)
        stages = resolve_schedule(schedule, num_examples=len(train), batch_size=settings.batch_size)
        if objectives is None:
            weights = resolve_class_weight(class_weight, model.targets, list(encoded.values()))
            asked = (Supervised(label_smoothing, weights),)
        return train_stages(
            model,
            asked,
            train,
            held_out,
            settings,
            stages,
            targets=targets,
            strategy=strategy,
            output=output,
            resume=resume,
            deterministic=deterministic,
        )


def train_stages(
    model: TransferModel,
    objectives: tuple[Objective, ...],
    train: DomainExamples,
    held_out: DomainExamples | None,
    settings: Settings,
    stages: tuple[Stage, ...],
    *,
    targets: Specs,
    strategy: str | tf.distribute.Strategy,
    output: str | os.PathLike | None,
    resume: bool,
    deterministic: bool,
) -> Run:
    """Check what depends on several arguments, then train, go on, or return what is finished.

    Args:
        model: Trained in place.
        objectives: What is minimised.
        train: Training examples.
        held_out: Examples measured after each epoch, or None.
        settings: The rest.
        stages: The schedule.
        targets: What labels are encoded for; None to leave labels out.
        strategy: As for `fine_tune`, and so are those that follow.
        output: Directory of the run.
        resume: Whether to go on with a run that is there.
        deterministic: Whether two runs are equal to the last bit.
    """
    strategy = resolve_strategy(strategy)
    check_augmentation(settings.augmentation, model.image_shape, targets and model.targets)
    check_combination(model, stages, settings, strategy, len(train))
    check_order(strategy, {"data": train, "validation": held_out}, deterministic)
    if not is_chief(strategy):
        settings = dataclasses.replace(settings, verbose=False)
    check_agreement(strategy, shared_facts(model, stages, objectives, settings, train, held_out))
    if deterministic:
        _make_deterministic(settings.seed)
    directory = None if output is None else RunDirectory(output, writes=is_chief(strategy))
    if directory is not None:
        config = run_config(
            model,
            stages,
            objectives,
            settings,
            train,
            held_out,
            replicas=strategy.num_replicas_in_sync,
            deterministic=deterministic,
        )
        if _is_finished(directory, config, strategy, train, settings, resume):
            return finished_run(directory, model, stages)
    return _train(
        model, strategy, objectives, train, held_out, settings, stages, directory, targets
    )


def _is_finished(
    directory, config, strategy, train: Examples, settings: Settings, resume: bool
) -> bool:
    """Return whether a directory holds the run asked for to its end, and prepare it if not."""
    # What the chief finds counts, and it has looked before it writes.
    (found,) = from_chief(strategy, [np.int64(directory.found())])
    if found == Found.NOTHING:
        directory.clear_checkpoints()
        directory.write_json(CONFIG_FILE, config)
        return False
    if not resume:
        raise InputError(
            f"output: {str(directory.path)!r} already holds a run, which is not overwritten. "
            "Choose another directory, remove this one, or pass resume=True to go on with it."
        )
    for line in check_same_run(directory.read_json(CONFIG_FILE), config):
        settings.say(line)
    if found == Found.FINISHED:
        settings.say(f"this run is finished: {directory.path / MODEL_FILE} is taken as it is")
    else:
        warn_of_changing_order(train)
    return found == Found.FINISHED


def _train(
    model, strategy, objectives, train, held_out, settings, stages, directory, targets
) -> Run:
    trained = under_strategy(model, strategy)
    trainer = Trainer(
        trained, strategy, objectives, train, held_out, settings, directory, targets=targets
    )
    try:
        trainer.run(stages)
    except BaseException:
        if directory is not None:
            # What ends the run is what the user has to know, not that the history was not written.
            with contextlib.suppress(InputError):
                directory.write_json(HISTORY_FILE, trainer.state.progress.history)
        raise
    finally:
        give_back(trained, model)
    for objective in objectives:
        objective.finish(model, train)
    progress = trainer.state.progress
    run = Run(
        model=model,
        history=progress.history,
        stages=stages,
        stage_starts=tuple(progress.stage_starts),
        audits=tuple(trainer.audits),
        best_epoch=progress.best_epoch,
        path=None if directory is None else directory.path,
    )
    if directory is not None:
        directory.write_json(HISTORY_FILE, progress.history)
        directory.write_objectives(objective_arrays(objectives))
        write_finished_run(directory, run)
    return run


def objective_arrays(objectives: Sequence[Objective]) -> dict[str, np.ndarray]:
    """Return the objectives' own variables, by objective and position."""
    return {
        f"{objective.name}/{index:03}": variable.numpy()
        for objective in objectives
        for index, variable in enumerate(objective.variables())
    }


def _make_deterministic(seed: int) -> None:
    """Make TensorFlow's operations deterministic; this holds for the rest of the process."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
