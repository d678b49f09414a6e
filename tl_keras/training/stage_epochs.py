"""The epochs of one stage: steps, validation, callbacks, and when to stop."""

import time
from typing import TYPE_CHECKING, Any

import keras

from tl_keras.data import Epochs
from tl_keras.schedules import Stage
from tl_keras.training.averaging import averaged_weights
from tl_keras.training.finite import check_loss
from tl_keras.training.interrupts import StopAsked, StopSignals
from tl_keras.training.means import Totals
from tl_keras.training.optimizers import last_learning_rate
from tl_keras.training.stage_data import StageData
from tl_keras.training.train_step import make_train_step, make_validation_step

if TYPE_CHECKING:
    from tl_keras.training.trainer import Trainer

SECONDS_BETWEEN_READINGS = 0.25


class StageEpochs:
    """Runs what is left of one stage.

    Args:
        trainer: The run that the stage belongs to.
        stage: The stage; freezing has been applied and its optimizer built.
        data: What it reads.
        callbacks: Keras' list of callbacks.
    """

    def __init__(
        self,
        trainer: "Trainer",
        stage: Stage,
        data: StageData,
        callbacks: keras.callbacks.CallbackList,
    ):
        self.model = trainer.model
        self.train = trainer.train
        self.settings = trainer.settings
        self.state = trainer.state
        self.steps = trainer.steps
        self.stage = stage
        self.callbacks = callbacks
        self.validation = data.validation
        progress = self.state.progress
        self.last = progress.stage_starts[-1] + stage.epochs
        left = self.last - progress.epoch
        batches = data.train(Epochs(self.settings.seed, progress.epoch, left, progress.step))
        self.element_spec = batches.element_spec
        with trainer.strategy.scope():
            self.step = make_train_step(
                trainer.strategy,
                self.model,
                self.state.optimizer,
                trainer.objectives,
                self.element_spec,
                forward=data.forward,
                accumulation=stage.accumulation,
            )
            self.validation_step = self.validation and make_validation_step(
                trainer.strategy,
                self.model,
                trainer.objectives,
                data.validation.element_spec,
                forward=data.validation_forward,
            )
        self.batches = iter(batches)

    def run(self) -> bool:
        """Run the epochs and return whether the validation loss ended the stage early."""
        progress, patience = self.state.progress, self.settings.early_stopping
        self.model.stop_training = False
        with StopSignals() as signals:
            try:
                while progress.epoch < self.last:
                    self._run_epoch(signals)
                    if self.model.stop_training:
                        self.settings.say("a callback ended the stage")
                        return False
                    if patience is not None and progress.epochs_without_gain() >= patience:
                        self.settings.say(
                            f"no better validation loss for {patience} epochs: the stage ends"
                        )
                        return True
            except StopAsked:
                self.state.save()
                signals.leave()
        return False

    def _run_epoch(self, signals: StopSignals) -> None:
        state, progress = self.state, self.state.progress
        epoch, started = progress.epoch, time.perf_counter()
        self.callbacks.on_epoch_begin(epoch)
        logs = self._train(signals)
        with averaged_weights(state.optimizer, self.model.trainable_variables):
            if self.validation is not None:
                logs |= self._validate(signals)
            logs["learning_rate"] = last_learning_rate(
                state.optimizer, self.stage, self.steps * self.stage.epochs
            )
            self.callbacks.on_epoch_end(epoch, logs)
            better = progress.record({**logs, "seconds": time.perf_counter() - started})
            if better or self.validation is None:
                state.kept.keep(epoch, write=better)
        state.totals = Totals.zero()

    def _train(self, signals: StopSignals) -> dict[str, float]:
        state, progress = self.state, self.state.progress
        read_at, logs = 0.0, {}
        while progress.step < self.steps:
            self.callbacks.on_train_batch_begin(progress.step)
            state.totals = self.step(*next(self.batches), state.totals)
            progress.step += 1
            progress.names = list(self.step.names)
            now = time.perf_counter()
            if now - read_at > SECONDS_BETWEEN_READINGS or progress.step == self.steps:
                logs, read_at = self._read(), now
            self.callbacks.on_train_batch_end(progress.step - 1, logs)
            state.save_if_due()
            signals.check()
        return self._read()

    def _read(self) -> dict[str, float]:
        totals, settings = self.state.totals, self.settings
        logs = totals.means(self.state.progress.names)
        check_loss(
            totals.first_bad_step(),
            logs["loss"],
            self.train,
            settings.batch_size,
            self.state.progress.epoch,
            settings.seed,
        )
        return logs

    def _validate(self, signals: StopSignals) -> dict[str, float]:
        totals: Any = Totals.zero()
        self.callbacks.on_test_begin()
        for x, y in self.validation:
            totals = self.validation_step(x, y, totals)
            signals.check()
        logs = totals.means(self.validation_step.names)
        self.callbacks.on_test_end(logs)
        return {f"val_{name}": value for name, value in logs.items()}
