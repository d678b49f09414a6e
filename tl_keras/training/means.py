"""Running means of losses and metrics, and the check that they are numbers."""

import math
from typing import Any

import tensorflow as tf

from tl_keras.errors import InputError


class Means:
    """Means over an epoch, weighted by the examples of each batch; read when somebody looks."""

    def __init__(self):
        self._sums: dict[str, Any] = {}
        self._count: Any = 0.0

    def add(self, means: dict[str, tf.Tensor], count: tf.Tensor) -> None:
        """Add the means over a batch of `count` examples; nothing is waited for."""
        for name, value in means.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * count
        self._count = self._count + count

    def read(self) -> dict[str, float]:
        """Return the means over everything added so far."""
        return {name: float(value / self._count) for name, value in self._sums.items()}


def check_finite(logs: dict[str, float], step: int) -> None:
    """Raise `InputError` where the loss is NaN or infinite; `step` counts from 0."""
    if not math.isfinite(logs["loss"]):
        raise InputError(
            f"training: the loss became {logs['loss']} at or before step {step + 1} of the epoch. "
            "Lower the stage's learning_rate, look for extreme values in the data, or train in "
            "float32. Given validation data, the model keeps its best weights so far."
        )
