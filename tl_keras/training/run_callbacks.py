"""All callbacks of a run: the user's, those that show progress, and what they decide."""

import sys

import keras

from tl_keras.training.keras_callbacks import (
    Counts,
    LastLogs,
    called,
    criterion_of,
    read_every_batch,
    settle_modes,
)
from tl_keras.training.plan import RunPlan
from tl_keras.training.progress_lines import EpochLines
from tl_keras.training.resumable_callback import resumable
from tl_keras.utils.terminal import can_redraw


class RunCallbacks:
    """The callbacks of a run.

    Args:
        plan: Of the run; its model is the one that trains.

    Attributes:
        hooks: What is called, as in `fit`.
        criterion: What decides the best epoch.
        has_best: Whether something tells the best epoch.
        last_logs: The last callback, which keeps what the others added to an epoch's logs.
        reads_every_batch: Whether each batch needs logs of its own.
    """

    def __init__(self, plan: RunPlan):
        own, verbose = plan.settings.callbacks, plan.settings.verbose
        self.criterion = criterion_of(own)
        self.has_best = plan.validation is not None or self.criterion.asked
        self.last_logs = LastLogs()
        self.reads_every_batch = read_every_batch(own)
        epochs = sum(stage.epochs for stage in plan.stages)
        has_bar = verbose and can_redraw(sys.stdout)
        lines = [EpochLines(epochs)] if verbose and not has_bar else []
        self.hooks = keras.callbacks.CallbackList(
            [*called(own), *lines, self.last_logs],
            add_progbar=has_bar,
            model=plan.model,
            epochs=epochs,
            steps=plan.steps,
            verbose=int(verbose),
        )
        settle_modes(own, [one.name for one in plan.objectives])
        self._own = own
        self._counts: Counts | None = None

    @property
    def have_begun(self) -> bool:
        """Whether `begin` was called."""
        return self._counts is not None

    def begin(self) -> None:
        """Let all of them begin."""
        self.hooks.on_train_begin()
        self._counts = Counts(self._own)

    def begin_stage(self) -> None:
        """Give those with patience a fresh start, and tell those that resume."""
        assert self._counts is not None  # `begin` comes first.
        self._counts.begin_stage()
        for callback in resumable(self._own):
            callback.begin_stage()

    def end(self) -> None:
        """Let all of them end; where no stage was left to run, they begin first."""
        if not self.have_begun:
            self.hooks.on_train_begin()
        self.hooks.on_train_end(self.last_logs.values)
