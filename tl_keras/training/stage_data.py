"""What the epochs of one stage read, and the forward pass that goes with it."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tl_keras.data import Epochs, Examples, Part
from tl_keras.data.augmentation import augment, batch_seed
from tl_keras.data.stored_examples import StoredExamples
from tl_keras.schedules import Stage
from tl_keras.training.frozen_features import stored_features
from tl_keras.training.prefix import frozen_prefix
from tl_keras.training.settings import Settings
from tl_keras.training.strategies import distribute
from tl_keras.training.train_step import ForwardPass
from tl_keras.transfer_model import TransferModel


@dataclasses.dataclass(frozen=True)
class StageData:
    """Batches of one stage.

    Attributes:
        train: Function of the epochs wanted to a distributed dataset of `(x, y)`.
        forward: Forward pass on the `x` of these batches.
        validation: Distributed batches to measure on, or None.
        validation_forward: Forward pass on the `x` of those.
        stores: Feature stores that are read.
    """

    train: Callable[[Epochs], Any]
    forward: ForwardPass
    validation: Any
    validation_forward: ForwardPass
    stores: tuple[StoredExamples, ...]

    def close(self) -> None:
        """Let go of the feature stores, so that they can be cleared."""
        for store in self.stores:
            store.close()


def stage_data(
    model: TransferModel,
    strategy: tf.distribute.Strategy,
    stage: Stage,
    train: Examples,
    validation: Examples | None,
    settings: Settings,
) -> StageData:
    """Prepare a stage whose freezing has been applied.

    Where blocks at the bottom are frozen and nothing random comes before them, their outputs are
    computed once and read from the store in every epoch; the forward pass is the rest.

    Args:
        model: Its trainable flags say what is frozen.
        strategy: Whose replicas share each batch.
        stage: The stage.
        train: Training examples.
        validation: Examples to measure on, or None.
        settings: The run's.
    """
    prefix = frozen_prefix(model)
    layers = settings.augmentation if stage.augment else ()
    live = model.forward if prefix is None else prefix.images_forward

    def stored(examples: Examples, augmentation) -> StoredExamples | None:
        if prefix is None or settings.cache is None or stage.epochs == 1:
            return None
        return stored_features(
            prefix,
            examples,
            model.targets,
            settings.cache,
            augmentation=augmentation,
            seed=settings.seed,
            verbose=settings.verbose,
        )

    features = stored(train, layers)
    with contextlib.ExitStack() as if_that_fails:
        if features is not None:
            if_that_fails.callback(features.close)
        held_out = None if validation is None else stored(validation, ())
        if_that_fails.pop_all()
    changes = layers if features is None else ()
    steps = -(-len(train) // settings.batch_size)

    def train_batches(epochs: Epochs) -> Any:
        def make(part: Part) -> tf.data.Dataset:
            examples = train if features is None else features
            batches = examples.batches(model.targets, settings.batch_size, epochs=epochs, part=part)
            return _augmented(batches, changes, epochs, part, steps) if changes else batches

        return distribute(strategy, make)

    def validation_batches(part: Part) -> tf.data.Dataset:
        examples = validation if held_out is None else held_out
        return examples.batches(model.targets, settings.batch_size, part=part)

    return StageData(
        train_batches,
        live if features is None else prefix.forward,
        None if validation is None else distribute(strategy, validation_batches),
        live if held_out is None else prefix.forward,
        tuple(store for store in (features, held_out) if store is not None),
    )


def _augmented(batches, layers, epochs: Epochs, part: Part, steps: int) -> tf.data.Dataset:
    """Change every batch by random numbers that depend on seed, epoch, batch and part only."""
    first = epochs.first * steps + epochs.skip
    numbers = tf.data.Dataset.range(first, first + epochs.count * steps)

    def change(number: tf.Tensor, batch: Any) -> Any:
        x, y = batch
        seed = batch_seed(epochs.seed, number // steps, number % steps, part.index)
        return augment(layers, x, y, seed)

    pairs = tf.data.Dataset.zip((numbers, batches))
    return pairs.map(change, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
