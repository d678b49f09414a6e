"""What Keras' own callbacks need around them, and what several stages mean to them."""

import dataclasses
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np

from tl_keras.schedules import Stage
from tl_keras.utils.compat import decide, is_undecided, metric_direction
from tl_keras.utils.errors import InputError

Callbacks = Sequence[keras.callbacks.Callback]

_COUNTS = ("wait", "best", "best_epoch", "cooldown_counter")
_SMALLER, _LARGER = "min", "max"


@dataclasses.dataclass(frozen=True)
class Criterion:
    """What decides which epoch is the best.

    Attributes:
        name: Key of an epoch's logs.
        sign: 1 where small values are good, −1 where large ones are.
        min_delta: By how much a better epoch has to be better.
        first_epoch: Epochs before it, counted from 0, are not looked at.
        asked: Whether a callback asks for the weights of that epoch.
    """

    name: str = "val_loss"
    sign: int = 1
    min_delta: float = 0.0
    first_epoch: int = 0
    asked: bool = False

    def value(self, logs: Mapping[str, float], epoch: int) -> float:
        """Return what is to become small; infinite where it is not there."""
        if epoch < self.first_epoch:
            return math.inf
        return self.sign * logs.get(self.name, self.sign * math.inf)


class LastLogs(keras.callbacks.Callback):
    """Keeps an epoch's logs with what the callbacks before this one added to them."""

    def __init__(self):
        super().__init__()
        self.values: dict[str, float] = {}

    def on_epoch_end(self, epoch, logs=None):
        """Keep all numbers."""
        logs = logs or {}
        self.values = {k: float(v) for k, v in logs.items() if isinstance(v, numbers.Real)}


def check_callbacks(callbacks: Callbacks, stages: Sequence[Stage]) -> None:
    """Refuse callbacks that a schedule gives nothing to work with.

    Raises:
        InputError: Says which, and what does the same.
    """
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore) and len(stages) > 1:
            raise InputError(
                "callbacks: BackupAndRestore stores no stage, so that a schedule of several cannot "
                "be resumed from it. Use output='some/directory', which resumes any schedule."
            )
        without = [stage.name for stage in stages if stage.ema_momentum is None]
        if isinstance(callback, keras.callbacks.SwapEMAWeights) and without:
            raise InputError(
                f"callbacks: SwapEMAWeights needs a moving average, and stage {without[0]!r} keeps "
                "none. Set Stage(…, ema_momentum=0.99); validation then measures it by itself."
            )


def called(callbacks: Callbacks) -> list[keras.callbacks.Callback]:
    """Return those to call: a stage with `ema_momentum` does what SwapEMAWeights would undo."""
    return [one for one in callbacks if not isinstance(one, keras.callbacks.SwapEMAWeights)]


def read_every_batch(callbacks: Callbacks) -> bool:
    """Return whether a callback looks at batches, so that each needs logs of its own."""
    return any(
        _is_own(one, "on_train_batch_end") or _is_own(one, "on_batch_end")
        for one in callbacks
        if not isinstance(one, keras.callbacks.ProgbarLogger)
        and "epoch" not in (getattr(one, "save_freq", 0), getattr(one, "update_freq", 0))
    )


def settle_modes(callbacks: Callbacks, losses: Iterable[str]) -> None:
    """Tell callbacks with `mode="auto"` whether their value is to become small or large.

    Keras looks that up in the metrics of a compiled model, and fails where there are none.

    Args:
        callbacks: Those that monitor nothing, or know their direction, are left alone.
        losses: Names of the objectives, under which their losses are logged.
    """
    for callback in _undecided(callbacks):
        mode = direction_of(callback.monitor, losses)
        if mode is None:
            callback.monitor_op = _refusal(callback)
            continue
        decide(callback, mode)


def direction_of(name: str, losses: Iterable[str] = ()) -> Literal["min", "max"] | None:
    """Return whether small or large values of a logged quantity are good; None if unknown.

    Args:
        name: Such as `"val_loss"`, `"target_accuracy"` or the name of a Keras metric.
        losses: Further names of losses.
    """
    name = name.removeprefix("val_")
    if name.endswith("loss") or name in losses or name.split("_")[-1] == "mae":
        return _SMALLER
    if name.split("_")[-1] == "accuracy":
        return _LARGER
    try:
        metric = keras.metrics.get(name)
        metric = metric() if isinstance(metric, type) else metric
    except (TypeError, ValueError):
        return None
    direction = metric_direction(metric)
    if direction == "up":
        return _LARGER
    return _SMALLER if direction == "down" else None


def criterion_of(callbacks: Callbacks) -> Criterion:
    """Return what decides the best epoch: what a callback restores by, else the validation loss.

    The last `EarlyStopping(restore_best_weights=True)` decides, as its word is the last in Keras.
    """
    for callback in reversed(callbacks):
        if getattr(callback, "restore_best_weights", False) and hasattr(callback, "monitor"):
            mode = callback.mode
            if mode == "auto":
                mode = direction_of(callback.monitor)
            return Criterion(
                callback.monitor,
                -1 if mode == _LARGER else 1,
                abs(callback.min_delta),
                getattr(callback, "start_from_epoch", 0),
                asked=True,
            )
    return Criterion()


class Counts:
    """Gives callbacks with patience a fresh start in every stage.

    Those are the ones with the attributes `patience` and `wait`. A ModelCheckpoint has no patience:
    its best value is that of the whole run, so that no later stage overwrites a better file.

    Args:
        callbacks: After `on_train_begin`.
    """

    def __init__(self, callbacks: Callbacks):
        self._starts = [
            (one, {k: vars(one)[k] for k in (*_COUNTS, "best_weights") if k in vars(one)})
            for one in callbacks
            if hasattr(one, "patience") and hasattr(one, "wait")
        ]

    def begin_stage(self) -> None:
        """Set counts and best values to what they were before the first epoch."""
        for callback, start in self._starts:
            vars(callback).update(start)


def counts_of(callback: keras.callbacks.Callback) -> dict[str, np.ndarray]:
    """Return best value and counts of a callback that monitors something, to be saved."""
    if not hasattr(callback, "monitor"):
        return {}
    found = {name: getattr(callback, name, None) for name in _COUNTS}
    return {k: np.asarray(v, float) for k, v in found.items() if isinstance(v, numbers.Real)}


def restore_counts(callback: keras.callbacks.Callback, counts: Mapping[str, np.ndarray]) -> None:
    """Set what `counts_of` returned."""
    for name, value in counts.items():
        setattr(callback, name, float(value) if name == "best" else int(value))


def _is_own(callback: keras.callbacks.Callback, hook: str) -> bool:
    """Return whether a callback does something where Keras' base class does nothing."""
    function = getattr(getattr(callback, hook), "__func__", None)
    return function is not getattr(keras.callbacks.Callback, hook)


def _undecided(callbacks: Callbacks) -> list[Any]:
    return [one for one in callbacks if is_undecided(one)]


def _refusal(callback: Any):
    """Return a comparison that asks for the mode; it is called only where the value was logged."""

    def compare(*_):
        raise InputError(
            f"callbacks: {type(callback).__name__}(monitor={callback.monitor!r}) cannot tell "
            "whether small or large values are good. Pass mode='min' or mode='max'."
        )

    return compare
