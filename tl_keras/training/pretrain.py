"""`pretrain`: trains a backbone on examples without labels, before `fine_tune`."""

import dataclasses
import os
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_keras.data.domains import as_domains
from tl_keras.frozen.feature_cache import FeatureCache
from tl_keras.models.model_inputs import warn_of_doubtful_values
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Objective
from tl_keras.schedules import Stage, resolve_schedule
from tl_keras.training import trainer
from tl_keras.training.checks import (
    check_model,
    resolve_objectives,
    resolve_settings,
)
from tl_keras.training.data_checks import checked_domains
from tl_keras.training.distributed.lost_workers import readable_worker_errors
from tl_keras.training.fine_tune import ON_DISK
from tl_keras.training.plan import EVERY_FIVE_MINUTES, RunPlan
from tl_keras.training.runs.checkpoints import Checkpoints
from tl_keras.training.runs.run import Run
from tl_keras.utils.cluster import join_cluster
from tl_keras.utils.errors import InputError
from tl_keras.utils.misplaced import OF_PRETRAINING, points_from

RATE = 1e-3
EVERYTHING = Stage(
    50, unfreeze="all", learning_rate=RATE, batch_norm="update", warmup=0.05, name="pretraining"
)


@points_from(OF_PRETRAINING)
def pretrain(
    model: TransferModel,
    unlabelled: Any,
    *,
    objectives: Sequence[Objective],
    schedule: Stage | Sequence[Stage] = EVERYTHING,
    strategy: str | tf.distribute.Strategy = "auto",
    batch_size: int = 128,
    augmentation: keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    output: str | os.PathLike | None = None,
    resume: bool = True,
    overwrite: bool = False,
    checkpoints: Checkpoints = EVERY_FIVE_MINUTES,
    cache: FeatureCache | None = ON_DISK,
    deterministic: bool = False,
    seed: int = 0,
    verbose: bool = True,
) -> Run:
    """Train a model on examples without labels, so that few labels suffice afterwards.

    The run is one of `fine_tune`, with the same strategies, checkpoints, directories and
    resumption, and without labels, validation or metrics: labels that the data has are not read.
    Then give the backbone a head, or use the one that it has, and fine-tune it.

    Args:
        model: Made by `build_transfer_model`, without a head or with one, or the `model` of
            `tl.build_autoencoder`. It is trained in place. A head that no objective reads stays as
            it is.
        unlabelled: Examples: an array, `(x, y)`, a `tf.data.Dataset`, an image folder, or a dict of
            domains.
        objectives: What is minimised, summed with their weights: `Reconstruction`, `SimCLR`,
            `VICReg`, `RotationPrediction`, … Objectives that need labels are refused.
        schedule: A stage or several; by default 50 epochs of all layers, BatchNorm included.
            Without a `learning_rate` of its own, everything in a stage has 1e-3.
        strategy: As for `fine_tune`, and so are all that follow.
        batch_size: Examples per update, of each domain, over all devices. Contrastive objectives
            like large ones.
        augmentation: Layers applied to the images before the objectives make their views of them.
        callbacks: Keras callbacks.
        output: Directory of the run.
        resume: Whether a run of the same settings that was stopped in `output` goes on.
        overwrite: Whether a run that is in `output` is replaced.
        checkpoints: When the state is saved.
        cache: Where outputs of frozen layers are kept, if there are any.
        deterministic: Make two runs on one device equal to the last bit.
        seed: Seed of the order of examples, of augmentation and views, and of the objectives'
            weights.
        verbose: Whether to show progress.

    Returns:
        The run; the model has the weights of the last epoch.

    Raises:
        InputError: If an argument cannot be used or the loss is not finite.
        WorkerLost: If one of several workers died.

    Example:
        >>> encoder = tl.build_transfer_model(network)  # doctest: +SKIP
        >>> tl.pretrain(encoder, images, objectives=[tl.objectives.SimCLR()])  # doctest: +SKIP
        >>> model = tl.build_transfer_model(encoder, 10)  # doctest: +SKIP
        >>> tl.fine_tune(model, (few_images, labels))  # doctest: +SKIP
    """
    check_model(model, head=False)
    settings = resolve_settings(
        batch_size=batch_size,
        augmentation=augmentation,
        callbacks=callbacks,
        seed=seed,
        checkpoints=checkpoints,
        cache=cache,
        verbose=verbose,
    )
    asked = resolve_objectives(objectives, 0.0, None)
    supervised = [type(one).__name__ for one in asked if one.validates]
    if supervised:
        raise InputError(
            f"objectives: {supervised[0]} learns from labels, and pretrain has none. Use "
            "tl.fine_tune, where examples without labels can be a domain of their own."
        )
    join_cluster()
    with readable_worker_errors(), warnings.catch_warnings():
        # A head that no objective reads has no gradients.
        warnings.filterwarnings("ignore", message="Gradients do not exist for variables")
        train = as_domains(unlabelled, "unlabelled", model.modality.spec)
        checked_domains(model, train, None, "unlabelled", asked)
        warn_of_doubtful_values(model, {"unlabelled": train})
        stages = resolve_schedule(schedule, num_examples=len(train), batch_size=settings.batch_size)
        plan = RunPlan(
            model=model,
            objectives=asked,
            train=train,
            stages=_with_rates(stages),
            targets=None,
            settings=settings,
            strategy=strategy,
            output=output,
            resume=resume,
            overwrite=overwrite,
            deterministic=deterministic,
        )
        return trainer.train(plan)


def _with_rates(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """Return the stages, with one rate for all layers: no head has trained before them."""
    return tuple(
        one if one.learning_rate is not None else dataclasses.replace(one, learning_rate=RATE)
        for one in stages
    )
