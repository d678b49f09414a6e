"""The stages of a run, one after the other, on one model."""

import contextlib
import math
from collections.abc import Iterator

import keras

from tl_keras.data import Epochs
from tl_keras.data.read_errors import SameCount
from tl_keras.schedules import Audit, Stage, apply_freezing
from tl_keras.schedules.layer_factors import factors_of
from tl_keras.training.data_checks import warn_of_changing_order
from tl_keras.training.distributed.agreement import check_agreement, shared_statistics
from tl_keras.training.distributed.strategies import give_back
from tl_keras.training.interrupts import StopAsked, StopSignals, interruption
from tl_keras.training.plan import RunPlan
from tl_keras.training.preparation import on_strategy, opened, prepared
from tl_keras.training.progress_lines import stage_line
from tl_keras.training.regression_heads import MOST_EXAMPLES, start_regression_heads
from tl_keras.training.resumable_callback import resumable
from tl_keras.training.run_callbacks import RunCallbacks
from tl_keras.training.runs.found_run import Found
from tl_keras.training.runs.objective_state import (
    begin_objectives,
    objective_arrays,
    restore_objectives,
)
from tl_keras.training.runs.run import Run, finished_run, write_finished_run
from tl_keras.training.runs.run_directory import HISTORY_FILE, RunDirectory
from tl_keras.training.runs.state import TrainingState
from tl_keras.training.stage_data import StageData, stage_data
from tl_keras.training.stage_epochs import StageEpochs
from tl_keras.training.step.averaging import WeightAverage, changing_variables
from tl_keras.training.step.optimizers import build_optimizer, carry_slots, computes_in_float16
from tl_keras.utils.compat import forget_initial_epoch, initial_epoch
from tl_keras.utils.errors import InputError


def train(plan: RunPlan) -> Run:
    """Train, go on where a run was stopped, or return what is finished."""
    plan = prepared(plan)
    with opened(plan) as (directory, found):
        if directory is not None and found == Found.FINISHED:
            begin_objectives(plan)
            restore_objectives(plan.objectives, directory.read_objectives())
            return finished_run(directory, plan.model, plan.stages)
        if found == Found.BEGUN:
            warn_of_changing_order(plan.train)
        trainer = Trainer(plan, directory)
        with trainer.running():
            for number in range(len(plan.stages)):
                trainer.run_stage(number)
        return trainer.finish()


class Trainer:
    """Runs the stages of a schedule.

    Args:
        plan: Of the user's model.
        directory: Where checkpoints and the best weights are kept, or None.
    """

    def __init__(self, plan: RunPlan, directory: RunDirectory | None):
        self.user_model = plan.model
        self.plan = plan = on_strategy(plan)
        self.directory = directory
        with plan.strategy.scope():
            begin_objectives(plan)
        networks = [variable for one in plan.objectives for variable in one.network_variables()]
        for callback in resumable(plan.settings.callbacks):
            callback.networks = tuple(networks)
        self.state = TrainingState(
            plan.model,
            directory,
            plan.settings.checkpoints,
            own=[variable for one in plan.objectives for variable in one.variables()],
            networks=networks,
            callbacks=plan.settings.callbacks,
        )
        self.held_out_count = SameCount("validation")
        self.audits: list[Audit] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Restore a stopped run; afterwards the user's model has the weights that are wanted.

        These are the best ones where something decides which they are, however the block ends.
        """
        try:
            with self._called_back():
                yield
        except BaseException:
            if self.directory is not None:
                # What ends the run is what the user has to know, not that this was not written.
                with contextlib.suppress(InputError):
                    self.directory.write_json(HISTORY_FILE, self.state.progress.history)
            raise
        finally:
            give_back(self.plan.model, self.user_model)

    @contextlib.contextmanager
    def _called_back(self) -> Iterator[None]:
        """Restore the state; callbacks begin with the first stage and end after the last."""
        plan, state, model = self.plan, self.state, self.plan.model
        resumed = state.restore()
        progress = state.progress
        own_optimizer = getattr(model, "optimizer", None)
        # Besides comparing, this keeps the chief from writing before all others have read.
        position = (resumed, progress.stage, progress.epoch, progress.step)
        check_agreement(plan.strategy, {"output": position})
        if resumed and not progress.stage_over:
            plan.settings.say(
                f"resumed in epoch {progress.epoch + 1} after step {progress.step} of {plan.steps}"
            )
        self.callbacks = RunCallbacks(plan)
        has_best, criterion = self.callbacks.has_best, self.callbacks.criterion
        try:
            yield
            self.callbacks.end()
        except InputError:
            state.kept.give_back()
            raise
        finally:
            model.optimizer = own_optimizer
            forget_initial_epoch(model)
            if has_best and state.kept.epoch is not None:
                state.kept.give_back()
        if has_best and progress.best_epoch is None:
            plan.settings.say(f"{criterion.name} tells no best epoch: the weights are the last")

    def run_stage(self, number: int) -> None:
        """Run a stage, or what a stopped run left of it."""
        plan, state, stage = self.plan, self.state, self.plan.stages[number]
        if not self._begin_stage(number, stage):
            return
        data = stage_data(plan, stage, state.progress.stores_before())
        try:
            self._start_heads(data)
            with StopSignals() as signals, shared_statistics(plan.model, plan.strategy):
                epochs = StageEpochs(
                    plan, number, state, data, self.callbacks, signals, self.held_out_count
                )
                check_agreement(plan.strategy, {"cache": str(epochs.element_spec)})
                try:
                    ended_early = epochs.run()
                except StopAsked:
                    epochs.check_loss()
                    state.save()
                    self._leave(signals)
                self._end_stage(ended_early, signals)
        finally:
            data.close()

    def _begin_stage(self, number: int, stage: Stage) -> bool:
        """Freeze, build the optimizer and say so; return whether epochs of the stage are left."""
        plan, state, progress = self.plan, self.state, self.state.progress
        with plan.strategy.scope():
            self.audits.append(apply_freezing(plan.model, stage))
            if number < progress.stage:
                return False
            optimizer = self._optimizer(stage)
            if not state.waits:
                carry_slots(state.optimizer, optimizer)
                progress.stage, progress.stage_over = number, False
                progress.stage_starts.append(progress.epoch)
                progress.start_loss = None
            if not self.callbacks.have_begun:
                self._begin(optimizer)
            state.set_optimizer(optimizer, self._average(stage))
        if progress.stage_over:
            return False
        count = sum(math.prod(variable.shape) for variable in plan.trained_variables())
        line = stage_line(stage, count, plan.settings.patience(stage))
        plan.settings.say(f"stage {number + 1} of {len(plan.stages)}: {line}")
        if state.is_new:
            self.callbacks.begin_stage()
            state.save()
        for objective in plan.objectives:
            objective.begin_stage(plan.model)
        return True

    def _begin(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Let the callbacks begin, with an optimizer whose state BackupAndRestore can restore."""
        model = self.plan.model
        model.optimizer = optimizer
        model.stop_training = False
        self.callbacks.begin()
        if not self.state.waits:
            self.state.progress.epoch = initial_epoch(model) or 0

    def _start_heads(self, data: StageData) -> None:
        """Let regression heads that nothing has trained start from the data's features."""
        plan, domains = self.plan, self.plan.learned()
        if not domains:
            return
        start_regression_heads(
            plan.model,
            plan.strategy,
            data.forward,
            lambda: data.train(Epochs(plan.settings.seed, self.state.progress.epoch)),
            min(plan.steps, math.ceil(MOST_EXAMPLES / plan.settings.batch_size)),
            domains,
            plan.settings.say,
        )

    def _end_stage(self, ended_early: bool, signals: StopSignals) -> None:
        state = self.state
        if state.average is not None:
            state.average.finish()
        if ended_early and state.kept.epoch is not None:
            state.kept.give_back()
        state.progress.stage_over = True
        state.save()
        if signals.received is not None:
            self._leave(signals)

    def _leave(self, signals: StopSignals) -> None:
        path = None if self.directory is None else self.directory.path
        signals.leave(interruption(path), self.plan.settings.say)

    def _average(self, stage: Stage) -> WeightAverage | None:
        if stage.ema_momentum is None:
            return None
        changing = changing_variables(self.plan.model, self.plan.trained_variables())
        return WeightAverage(changing, stage.ema_momentum)

    def _optimizer(self, stage: Stage) -> keras.optimizers.Optimizer:
        plan = self.plan
        return build_optimizer(
            stage,
            plan.trained_variables(),
            plan.steps_of(stage),
            scale_loss=computes_in_float16(plan.model),
            factors=factors_of(plan.model, stage, plan.own_variables()),
        )

    def finish(self) -> Run:
        """Let the objectives finish with the user's model, and return and write the run."""
        plan, progress, model = self.plan, self.state.progress, self.user_model
        apply_freezing(model, plan.stages[progress.best_stage()])
        for objective in plan.objectives:
            objective.finish(model, plan.train)
        apply_freezing(model, plan.stages[-1])
        run = Run(
            model=model,
            history=progress.history,
            stages=plan.stages,
            stage_starts=tuple(progress.stage_starts),
            audits=tuple(self.audits),
            best_epoch=progress.best_epoch,
            path=None if self.directory is None else self.directory.path,
        )
        if self.directory is not None:
            self.directory.write_json(HISTORY_FILE, progress.history)
            self.directory.write_objectives(objective_arrays(plan.objectives))
            write_finished_run(self.directory, run)
        return run
