"""Callbacks whose state goes into a run's checkpoints."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from tl_keras.training.keras_callbacks import counts_of, restore_counts


class ResumableCallback(keras.callbacks.Callback):
    """A callback for `fine_tune` that goes on where it was when its run was killed.

    A subclass implements both methods. `state` is asked at every checkpoint; in a resumed run
    `restore_state` gets what it said, after `on_train_begin` and before the first step.

    Attributes:
        networks: Variables of the objectives' own layers, set before `on_train_begin`; they train
            along with the model, so what restores the model's weights has to restore these.
    """

    networks: Sequence[keras.Variable] = ()

    def begin_stage(self) -> None:
        """Hear that a stage begins; the rest of a resumed one is no new stage."""

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that has to survive, as arrays by name."""
        raise NotImplementedError

    def restore_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state` returned."""
        raise NotImplementedError


PREFIX = "callbacks/"


def resumable(callbacks: Sequence[keras.callbacks.Callback]) -> list[ResumableCallback]:
    """Return those of the callbacks that are resumable."""
    return [one for one in callbacks if isinstance(one, ResumableCallback)]


def callback_states(callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, np.ndarray]:
    """Return the arrays of all callbacks that have a state, under names of their own."""
    return {
        f"{place}{name}": values
        for place, callback in _places(callbacks).items()
        for name, values in _state(callback).items()
    }


def restore_callbacks(
    callbacks: Sequence[keras.callbacks.Callback], arrays: Mapping[str, np.ndarray]
) -> None:
    """Give each callback its arrays of a checkpoint; those that are new get none."""
    for place, callback in _places(callbacks).items():
        own = {k.removeprefix(place): v for k, v in arrays.items() if k.startswith(place)}
        if own and isinstance(callback, ResumableCallback):
            callback.restore_state(own)
        else:
            restore_counts(callback, own)


def _state(callback: keras.callbacks.Callback) -> dict[str, np.ndarray]:
    is_own = isinstance(callback, ResumableCallback)
    return callback.state() if is_own else counts_of(callback)


def _places(
    callbacks: Sequence[keras.callbacks.Callback],
) -> dict[str, keras.callbacks.Callback]:
    return {
        f"{PREFIX}{index}-{type(callback).__name__}/": callback
        for index, callback in enumerate(callbacks)
    }
