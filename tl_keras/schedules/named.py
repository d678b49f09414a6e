"""The schedules that have names. Each is a function to a tuple of stages."""

from collections.abc import Iterable
from typing import Any

from tl_keras.schedules.hyperrules import auto
from tl_keras.schedules.stage import Stage
from tl_keras.utils.arguments import number
from tl_keras.utils.errors import InputError, did_you_mean


def feature_extraction(epochs: int = 30, *, learning_rate: float = 1e-3) -> tuple[Stage, ...]:
    """Train the head on a frozen backbone: the least data, the least time, no forgetting.

    Args:
        epochs: Epochs of the one stage.
        learning_rate: Its peak learning rate.

    Returns:
        The stage.
    """
    return (Stage(epochs, unfreeze=0, learning_rate=learning_rate),)


def full_fine_tuning(
    epochs: int = 10, *, learning_rate: float = 3e-4, warmup: float = 0.1
) -> tuple[Stage, ...]:
    """Train everything at once after a warm-up; BatchNorm statistics stay frozen.

    Args:
        epochs: Epochs of the one stage.
        learning_rate: Its peak learning rate.
        warmup: Share of the steps in which the learning rate rises, from 0 to below 1.

    Returns:
        The stage.
    """
    return (Stage(epochs, unfreeze="all", learning_rate=learning_rate, warmup=warmup),)


def two_stage(
    head_epochs: int = 10,
    epochs: int = 8,
    *,
    unfreeze: int | float | str = "all",
    head_learning_rate: float = 1e-3,
    learning_rate: float = 3e-4,
) -> tuple[Stage, ...]:
    """Train the head first, so that its random gradients do not reach the backbone; then more.

    Augmentation begins with the second stage: the head learns from features computed once.

    Args:
        head_epochs: Epochs of the head alone.
        epochs: Epochs with the blocks that `unfreeze` names.
        unfreeze: As in `Stage`.
        head_learning_rate: Peak learning rate of the first stage.
        learning_rate: Peak learning rate of the second stage.

    Returns:
        The two stages.
    """
    return (
        Stage(head_epochs, unfreeze=0, learning_rate=head_learning_rate, augment=False),
        Stage(epochs, unfreeze=unfreeze, learning_rate=learning_rate, warmup=0.1),
    )


def gradual_unfreezing(
    shares: tuple[float, ...] = (0.25, 0.5, 1.0),
    *,
    head_epochs: int = 5,
    epochs: int = 3,
    learning_rate: float = 3e-4,
    factor: float = 0.5,
) -> tuple[Stage, ...]:
    """Unfreeze from the top in steps, each with a smaller learning rate than the one before.

    Augmentation begins with the first step after the head.

    Howard, Ruder: *Universal Language Model Fine-tuning for Text Classification*, ACL 2018.

    Args:
        shares: Shares of the blocks that train in the steps after the head, rising, from above 0
            to 1.
        head_epochs: Epochs of the head alone.
        epochs: Epochs of each step.
        learning_rate: Peak learning rate of the first step.
        factor: What the learning rate is multiplied by from step to step, > 0.

    Returns:
        The stage of the head, and one for each share.

    Raises:
        InputError: If an argument is out of range.
    """
    rising = _checked_shares(shares)
    learning_rate = number(learning_rate, "learning_rate", above=0)
    factor = number(factor, "factor", above=0)
    steps = tuple(
        Stage(
            epochs,
            unfreeze="all" if share == 1 else share,
            learning_rate=learning_rate * factor**index,
            warmup=0.1,
        )
        for index, share in enumerate(rising)
    )
    return (Stage(head_epochs, unfreeze=0, augment=False), *steps)


def _checked_shares(shares: Any) -> list[float]:
    several = isinstance(shares, Iterable) and not isinstance(shares, str)
    found = [number(share, "shares") for share in shares] if several else []
    if not found or found != sorted(set(found)) or not 0 < found[0] <= found[-1] <= 1:
        raise InputError(
            f"shares: expected rising shares from above 0 to 1, such as (0.5, 1.0), got {shares!r}."
        )
    return found


NAMED_SCHEDULES = {
    "feature_extraction": feature_extraction,
    "full_fine_tuning": full_fine_tuning,
    "two_stage": two_stage,
    "gradual_unfreezing": gradual_unfreezing,
}


def resolve_schedule(schedule: Any, *, num_examples: int, batch_size: int) -> tuple[Stage, ...]:
    """Return the stages that a schedule stands for.

    Args:
        schedule: `"auto"`, the name of a schedule, a `Stage`, or several.
        num_examples: Number of training examples, which `"auto"` decides by.
        batch_size: Examples per update.

    Raises:
        InputError: If the name is unknown or there are no stages.
    """
    if schedule == "auto":
        return auto(num_examples, batch_size=batch_size)
    if isinstance(schedule, str) and schedule in NAMED_SCHEDULES:
        return NAMED_SCHEDULES[schedule]()
    if isinstance(schedule, Stage):
        return (schedule,)
    several = schedule if isinstance(schedule, (tuple, list)) else ()
    if several and all(isinstance(stage, Stage) for stage in several):
        return tuple(several)
    names = ("auto", *NAMED_SCHEDULES)
    raise InputError(
        f"schedule: expected one of {names}, a tl.Stage or a tuple of stages, got {schedule!r}."
        + (did_you_mean(schedule, names) if isinstance(schedule, str) else "")
    )
