"""Applies what objectives draw weights by, beside the optimizer's update."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Objective
from tl_keras.schedules.layerwise import LayerwiseLearningRate


class Pulls:
    """The pulls of all objectives in one stage.

    Args:
        model: What trains, with the stage's `trainable` flags.
        objectives: Whose pulls; each has its objective's weight.
        optimizer: Built for the stage; its learning rate and factors say how far a step goes.
    """

    def __init__(
        self,
        model: TransferModel,
        objectives: Sequence[Objective],
        optimizer: keras.optimizers.Optimizer,
    ):
        self._optimizer = optimizer
        self._pulls = [(one, pull) for one in objectives for pull in one.pulls(model)]
        self._factors = factors_of_optimizer(optimizer)

    def with_gradients(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        """Return the gradients, zeros for variables that nothing but a pull moves."""
        pulled = {id(pull.variable) for _, pull in self._pulls}
        return [
            tf.zeros(variable.shape, variable.dtype)
            if gradient is None and id(variable) in pulled
            else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def changes(self, progress: Any) -> list[tuple[tf.Variable, Any]]:
        """Return (variable, what is added to it) for the values and the learning rate of now.

        Args:
            progress: Share of the stage that has passed.
        """
        if not self._pulls:
            return []
        rate = tf.cast(keras.ops.convert_to_tensor(self._optimizer.learning_rate), tf.float32)
        found = []
        for objective, pull in self._pulls:
            variable = pull.variable
            factor = self._factors.get(variable.path, 1.0)
            amount = rate * factor * tf.cast(objective.weight_at(progress), tf.float32)
            change = pull.change(tf.cast(variable.value, tf.float32), amount)
            found.append((variable.value, tf.cast(change, variable.dtype)))
        return found


def apply_changes(changes: Sequence[tuple[tf.Variable, Any]], applied: Any) -> None:
    """Add to variables what `Pulls.changes` found, on every replica.

    Args:
        changes: (variable, what is added to it).
        applied: bool scalar, whether the optimizer made its update: loss scaling skips some.
    """
    if not changes:
        return
    variables = [variable for variable, _ in changes]
    values = [tf.where(applied, change, tf.zeros_like(change)) for _, change in changes]

    def add(strategy: tf.distribute.Strategy, values: Sequence[Any]) -> None:
        for variable, value in zip(variables, values, strict=True):
            strategy.extended.update(variable, _assign_add, args=(value,), group=False)

    tf.distribute.get_replica_context().merge_call(add, args=(values,))


def factors_of_optimizer(optimizer: keras.optimizers.Optimizer) -> dict[str, float]:
    """Return `variable.path` → factor on the learning rate, for those that have one."""
    while not isinstance(optimizer, LayerwiseLearningRate):
        if not hasattr(optimizer, "inner_optimizer"):
            return {}
        optimizer = optimizer.inner_optimizer
    return optimizer.factors


def update_of(optimizer: keras.optimizers.Optimizer, update: Callable[[], None]) -> Any:
    """Run an optimizer's update, and return whether it was made: loss scaling skips some."""
    before = tf.identity(optimizer.iterations.value)
    update()
    return optimizer.iterations.value > before


def _assign_add(variable: tf.Variable, value: Any) -> None:
    variable.assign_add(value)
