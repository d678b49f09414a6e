"""The epochs of one stage: steps, validation, callbacks, and when to stop."""

import contextlib
import math
import time
from typing import Any

import numpy as np

from tl_keras.data import Epochs
from tl_keras.data.read_errors import SameCount, next_batch
from tl_keras.tasks.targets import TargetSpec
from tl_keras.training.distributed.agreement import from_chief, several_workers
from tl_keras.training.finite import check_loss
from tl_keras.training.interrupts import StopAsked, StopSignals
from tl_keras.training.plan import RunPlan
from tl_keras.training.progress_lines import Pace, time_line
from tl_keras.training.run_callbacks import RunCallbacks
from tl_keras.training.runs.state import TrainingState
from tl_keras.training.stage_data import StageData
from tl_keras.training.stage_validation import StageValidation
from tl_keras.training.step.means import Totals
from tl_keras.training.step.optimizers import last_learning_rate
from tl_keras.training.step.step_errors import readable_branches, warn_of_idle
from tl_keras.training.step.train_step import make_train_step
from tl_keras.utils.errors import counted, warn_user

SECONDS_BETWEEN_READINGS = 0.25


class StageEpochs:
    """Runs what is left of one stage.

    Args:
        plan: Of the run.
        number: Of the stage, from 0; freezing has been applied and its optimizer built.
        state: Where the run stands.
        data: What the stage reads.
        callbacks: The run's.
        signals: Says whether the run was asked to stop.
        held_out_count: Compares how many examples each validation has, over all stages.
    """

    def __init__(
        self,
        plan: RunPlan,
        number: int,
        state: TrainingState,
        data: StageData,
        callbacks: RunCallbacks,
        signals: StopSignals,
        held_out_count: SameCount,
    ):
        self.plan, self.stage, self.state = plan, plan.stages[number], state
        self.settings, self.steps = plan.settings, plan.steps
        self.callbacks, self.hooks, self.signals = callbacks, callbacks.hooks, signals
        self.watches = all(one.validates for one in plan.objectives)
        self.later, self.pace, self.has_stepped = len(plan.stages) - number - 1, Pace(), False
        self.patience = plan.settings.patience(self.stage)
        self.validation = None
        if data.validation is not None:
            self.validation = StageValidation(plan, data, callbacks, signals, held_out_count)
        self.with_others = several_workers(plan.strategy)
        progress = state.progress
        self.last = progress.stage_starts[-1] + self.stage.epochs
        left = self.last - progress.epoch
        batches = data.train(Epochs(plan.settings.seed, progress.epoch, left, progress.step))
        self.element_spec = batches.element_spec
        with plan.strategy.scope():
            self.step = make_train_step(
                plan,
                number,
                state.optimizer,
                self.element_spec,
                forward=data.forward,
                teachers=data.teachers,
                average=state.average,
            )
        self.batches = iter(batches)

    def run(self) -> bool:
        """Run the epochs and return whether the stage ended early and the best weights are next.

        Raises:
            StopAsked: If the run was asked to stop; the state is that after a whole step.
        """
        progress, patience = self.state.progress, self.patience
        self.plan.model.stop_training = False
        while progress.epoch < self.last:
            started, before = time.perf_counter(), progress.step
            self._begin_epoch(progress.epoch)
            logs = self._train()
            self._end_epoch(logs, started, before)
            if self._callback_stops():
                self.settings.say("a callback ended the stage")
                return self.callbacks.criterion.asked
            if patience is not None and progress.epochs_without_gain() >= patience:
                self.settings.say(
                    f"no better validation loss for {counted(patience, 'epoch')}: the stage ends"
                )
                return True
            if not self.with_others:
                self.signals.check()
        return False

    def check_loss(self) -> None:
        """Raise `InputError` if a loss of the running epoch was NaN or infinite."""
        progress, totals = self.state.progress, self.state.totals
        bad = totals.first_bad_step()
        if bad is not None:
            loss = totals.means(progress.names)["loss"]
            size, seed = self.settings.batch_size, self.settings.seed
            check_loss(bad, loss, self.plan.train, size, progress.epoch, seed)

    def _end_epoch(self, logs: dict[str, float], started: float, before: int) -> None:
        """Validate, let callbacks look, and keep what was measured, and the weights if they gain.

        Args:
            logs: Means over the epoch.
            started: When it began.
            before: Steps of it that another process had done.
        """
        state, progress, callbacks = self.state, self.state.progress, self.callbacks
        epoch = progress.epoch
        if self.watches:
            self._warn_of_lost_range(logs["loss"])
        with state.average.in_place() if state.average else contextlib.nullcontext():
            if self.validation is not None:
                logs |= self.validation.run()
            logs["learning_rate"] = last_learning_rate(
                state.optimizer, self.stage, self.plan.steps_of(self.stage)
            )
            self.hooks.on_epoch_end(epoch, logs)
            # Keras' own callbacks write the rate of the update to come.
            seconds = time.perf_counter() - started
            own = {"learning_rate": logs["learning_rate"], "seconds": seconds}
            steps_done = progress.step - before
            better = progress.record(callbacks.last_logs.values | own, callbacks.criterion)
            if better or not callbacks.has_best:
                state.kept.keep(epoch, write=better)
        state.totals = Totals.zero()
        self._say_time(seconds, steps_done)

    def _say_time(self, seconds: float, steps_done: int) -> None:
        """Say once in a stage how long it will take, or the run in its last stage."""
        progress, left = self.state.progress, self.last - self.state.progress.epoch
        pace = self.pace.of_epoch(seconds, steps_done, self.steps) if left else None
        if pace is not None:
            before = sum(progress.history["seconds"])
            early = self.patience is not None
            self.settings.say(time_line(before, pace * left, self.later, may_end_early=early))

    def _warn_of_lost_range(self, loss: float) -> None:
        """Say once in a stage that its loss is far above where it started."""
        progress, targets = self.state.progress, self.plan.model.targets
        starts = [progress.start_loss, *progress.history.get("loss", [])[-1:]]
        if isinstance(targets, TargetSpec) and targets.task.one_class:
            starts.append(math.log(targets.size) if progress.stage == 0 else 0.0)
        start = max(starts)
        if not loss > 1.5 * start + 0.25:
            return
        progress.start_loss = math.inf
        warn_user(
            f"the loss of stage {self.stage.name!r} rose from {start:.3g} to {loss:.3g}: its "
            f"learning rate {self.stage.head_rate:.2g} is probably too large. Try learning_rate="
            f"{self.stage.head_rate / 10:.0e}, warmup=0.1, or what "
            "tl.find_learning_rate suggests."
        )

    def _begin_epoch(self, epoch: int) -> None:
        """Let callbacks begin; a resumed epoch keeps the learning rate that they set before."""
        optimizer = self.state.optimizer
        is_resumed, rate = self.state.progress.step > 0, optimizer.learning_rate
        rate = float(rate.numpy()) if hasattr(rate, "assign") else None
        self.hooks.on_epoch_begin(epoch)
        if is_resumed and rate is not None:
            optimizer.learning_rate = rate

    def _train(self) -> dict[str, float]:
        state, progress = self.state, self.state.progress
        read_at, logs = 0.0, None
        while progress.step < self.steps:
            self.hooks.on_train_batch_begin(progress.step)
            stop = self.signals.received is not None
            asked_at = time.perf_counter()
            with readable_branches():
                state.totals = self.step.run(*self._next_batch(), state.totals, float(stop))
            if not self.has_stepped:
                self.pace.first_calls += time.perf_counter() - asked_at
                self.has_stepped = True
            progress.step += 1
            progress.names = list(self.step.names)
            if self.step.idle:
                warn_of_idle(self.step.idle, self.stage, progress.stage)
                self.step.idle = []
            now = time.perf_counter()
            due = self.callbacks.reads_every_batch or now - read_at > SECONDS_BETWEEN_READINGS
            if logs is None or due or progress.step == self.steps:
                logs, read_at = self._read(), now
            if progress.start_loss is None:
                progress.start_loss = logs["loss"]
            self.hooks.on_train_batch_end(progress.step - 1, logs)
            if state.is_due():
                self.check_loss()
                state.save()
            self._check_stop()
            if self.plan.model.stop_training and not self.with_others:
                break
        return self._read()

    def _next_batch(self) -> Any:
        """Return the next batch; several workers look for a lost one before they blame the data."""
        if self.with_others:
            return next(self.batches)
        return next_batch(self.batches, "data")

    def _read(self) -> dict[str, float]:
        self.check_loss()
        return self.state.totals.means(self.state.progress.names)

    def _check_stop(self) -> None:
        """Raise `StopAsked` if this process was asked to stop, or, after the same step, any worker.

        One that left alone would take the others' step with it before they could save.
        """
        if not self.with_others:
            self.signals.check()
        elif self.state.totals.stop_was_asked():
            raise StopAsked

    def _callback_stops(self) -> bool:
        """Return whether a callback ends the stage; of several workers, the chief's decide."""
        (stop,) = from_chief(self.plan.strategy, [np.int64(self.plan.model.stop_training)])
        return bool(stop)
