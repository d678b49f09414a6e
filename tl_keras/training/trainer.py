"""The stages of a run, one after the other, on one model."""

import math

import keras
import tensorflow as tf

from tl_keras.data import Examples
from tl_keras.errors import InputError
from tl_keras.objectives import Objective
from tl_keras.schedules import Audit, Stage, apply_freezing
from tl_keras.schedules.layer_factors import factors_of
from tl_keras.training.agreement import check_agreement
from tl_keras.training.averaging import finish_with_average
from tl_keras.training.optimizers import build_optimizer, carry_slots
from tl_keras.training.run_directory import RunDirectory
from tl_keras.training.settings import Settings
from tl_keras.training.stage_data import stage_data
from tl_keras.training.stage_epochs import StageEpochs
from tl_keras.training.state import TrainingState
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

    Attributes:
        state: What changes while it runs.
        audits: For each stage begun, what trains in each block.
    """

    def __init__(
        self,
        model: TransferModel,
        strategy: tf.distribute.Strategy,
        objectives: tuple[Objective, ...],
        train: Examples,
        validation: Examples | None,
        settings: Settings,
        directory: RunDirectory | None,
    ):
        self.model = model
        self.strategy = strategy
        self.objectives = objectives
        self.train = train
        self.validation = validation
        self.settings = settings
        self.state = TrainingState(model, directory, settings.checkpoints)
        self.audits: list[Audit] = []
        self.steps = math.ceil(len(train) / settings.batch_size)

    def run(self, stages: tuple[Stage, ...]) -> None:
        """Run all stages; afterwards the model has the best weights where validation decides."""
        resumed, progress = self.state.take_up(), self.state.progress
        # Besides comparing, this keeps the chief from writing before all others have read.
        check_agreement(
            self.strategy,
            {
                "output": (resumed, progress.stage, progress.epoch, progress.step),
                "schedule": stages,
            },
        )
        if resumed:
            self.settings.say(
                f"resumed in epoch {progress.epoch + 1} after step {progress.step} of {self.steps}"
            )
        callbacks = keras.callbacks.CallbackList(
            list(self.settings.callbacks),
            add_progbar=self.settings.verbose,
            model=self.model,
            epochs=sum(stage.epochs for stage in stages),
            steps=self.steps,
            verbose=int(self.settings.verbose),
        )
        try:
            callbacks.on_train_begin()
            for index, stage in enumerate(stages):
                self._run_stage(index, stage, len(stages), callbacks)
            callbacks.on_train_end()
        except InputError:
            self.state.kept.give_back()
            raise
        finally:
            self.model.optimizer = None
            if self.validation is not None:
                self.state.kept.give_back()

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
            state.set_optimizer(optimizer)
        if progress.stage_over:
            return
        variables = self.model.trainable_variables
        count = sum(math.prod(variable.shape) for variable in variables)
        self.settings.say(
            f"stage {index + 1} of {stages}: {stage.name}, {count:,} weights train, "
            f"{stage.epochs} epochs"
        )
        state.save()
        data = stage_data(
            self.model, self.strategy, stage, self.train, self.validation, self.settings
        )
        try:
            epochs = StageEpochs(self, stage, data, callbacks)
            check_agreement(self.strategy, {"cache": str(epochs.element_spec)})
            ended_early = epochs.run()
        finally:
            data.close()
        finish_with_average(optimizer, variables)
        if ended_early:
            state.kept.give_back()
        progress.stage_over = True
        state.save()

    def _optimizer(self, stage: Stage) -> keras.optimizers.Optimizer:
        return build_optimizer(
            stage,
            self.model.trainable_variables,
            self.steps * stage.epochs,
            scale_loss=self.model.backbone.compute_dtype == "float16",
            factors=factors_of(self.model, stage),
        )
