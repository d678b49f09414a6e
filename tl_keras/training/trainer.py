"""The stages of a run, one after the other, on one model."""

import math
import signal
import sys

import keras
import tensorflow as tf

from tl_keras.data import Epochs
from tl_keras.data.base import Specs
from tl_keras.data.domains import DomainExamples
from tl_keras.data.read_errors import SameCount
from tl_keras.errors import InputError
from tl_keras.objectives import Objective, Setup
from tl_keras.schedules import Audit, Stage, apply_freezing
from tl_keras.schedules.layer_factors import factors_of
from tl_keras.terminal import can_redraw
from tl_keras.training.agreement import check_agreement, shared_statistics
from tl_keras.training.averaging import WeightAverage, changing_variables
from tl_keras.training.interrupts import StopAsked, StopSignals
from tl_keras.training.keras_callbacks import (
    Counts,
    LastLogs,
    called,
    criterion_of,
    settle_modes,
)
from tl_keras.training.optimizers import build_optimizer, carry_slots, computes_in_float16
from tl_keras.training.progress_lines import EpochLines, stage_line
from tl_keras.training.regression_heads import MOST_EXAMPLES, start_regression_heads
from tl_keras.training.resumable_callback import resumable
from tl_keras.training.run_directory import RunDirectory
from tl_keras.training.settings import Settings
from tl_keras.training.stage_data import StageData, stage_data
from tl_keras.training.stage_epochs import StageEpochs
from tl_keras.training.state import TrainingState
from tl_keras.training.train_step import trained_variables
from tl_keras.transfer_model import TransferModel


class Trainer:
    """Runs the stages of a schedule.

    Args:
        model: What trains; its variables belong to the strategy.
        strategy: Where it runs.
        objectives: What is minimised.
        train: Training examples.
        validation: Examples measured after each epoch, or None.
        settings: The rest.
        directory: Where checkpoints and the best weights are kept, or None.
        targets: What labels are encoded for.

    Attributes:
        state: What changes while it runs.
        audits: For each stage begun, what trains in each block.
        criterion: What decides the best epoch.
        last_logs: The last callback, which keeps what the others added to an epoch's logs.
    """

    def __init__(
        self,
        model: TransferModel,
        strategy: tf.distribute.Strategy,
        objectives: tuple[Objective, ...],
        train: DomainExamples,
        validation: DomainExamples | None,
        settings: Settings,
        directory: RunDirectory | None,
        *,
        targets: Specs,
    ):
        self.model = model
        self.strategy = strategy
        self.objectives = objectives
        self.train = train
        self.validation = validation
        self.settings = settings
        self.directory = directory
        self.targets = targets
        with strategy.scope():
            begin_objectives(model, objectives, train, targets, settings)
        networks = [variable for one in objectives for variable in one.network_variables()]
        for callback in resumable(settings.callbacks):
            callback.networks = tuple(networks)
        self.state = TrainingState(
            model,
            directory,
            settings.checkpoints,
            own=[variable for one in objectives for variable in one.variables()],
            networks=networks,
            callbacks=settings.callbacks,
        )
        self.criterion = criterion_of(settings.callbacks)
        self.last_logs = LastLogs()
        self.held_out_count = SameCount("validation")
        self.counts: Counts | None = None
        self.audits: list[Audit] = []
        self.steps = math.ceil(len(train) / settings.batch_size)

    def run(self, stages: tuple[Stage, ...]) -> None:
        """Run all stages; afterwards the model has the best weights where validation decides."""
        resumed = self.state.restore()
        progress = self.state.progress
        own_optimizer = getattr(self.model, "optimizer", None)
        # Besides comparing, this keeps the chief from writing before all others have read.
        position = (resumed, progress.stage, progress.epoch, progress.step)
        check_agreement(self.strategy, {"output": position})
        if resumed and not progress.stage_over:
            self.settings.say(
                f"resumed in epoch {progress.epoch + 1} after step {progress.step} of {self.steps}"
            )
        epochs = sum(stage.epochs for stage in stages)
        has_bar = self.settings.verbose and can_redraw(sys.stdout)
        lines = [EpochLines(epochs)] if self.settings.verbose and not has_bar else []
        callbacks = keras.callbacks.CallbackList(
            [*called(self.settings.callbacks), *lines, self.last_logs],
            add_progbar=has_bar,
            model=self.model,
            epochs=epochs,
            steps=self.steps,
            verbose=int(self.settings.verbose),
        )
        settle_modes(self.settings.callbacks, [one.name for one in self.objectives])
        try:
            for index, stage in enumerate(stages):
                self._run_stage(index, stage, len(stages), callbacks)
            if self.counts is None:
                callbacks.on_train_begin()
            callbacks.on_train_end(self.last_logs.values)
        except InputError:
            self.state.kept.give_back()
            raise
        finally:
            self.model.optimizer = own_optimizer
            self.model._initial_epoch = None
            if self.has_best and self.state.kept.epoch is not None:
                self.state.kept.give_back()
        if self.has_best and progress.best_epoch is None:
            self.settings.say(
                f"{self.criterion.name} tells no best epoch: the weights are the last"
            )

    @property
    def has_best(self) -> bool:
        """Whether something tells the best epoch."""
        return self.validation is not None or self.criterion.asked

    def _run_stage(self, index: int, stage: Stage, stages: int, callbacks) -> None:
        state, progress = self.state, self.state.progress
        with self.strategy.scope():
            self.audits.append(apply_freezing(self.model, stage))
            if index < progress.stage:
                return
            optimizer = self._optimizer(stage)
            if not state.waits:
                carry_slots(state.optimizer, optimizer)
                progress.stage, progress.stage_over = index, False
                progress.stage_starts.append(progress.epoch)
                progress.start_loss = None
            if self.counts is None:
                self._begin(optimizer, callbacks)
            state.set_optimizer(optimizer, self._average(stage))
        if progress.stage_over:
            return
        variables = trained_variables(self.model, self.objectives)
        count = sum(math.prod(variable.shape) for variable in variables)
        patience = self.settings.patience(stage)
        self.settings.say(f"stage {index + 1} of {stages}: {stage_line(stage, count, patience)}")
        if state.is_new:
            self.counts.begin_stage()
            for callback in resumable(self.settings.callbacks):
                callback.begin_stage()
            state.save()
        for objective in self.objectives:
            objective.begin_stage(self.model)
        data = stage_data(
            self.model,
            self.strategy,
            stage,
            self.train,
            self.validation,
            self.settings,
            targets=self.targets,
            objectives=self.objectives,
            before=self.state.progress.stores_before(),
        )
        try:
            self._start_heads(data)
            with StopSignals() as signals, shared_statistics(self.model, self.strategy):
                epochs = StageEpochs(
                    self, stage, data, callbacks, signals, later=stages - index - 1
                )
                self._run_epochs(epochs, signals)
        finally:
            data.close()

    def _start_heads(self, data: StageData) -> None:
        """Let regression heads that nothing has trained start from the data's features."""
        domains = tuple(filter(self.settings.learns_from, self.train.labelled(self.targets)))
        if not domains:
            return
        size, progress = self.settings.batch_size, self.state.progress
        start_regression_heads(
            self.model,
            self.strategy,
            data.forward,
            lambda: data.train(Epochs(self.settings.seed, progress.epoch)),
            min(self.steps, math.ceil(MOST_EXAMPLES / size)),
            domains,
            self.settings.say,
        )

    def _begin(self, optimizer: keras.optimizers.Optimizer, callbacks) -> None:
        """Let the callbacks begin, with an optimizer whose state BackupAndRestore can restore."""
        self.model.optimizer = optimizer
        self.model.stop_training = False
        callbacks.on_train_begin()
        self.counts = Counts(self.settings.callbacks)
        if not self.state.waits:
            self.state.progress.epoch = self.model._initial_epoch or 0

    def _run_epochs(self, epochs: StageEpochs, signals: StopSignals) -> None:
        state = self.state
        check_agreement(self.strategy, {"cache": str(epochs.element_spec)})
        try:
            ended_early = epochs.run()
        except StopAsked:
            epochs.check_loss()
            state.save()
            self._leave(signals)
        if state.average is not None:
            state.average.finish()
        if ended_early and state.kept.epoch is not None:
            state.kept.give_back()
        state.progress.stage_over = True
        state.save()
        if signals.received is not None:
            self._leave(signals)

    def _leave(self, signals: StopSignals) -> None:
        """End the run that was asked to stop, and say what becomes of it."""
        if self.directory is None:
            message = "interrupted; without output=… nothing is saved"
        else:
            message = (
                f"interrupted; the state is saved in {str(self.directory.path)!r}, and the same "
                "call (with overwrite=False) resumes there"
            )
        if signals.received != signal.SIGINT:
            self.settings.say(message)
        signals.leave(message)

    def _average(self, stage: Stage) -> WeightAverage | None:
        if stage.ema is None:
            return None
        trained = trained_variables(self.model, self.objectives)
        return WeightAverage(changing_variables(self.model, trained), stage.ema)

    def _optimizer(self, stage: Stage) -> keras.optimizers.Optimizer:
        own = [variable for one in self.objectives for variable in one.trainable_variables()]
        return build_optimizer(
            stage,
            trained_variables(self.model, self.objectives),
            self.steps * stage.epochs,
            scale_loss=computes_in_float16(self.model),
            factors=factors_of(self.model, stage, own),
        )


def begin_objectives(
    model: TransferModel,
    objectives: tuple[Objective, ...],
    train: DomainExamples,
    targets: Specs,
    settings: Settings,
) -> None:
    """Let every objective make what it trains or remembers."""
    labelled = tuple(filter(settings.learns_from, train.labelled(targets)))
    setup = Setup(model, tuple(train), labelled, settings.seed)
    for objective in objectives:
        objective.begin(setup)
