"""What replicas and workers have in common: values, statistics, and what they are about to do."""

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.schedules.freezing import is_batch_norm
from tl_keras.utils.compat import flatten_layers
from tl_keras.utils.errors import InputError

WORD = np.dtype(np.int64)
LONGEST_VALUE = 200


def several_workers(strategy: tf.distribute.Strategy) -> bool:
    """Return whether other processes take part."""
    return isinstance(
        strategy, tf.distribute.MultiWorkerMirroredStrategy
    ) and strategy.num_replicas_in_sync > len(strategy.extended.worker_devices)


def from_chief(
    strategy: tf.distribute.Strategy, arrays: Sequence[np.ndarray | np.generic]
) -> list[np.ndarray]:
    """Return the chief's arrays, bit for bit, on all workers, which call this together.

    Args:
        strategy: Without several workers, the arrays come back as they are.
        arrays: Numbers; how many, their shapes and types are the same on all workers.
    """
    own = [np.asarray(array) for array in arrays]
    if not several_workers(strategy):
        return own

    # The sum of integers of which all but the chief's are zero changes no bit.
    content = b"".join(array.tobytes() for array in arrays)
    padded = content + bytes(-len(content) % WORD.itemsize)
    shared = _sharing(strategy)(tf.constant(np.frombuffer(padded, WORD))).numpy().tobytes()
    starts = np.cumsum([0] + [array.nbytes for array in arrays])
    return [
        np.frombuffer(shared, array.dtype, array.size, start).reshape(array.shape)
        for array, start in zip(arrays, starts, strict=False)
    ]


@functools.cache
def _sharing(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the compiled function from a vector of every worker to the chief's."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)
    def share(words):
        def of_replica(words):
            context = tf.distribute.get_replica_context()
            first = tf.equal(context.replica_id_in_sync_group, 0)
            own = tf.where(first, words, tf.zeros_like(words))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, own)

        return strategy.experimental_local_results(strategy.run(of_replica, args=(words,)))[0]

    return share


def check_agreement(strategy: tf.distribute.Strategy, facts: Mapping[str, Any]) -> None:
    """Compare what a worker is about to do with what the chief is.

    Workers that do not agree would wait for each other for ever, or train on wrong shares.

    Args:
        strategy: Without several workers, nothing is compared.
        facts: Name → value whose `repr` is the same on all workers.

    Raises:
        InputError: On the workers that differ from the chief; says in which facts.
    """
    digests = [hashlib.sha256(repr(value).encode()).digest()[:8] for value in facts.values()]
    own = np.array([int.from_bytes(digest, "big") >> 1 for digest in digests], np.int64)
    (chief,) = from_chief(strategy, [own])
    differ = [name for name, a, b in zip(facts, own, chief, strict=True) if a != b]
    if differ:
        what = ", ".join(f"{name} = {repr(facts[name])[:LONGEST_VALUE]}" for name in differ)
        raise InputError(
            f"{', '.join(differ)}: not the same as in worker 0, got {what} here. Start all workers "
            "with the same command, data and run directory."
        )


@contextlib.contextmanager
def shared_statistics(model: keras.Model, strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Let BatchNorm layers that are updated see the batches of all replicas as one.

    A step that is traced inside the block then trains as one device does, and the moving
    statistics are the same on all replicas and workers.

    Args:
        model: The layers concerned are those that are trainable.
        strategy: With one replica, nothing changes.
    """
    layers = [
        layer
        for layer in flatten_layers(model)
        if is_batch_norm(layer) and layer.trainable and not layer.synchronized
    ]
    if strategy.num_replicas_in_sync == 1:
        layers = []
    for layer in layers:
        layer.synchronized = True
    try:
        yield
    finally:
        for layer in layers:
            layer.synchronized = False
