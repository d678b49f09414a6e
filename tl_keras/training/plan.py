"""A run as it was asked for, checked once: what travels from `fine_tune` to the step."""

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any, Literal

import keras
import tensorflow as tf

from tl_keras.data.base import Specs
from tl_keras.data.domains import DomainExamples
from tl_keras.frozen.feature_cache import FeatureCache
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Objective, is_target
from tl_keras.schedules import Stage
from tl_keras.tasks.own_metrics import Metric
from tl_keras.training.runs.checkpoints import Checkpoints

EVERY_FIVE_MINUTES = Checkpoints()
LEAST_PATIENCE = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run trains, the same in all of its stages.

    Attributes:
        batch_size: Examples per update over all replicas.
        seed: Seed of orders and augmentation.
        verbose: Whether to show progress.
        early_stopping: Epochs without a better validation loss after which a stage ends, `"auto"`
            for a number that goes with the length of the stage, or None.
        augmentation: Layers that change training batches, in order.
        callbacks: Keras callbacks.
        checkpoints: When the state is saved.
        cache: Where features of frozen layers are kept; None to compute them in every epoch.
        target_labels: Whether objectives learn from labels of target domains.
    """

    batch_size: int
    seed: int
    verbose: bool
    early_stopping: int | Literal["auto"] | None = None
    augmentation: tuple[keras.layers.Layer, ...] = ()
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    checkpoints: Checkpoints = EVERY_FIVE_MINUTES
    cache: FeatureCache | None = None
    target_labels: bool = True

    def learns_from(self, domain: str) -> bool:
        """Return whether objectives learn from the labels of a domain, where it has some."""
        return self.target_labels or not is_target(domain)

    def patience(self, stage: Stage) -> int | None:
        """Return after how many epochs without a better validation loss a stage ends, or None.

        `"auto"` is a fifth of the stage's epochs, at least 3, and as many as warm up.
        """
        if self.early_stopping != "auto":
            return self.early_stopping
        warming = math.ceil(stage.warmup_share * stage.epochs)
        return max(LEAST_PATIENCE, math.ceil(stage.epochs / 5)) + warming

    def say(self, line: str) -> None:
        """Print a line if progress is wanted."""
        if self.verbose:
            print(line, flush=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunPlan:
    """Everything that was asked for.

    Attributes:
        model: What trains. While it does, the copy whose variables belong to the strategy.
        objectives: What is minimised.
        train: Training examples.
        validation: Examples measured after each epoch, or None.
        stages: The schedule.
        targets: What labels are encoded for; None to leave labels out.
        settings: How it trains.
        metrics: Task name → name → metric of the user's, measured on validation data.
        strategy: As for `fine_tune`, and so are those that follow; `prepared` makes an object of
            a name.
        output: Directory of the run, or None.
        resume: Whether to continue a run that is there.
        overwrite: Whether to replace it.
        deterministic: Whether two runs are equal to the last bit.
    """

    model: TransferModel
    objectives: tuple[Objective, ...]
    train: DomainExamples
    validation: DomainExamples | None = None
    stages: tuple[Stage, ...]
    targets: Specs
    settings: Settings
    metrics: Mapping[str, Mapping[str, Metric]] = dataclasses.field(default_factory=dict)
    strategy: Any = "auto"
    output: str | os.PathLike | None = None
    resume: bool = True
    overwrite: bool = False
    deterministic: bool = False

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return math.ceil(len(self.train) / self.settings.batch_size)

    @property
    def replicas(self) -> int:
        """Devices that share a batch."""
        return self.strategy.num_replicas_in_sync

    def steps_of(self, stage: Stage) -> int:
        """Return the updates in a stage, if it does not end early."""
        return self.steps * stage.epochs

    def learned(self) -> tuple[str, ...]:
        """Return the domains whose labels objectives learn from."""
        return tuple(filter(self.settings.learns_from, self.train.labelled(self.targets)))

    def own_variables(self) -> list[keras.Variable]:
        """Return what the objectives train besides the model."""
        return [variable for one in self.objectives for variable in one.trainable_variables()]

    def trained_variables(self) -> list[keras.Variable]:
        """Return what an optimizer trains: the model's variables, then those of the objectives."""
        return [*self.model.trainable_variables, *self.own_variables()]

    def with_strategy(self, strategy: tf.distribute.Strategy, *, writes: bool) -> "RunPlan":
        """Return the plan on a strategy; only the process that writes shows progress."""
        settings = self.settings
        if not writes:
            settings = dataclasses.replace(settings, verbose=False)
        return dataclasses.replace(self, strategy=strategy, settings=settings)
