"""Devices: which `tf.distribute` strategy runs, and how a model gets under it."""

import functools
import os
import tempfile

import keras
import tensorflow as tf

from tl_keras.backbones.weights import copy_weights
from tl_keras.errors import InputError, did_you_mean
from tl_keras.transfer_model import TransferModel

NAMES = ("auto", "one_device", "mirrored")


def resolve_strategy(strategy: str | tf.distribute.Strategy) -> tf.distribute.Strategy:
    """Return the strategy that a name stands for.

    Args:
        strategy: `"auto"` (the strategy in scope if there is one, else all GPUs if there are
            several, else one device), `"one_device"`, `"mirrored"` (all GPUs), or a strategy.

    Raises:
        InputError: If the name is unknown, or two strategies contradict each other.
    """
    current = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
    if isinstance(strategy, tf.distribute.Strategy):
        if current is not None and current is not strategy:
            raise InputError(
                "strategy: fine_tune was called inside the scope of another strategy. Leave the "
                "argument out, or call it outside the scope."
            )
        return strategy
    if strategy not in NAMES:
        raise InputError(
            f"strategy: expected one of {NAMES} or a tf.distribute.Strategy, got {strategy!r}."
            f"{did_you_mean(str(strategy), NAMES)}"
        )
    if current is not None:
        return current
    several = len(tf.config.list_logical_devices("GPU")) > 1
    if strategy == "mirrored" or (strategy == "auto" and several):
        return _all_gpus()
    return tf.distribute.get_strategy()


@functools.cache
def _all_gpus() -> tf.distribute.MirroredStrategy:
    """Return the one strategy over all GPUs.

    TensorFlow numbers the collectives of every MirroredStrategy from the same start, so that
    several of them in one process can mistake each other's for their own.
    """
    return tf.distribute.MirroredStrategy()


def under_strategy(model: TransferModel, strategy: tf.distribute.Strategy) -> TransferModel:
    """Return the model, or a copy whose variables belong to the strategy.

    Variables cannot change the strategy they were created under, so a model that was built
    outside is copied; `give_back` brings the trained weights home.
    """
    plain = not tf.distribute.has_strategy() and strategy is tf.distribute.get_strategy()
    if plain or all(
        strategy.extended.variable_created_in_scope(variable.value) for variable in model.weights
    ):
        return model
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        model.save(path)
        with strategy.scope():
            return keras.saving.load_model(path, compile=False)


def give_back(trained: TransferModel, model: TransferModel) -> None:
    """Copy weights and trainable flags from a strategy's copy into the user's model."""
    if trained is model:
        return
    copy_weights(trained, model)
    pairs = zip(trained._flatten_layers(), model._flatten_layers(), strict=True)
    flags = [(own, copy.trainable) for copy, own in pairs]
    for own, trainable in flags:
        own._trainable = trainable
        for variable in own._trainable_variables:
            variable.trainable = trainable
