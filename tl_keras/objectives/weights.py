"""Weights of objectives that change while a stage runs."""

import dataclasses
import math
import numbers
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tl_keras.errors import InputError


@dataclasses.dataclass(frozen=True)
class Constant:
    """The same weight all the time.

    Attributes:
        value: The weight.
    """

    value: float = 1.0

    def __call__(self, progress: Any) -> Any:
        """Return the weight.

        Args:
            progress: Share of the stage that has passed, 0 … 1.
        """
        return tf.constant(self.value, tf.float32)


@dataclasses.dataclass(frozen=True)
class Ramp:
    """A weight that rises from 0: `value · (2 / (1 + exp(−sharpness · progress)) − 1)`.

    At the start of an adaptation the features and the classifier are not yet worth aligning. Ganin
    and Lempitsky, *Unsupervised Domain Adaptation by Backpropagation*, ICML 2015.

    Attributes:
        value: Weight at the end (nearly).
        sharpness: How soon it is reached; at 10, half of it after a tenth of the stage.
    """

    value: float = 1.0
    sharpness: float = 10.0

    def __call__(self, progress: Any) -> Any:
        """Return the weight at a progress of 0 … 1."""
        return self.value * (2.0 / (1.0 + tf.exp(-self.sharpness * progress)) - 1.0)


@dataclasses.dataclass(frozen=True)
class Linear:
    """A weight that goes from one value to another in a straight line.

    Attributes:
        start: Weight at the start of the stage.
        end: Weight at its end.
    """

    start: float
    end: float

    def __call__(self, progress: Any) -> Any:
        """Return the weight at a progress of 0 … 1."""
        return self.start + (self.end - self.start) * progress


Weight = Callable[[Any], Any]


def resolve_weight(weight: Any, argument: str, *, ramp: bool = False) -> Weight:
    """Return a weight as a function of progress.

    Args:
        weight: A number ≥ 0, or a function of progress such as `Ramp(0.5)` or `Linear(1, 0)`.
        argument: Name that errors use.
        ramp: Whether a number stands for `Ramp(number)`, not for `Constant(number)`.

    Raises:
        InputError: If it is neither.
    """
    if isinstance(weight, numbers.Real) and not isinstance(weight, bool):
        if 0 <= weight < math.inf:
            return Ramp(float(weight)) if ramp else Constant(float(weight))
    elif callable(weight):
        return weight
    raise InputError(
        f"{argument}: expected a number ≥ 0 or a function of progress such as "
        f"tl.objectives.Ramp(1.0), got {weight!r}."
    )
