"""What stays the same over all stages of a run."""

import dataclasses

import keras

from tl_keras.data.feature_cache import FeatureCache
from tl_keras.training.checkpoints import Checkpoints


@dataclasses.dataclass(frozen=True)
class Settings:
    """The arguments of `fine_tune` that a trainer needs, checked.

    Attributes:
        batch_size: Examples per update over all replicas.
        early_stopping: Epochs without a better validation loss after which a stage ends, or None.
        augmentation: Layers that change training batches, in order.
        callbacks: Keras callbacks.
        seed: Seed of orders and augmentation.
        checkpoints: When the state is saved.
        cache: Where features of frozen layers are kept; None to compute them in every epoch.
        verbose: Whether to show progress.
        target_labels: Whether objectives learn from labels of target domains.
    """

    batch_size: int
    early_stopping: int | None
    augmentation: tuple[keras.layers.Layer, ...]
    callbacks: tuple[keras.callbacks.Callback, ...]
    seed: int
    checkpoints: Checkpoints
    cache: FeatureCache | None
    verbose: bool
    target_labels: bool = True

    def say(self, line: str) -> None:
        """Print a line if progress is wanted."""
        if self.verbose:
            print(line, flush=True)
