"""Weights of objectives that change while a stage runs."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tl_keras.utils.arguments import is_real, number
from tl_keras.utils.errors import InputError


@dataclasses.dataclass(frozen=True)
class Constant:
    """The same weight all the time.

    Attributes:
        value: The weight, ≥ 0.

    Raises:
        InputError: If it is out of range.
    """

    value: float = 1.0

    def __post_init__(self):
        """Check the value."""
        number(self.value, "value", least=0)

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
        value: Weight at the end (nearly), ≥ 0.
        sharpness: How soon it is reached, > 0; at 10, half of it after a tenth of the stage.

    Raises:
        InputError: If a value is out of range.
    """

    value: float = 1.0
    sharpness: float = 10.0

    def __post_init__(self):
        """Check the values."""
        number(self.value, "value", least=0)
        number(self.sharpness, "sharpness", above=0)

    def __call__(self, progress: Any) -> Any:
        """Return the weight at a progress of 0 … 1."""
        return self.value * (2.0 / (1.0 + tf.exp(-self.sharpness * progress)) - 1.0)


@dataclasses.dataclass(frozen=True)
class Linear:
    """A weight that goes from one value to another in a straight line.

    Attributes:
        start: Weight at the start of the stage, ≥ 0.
        end: Weight at its end, ≥ 0.

    Raises:
        InputError: If a value is out of range.
    """

    start: float
    end: float

    def __post_init__(self):
        """Check the values."""
        number(self.start, "start", least=0)
        number(self.end, "end", least=0)

    def __call__(self, progress: Any) -> Any:
        """Return the weight at a progress of 0 … 1."""
        return self.start + (self.end - self.start) * progress


@dataclasses.dataclass(frozen=True)
class OwnFunction:
    """A user's function of progress, which may branch on it with Python's `if`.

    Attributes:
        function: From progress, 0 … 1, to a weight ≥ 0.
    """

    function: Callable[[Any], Any]

    def __call__(self, progress: Any) -> Any:
        """Return the weight at a progress of 0 … 1."""
        # Steps are traced without AutoGraph, which a tf.function inside them has all the same.
        return tf.function(self.function)(tf.convert_to_tensor(progress, tf.float32))


RISING = Linear(0.0, 1.0)
"""The default of objectives that trust what the network says: at the start it knows nothing yet."""


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
    if is_real(weight) and not isinstance(weight, bool):
        if 0 <= weight < math.inf:
            return Ramp(float(weight)) if ramp else Constant(float(weight))
    elif callable(weight) and not isinstance(weight, type):
        return _tried(weight, argument)
    raise InputError(
        f"{argument}: expected a number ≥ 0 or a function of progress such as "
        f"tl.objectives.Ramp(1.0), got {weight!r}."
    )


def _tried(weight: Callable, argument: str) -> Weight:
    """Return a function of progress that gives one number at the start of a stage."""
    with tf.init_scope():
        try:
            found = tf.convert_to_tensor(weight(tf.constant(0.0)), tf.float32)
        except Exception as error:
            raise InputError(
                f"{argument}: expected a function of the progress of the stage, 0 … 1, such as "
                f"lambda progress: 0.1 * progress, got {weight!r}, which fails at 0: "
                f"{str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}"
            ) from error
    if found.shape.rank != 0:
        raise InputError(
            f"{argument}: expected a function of progress that gives one number, got {weight!r}, "
            f"which gives shape {tuple(found.shape)}."
        )
    return weight if isinstance(weight, (Constant, Ramp, Linear)) else OwnFunction(weight)
