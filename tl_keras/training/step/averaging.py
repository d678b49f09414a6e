"""Exponential moving average of the weights that change in a stage."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives.self_training.mean_teacher import average_momentum
from tl_keras.utils.compat import flatten_layers, own_statistics


class WeightAverage:
    """The moving average of variables: `m·average + (1 − m)·weight` after every update.

    `m` rises to the momentum, see `average_momentum`, so that the weights that the stage began with
    are soon forgotten. It begins with them.

    Args:
        variables: Of floating point; see `changing_variables`.
        momentum: What m rises to, between 0 and 1.
    """

    def __init__(self, variables: Sequence[keras.Variable], momentum: float):
        self._variables = tuple(variables)
        self._momentum = momentum
        self._averages = [
            keras.Variable(
                variable.numpy(),
                trainable=False,
                dtype=variable.dtype,
                aggregation="only_first_replica",
                name=f"average_{index:05}",
            )
            for index, variable in enumerate(self._variables)
        ]
        self._updates = keras.Variable(
            0.0, trainable=False, aggregation="only_first_replica", name="average_updates"
        )

    @property
    def state(self) -> list[keras.Variable]:
        """The averages and the number of updates, which checkpoints keep."""
        return [*self._averages, self._updates]

    def update(self, made: Any) -> None:
        """Let the averages follow, on every replica alike.

        Args:
            made: bool scalar, whether the weights were updated: loss scaling skips some steps.
        """
        made = tf.cast(made, tf.float32)
        share = made * (1.0 - average_momentum(self._updates.value, self._momentum))
        for variable, average in zip(self._variables, self._averages, strict=True):
            step = tf.cast(share, average.dtype) * (variable.value - average.value)
            average.assign(average.value + step)
        self._updates.assign_add(made)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the variables their averages inside the `with` block, and restore them after."""
        raw = [variable.numpy() for variable in self._variables]
        self.finish()
        try:
            yield
        finally:
            for variable, value in zip(self._variables, raw, strict=True):
                variable.assign(value)

    def finish(self) -> None:
        """Give the variables their averages for good, at the end of a stage."""
        for variable, average in zip(self._variables, self._averages, strict=True):
            variable.assign(average.numpy())


def changing_variables(
    model: TransferModel, trained: Sequence[keras.Variable]
) -> list[keras.Variable]:
    """Return what a stage changes: what it trains, and the statistics of layers that train.

    A BatchNorm layer that updates its statistics does so for the weights of the moment; averaged
    weights go with averaged statistics.

    Args:
        model: With the stage's `trainable` flags.
        trained: What the optimizer trains, of the model and of objectives.
    """
    known = {id(variable) for variable in trained}
    statistics = [
        variable
        for layer in flatten_layers(model)
        if layer.trainable
        for variable in own_statistics(layer)
        if tf.as_dtype(variable.dtype).is_floating and id(variable) not in known
    ]
    return [*trained, *{id(one): one for one in statistics}.values()]
