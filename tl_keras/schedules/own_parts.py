"""Optimizers and learning rates that a user brings to a stage: how they are read and copied."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeGuard

import keras

from tl_keras.utils.errors import InputError

Schedule: TypeAlias = keras.optimizers.schedules.LearningRateSchedule
OwnRate: TypeAlias = Schedule | Callable[[int], float]
"""A function of the step, or a function of the epoch, from 0."""

Rate: TypeAlias = float | OwnRate
"""A peak, or a course of its own."""

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
_LOOKED_AT = (0, *(10**power for power in range(7)))
"""Steps at which a schedule is asked for its largest rate."""


def is_own_rate(rate: Any) -> TypeGuard[OwnRate]:
    """Return whether a learning rate has a course of its own, which no stage changes."""
    return isinstance(rate, Schedule) or (callable(rate) and not isinstance(rate, type))


def check_optimizer(optimizer: keras.optimizers.Optimizer) -> None:
    """Raise `InputError` where an optimizer does by itself what a stage does."""
    if hasattr(optimizer, "inner_optimizer") or hasattr(optimizer, "optimizers"):
        raise InputError(
            f"optimizer: expected one that wraps no other, got a {type(optimizer).__name__}. Give "
            "the optimizer inside; losses are scaled where layers compute in float16, and "
            "layer_decay and learning_rates give layers rates of their own."
        )
    config = optimizer.get_config()
    if config.get("use_ema"):
        raise InputError(
            "optimizer: with use_ema=True it would keep an average that nothing measures. Use "
            "tl.Stage(…, ema_momentum=0.99) instead."
        )
    if (config.get("gradient_accumulation_steps") or 1) > 1:
        raise InputError(
            "optimizer: with gradient_accumulation_steps most updates of the stage would be left "
            "out. Use tl.Stage(…, accumulation=…), which cuts batches into slices."
        )


def own_rate(optimizer: keras.optimizers.Optimizer) -> float | Schedule:
    """Return the learning rate that an optimizer was made with."""
    rate = optimizer.get_config()["learning_rate"]
    if not isinstance(rate, dict):
        return float(rate)
    try:
        return keras.saving.deserialize_keras_object(rate)
    except (TypeError, ValueError) as error:
        raise InputError(
            "optimizer: its learning rate cannot be copied. Pass the rate to the stage instead, "
            f"tl.Stage(…, learning_rate=…), or register its class with Keras ({error})."
        ) from error


def own_decay(optimizer: keras.optimizers.Optimizer) -> float:
    """Return the weight decay that an optimizer was made with."""
    return float(optimizer.get_config().get("weight_decay") or 0.0)


def clips(optimizer: Any) -> bool:
    """Return whether an optimizer that a user brought clips gradients by itself."""
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return False
    config = optimizer.get_config()
    return any(config.get(name) is not None for name in _CLIPS)


def copy_of(
    optimizer: keras.optimizers.Optimizer, rate: float | Schedule, global_clipnorm: float | None
) -> keras.optimizers.Optimizer:
    """Return a new optimizer of the same configuration, with another learning rate.

    Args:
        optimizer: Stays as it is, built or not; its slots are not copied.
        rate: Of the copy.
        global_clipnorm: Longest gradient, or None to leave the optimizer's own.
    """
    config = optimizer.get_config() | {"learning_rate": rate}
    if global_clipnorm is not None:
        config["global_clipnorm"] = global_clipnorm
    return type(optimizer).from_config(config)


def rates_of(function: Callable[[int], Any], epochs: int) -> list[float]:
    """Return what a function of the epoch gives for all epochs of a stage.

    Raises:
        InputError: If it is not a number ≥ 0 in each.
    """
    rates = []
    for epoch in range(epochs):
        try:
            rate = float(function(epoch))
        except Exception as error:
            raise InputError(
                "learning_rate: expected a function of the epoch, from 0, that gives a number; in "
                f"epoch {epoch} it failed: {error}"
            ) from error
        if not 0 <= rate < math.inf:
            raise InputError(
                f"learning_rate: expected a function of the epoch, from 0, that gives numbers ≥ 0, "
                f"got {rate} in epoch {epoch}."
            )
        rates.append(rate)
    return rates


def peak_of(rate: Rate, epochs: int) -> float:
    """Return the largest learning rate of a stage; of a schedule, of some of its steps."""
    if isinstance(rate, (int, float)):
        return float(rate)
    if isinstance(rate, Schedule):
        return max(float(rate(step)) for step in _LOOKED_AT)
    return max(rates_of(rate, epochs))


def course_of(rate: OwnRate, epochs: int, total_steps: int) -> float | Schedule:
    """Return what an optimizer takes for a learning rate with a course of its own.

    Args:
        rate: A function of the step, or of the epoch.
        epochs: Of the stage.
        total_steps: Of the stage.
    """
    if isinstance(rate, Schedule):
        return rate
    rates = rates_of(rate, epochs)
    steps = total_steps // epochs
    boundaries = [steps * epoch - 1 for epoch in range(1, epochs)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


def described(part: Any, epochs: int) -> Any:
    """Return an optimizer or a learning rate as JSON; what a number or a name is stays it."""
    if isinstance(part, (keras.optimizers.Optimizer, Schedule)):
        config = {k: v for k, v in part.get_config().items() if k != "name"}
        return {"class": f"{type(part).__module__}.{type(part).__qualname__}", "config": config}
    return rates_of(part, epochs) if callable(part) else part
