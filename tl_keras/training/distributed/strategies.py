"""Devices and workers: which `tf.distribute` strategy runs, and how data and a model get there."""

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tl_keras.backbones.weights import copy_weights, finalize_normalization
from tl_keras.data.rows import Part
from tl_keras.models.transfer_model import TransferModel
from tl_keras.training.distributed.agreement import from_chief, several_workers
from tl_keras.utils.cluster import VARIABLE, cluster_from_environment, join_cluster
from tl_keras.utils.compat import flatten_layers, own_weights, set_own_trainable
from tl_keras.utils.errors import InputError, did_you_mean

NAMES = ("auto", "one_device", "mirrored", "multi_worker")


def resolve_strategy(
    strategy: str | tf.distribute.Strategy, model: TransferModel | None = None
) -> tf.distribute.Strategy:
    """Return the strategy that a name stands for.

    Args:
        strategy: `"auto"` (the strategy in scope if there is one, else the one that the model was
            built under, else the workers that `TF_CONFIG` names, else all GPUs if there are
            several, else one device), `"one_device"`, `"mirrored"` (all GPUs of this process),
            `"multi_worker"`, or a strategy.
        model: What will train.

    Raises:
        InputError: If the name is unknown, two strategies contradict each other, or the process
            cannot become one of the workers any more.
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
        if strategy == "one_device" or (
            strategy == "mirrored" and not isinstance(current, tf.distribute.MirroredStrategy)
        ):
            raise InputError(
                f"strategy: {strategy!r} contradicts the scope of {type(current).__name__} that "
                "fine_tune was called in. Leave the argument out, or call it outside the scope."
            )
        return current
    own = None if model is None else _strategy_of(model)
    if own is not None and strategy == "auto":
        return own
    cluster = cluster_from_environment()
    if cluster is not None:
        if strategy not in ("auto", "multi_worker"):
            raise InputError(
                f"strategy: {strategy!r} would train the same model {cluster.size} times, once in "
                f"each worker of {VARIABLE}. Leave the argument out, or unset {VARIABLE}."
            )
        return _all_workers()
    if strategy == "multi_worker":
        raise InputError(
            f"strategy: 'multi_worker' needs the environment variable {VARIABLE} with addresses of "
            "at least two workers. Set it, start `tl-keras train --workers N`, or use 'auto'."
        )
    several = len(tf.config.list_logical_devices("GPU")) > 1
    if strategy == "mirrored" or (strategy == "auto" and several):
        return _all_gpus()
    return tf.distribute.get_strategy()


def _strategy_of(model: TransferModel) -> tf.distribute.Strategy | None:
    """Return the strategy that a model was built under, or None."""
    found = (getattr(variable.value, "distribute_strategy", None) for variable in model.weights)
    return next((strategy for strategy in found if strategy is not None), None)


def _all_workers() -> tf.distribute.Strategy:
    strategy = join_cluster()
    if strategy is None:
        raise InputError(
            f"strategy: {VARIABLE} names several workers, but TensorFlow was used before this "
            "process became one of them. Call tl.join_cluster() in the first line of the script, "
            "before any other use of TensorFlow or Keras."
        )
    return strategy


@functools.cache
def _all_gpus() -> tf.distribute.MirroredStrategy:
    """Return the one strategy over all GPUs.

    TensorFlow numbers the collectives of every MirroredStrategy from the same start, so that
    several of them in one process can mistake each other's for their own.
    """
    return tf.distribute.MirroredStrategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process writes: the first of several workers, or the only one."""
    return not several_workers(strategy) or strategy.extended.should_checkpoint


def distribute(strategy: tf.distribute.Strategy, make: Callable[[Part], tf.data.Dataset]) -> Any:
    """Give every replica its own batches.

    Args:
        strategy: Whose replicas.
        make: Function of a replica's part to a dataset of its shares of all global batches. The
            datasets are equally long, and shares can be empty.

    Returns:
        The dataset or distributed dataset; nothing is sharded or batched again.
    """
    count = strategy.num_replicas_in_sync
    made: list[tf.data.Dataset] = []
    # The thread that tunes a pipeline can hold up the end of its iteration for a minute.
    options = tf.data.Options()
    options.autotune.enabled = False

    def of_this_worker(pipeline: tf.distribute.InputContext) -> tf.data.Dataset:
        local = count // pipeline.num_input_pipelines
        first = pipeline.input_pipeline_id * local
        parts = [make(Part(first + replica, count)) for replica in range(local)]
        if local > 1:
            turns = tf.data.Dataset.range(local).repeat()
            parts = [tf.data.Dataset.choose_from_datasets(parts, turns, stop_on_empty_dataset=True)]
        made.append(parts[0].with_options(options))
        return made[0]

    with _equally_long(strategy.extended):
        distributed = strategy.distribute_datasets_from_function(of_this_worker)
    # A worker that trains on its processor needs none of what copies batches to devices.
    on_processor = several_workers(strategy) and "CPU" in strategy.extended.worker_devices[0]
    return made[0] if on_processor else distributed


@contextlib.contextmanager
def _equally_long(extended: Any, flag: str = "experimental_enable_get_next_as_optional"):
    """Spare replicas whose datasets end together asking each other in every step who has ended."""
    before = getattr(extended, flag, None)
    if before is None:
        yield
        return
    setattr(extended, flag, False)
    try:
        yield
    finally:
        setattr(extended, flag, before)


def under_strategy(model: TransferModel, strategy: tf.distribute.Strategy) -> TransferModel:
    """Return the model, or a copy whose variables belong to the strategy.

    Variables cannot change the strategy they were created under, so a model that was built
    outside is copied; `give_back` brings the trained weights home. Of several workers, all
    start with the chief's weights.
    """
    plain = not tf.distribute.has_strategy() and strategy is tf.distribute.get_strategy()
    if not plain and not all(
        strategy.extended.variable_created_in_scope(variable.value) for variable in model.weights
    ):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.keras")
            model.save(path)
            with strategy.scope():
                model = keras.saving.load_model(path, compile=False)
    if several_workers(strategy):
        values = from_chief(strategy, [variable.numpy() for variable in model.variables])
        for variable, value in zip(model.variables, values, strict=True):
            variable.assign(value)
        finalize_normalization(model)
    return model


def give_back(trained: TransferModel, model: TransferModel) -> None:
    """Copy weights and trainable flags from a strategy's copy into the user's model."""
    if trained is model:
        return
    copy_weights(trained, model)
    pairs = zip(flatten_layers(trained), flatten_layers(model), strict=True)
    flags = [(own, copy.trainable) for copy, own in pairs]
    for own, trainable in flags:
        set_own_trainable(own, trainable)
        for variable in own_weights(own):
            variable.trainable = trainable
