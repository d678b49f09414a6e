"""What stays the same over all stages of a run."""

import dataclasses
import math
from typing import Literal

import keras

from tl_keras.frozen.feature_cache import FeatureCache
from tl_keras.objectives import is_target
from tl_keras.schedules import Stage
from tl_keras.training.runs.checkpoints import Checkpoints

LEAST_PATIENCE = 3


@dataclasses.dataclass(frozen=True)
class Settings:
    """The arguments of `fine_tune` that a trainer needs, checked.

    Attributes:
        batch_size: Examples per update over all replicas.
        early_stopping: Epochs without a better validation loss after which a stage ends, `"auto"`
            for a number that goes with the length of the stage, or None.
        augmentation: Layers that change training batches, in order.
        callbacks: Keras callbacks.
        seed: Seed of orders and augmentation.
        checkpoints: When the state is saved.
        cache: Where features of frozen layers are kept; None to compute them in every epoch.
        verbose: Whether to show progress.
        target_labels: Whether objectives learn from labels of target domains.
    """

    batch_size: int
    early_stopping: int | Literal["auto"] | None
    augmentation: tuple[keras.layers.Layer, ...]
    callbacks: tuple[keras.callbacks.Callback, ...]
    seed: int
    checkpoints: Checkpoints
    cache: FeatureCache | None
    verbose: bool
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
