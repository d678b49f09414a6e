"""When `early_stopping="auto"` ends stages early."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import keras

from tl_keras.objectives import Objective
from tl_keras.schedules import Stage
from tl_keras.training.plan import Settings
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError


def resolve_early_stopping(early_stopping: Any) -> int | Literal["auto"] | None:
    """Return a number of epochs, `"auto"` or None, or raise `InputError` for anything else."""
    if early_stopping is None or (isinstance(early_stopping, str) and early_stopping == "auto"):
        return early_stopping
    if isinstance(early_stopping, str):
        raise InputError(
            f"early_stopping: expected 'auto', a number of epochs or None, got {early_stopping!r}."
        )
    return whole(early_stopping, "early_stopping")


def with_early_stopping(
    settings: Settings,
    stages: Sequence[Stage],
    chosen: Sequence[Stage],
    objectives: Sequence[Objective],
    *,
    has_validation: bool,
) -> Settings:
    """Return the settings with `early_stopping="auto"` only where it has something to decide.

    Args:
        settings: The run's.
        stages: Its schedule.
        chosen: The schedule that `"auto"` stands for with this data.
        objectives: What is minimised.
        has_validation: Whether there is validation data.
    """
    if settings.early_stopping != "auto":
        return settings
    lengths = [
        [(stage.epochs, stage.unfreeze, stage.augment) for stage in several]
        for several in (stages, chosen)
    ]
    is_ours = lengths[0] == lengths[1] and None not in [one.learning_rate for one in stages]
    stops_anyway = any(
        isinstance(callback, keras.callbacks.EarlyStopping) for callback in settings.callbacks
    )
    measures = has_validation and any(one.validates for one in objectives)
    if is_ours and measures and not stops_anyway:
        return settings
    return dataclasses.replace(settings, early_stopping=None)
