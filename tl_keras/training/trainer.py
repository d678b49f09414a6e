"""The epochs of a run: stages, callbacks, history and the best weights."""

import dataclasses
import math
import time

import keras
import numpy as np
import tensorflow as tf

from tl_keras.backbones.weights import finalize_normalization
from tl_keras.data import Examples
from tl_keras.objectives import Objective
from tl_keras.schedules import Audit, Stage, apply_freezing
from tl_keras.training.frozen_features import MEMORY_LIMIT, bytes_needed, compute_features
from tl_keras.training.means import Means, check_finite
from tl_keras.training.optimizers import build_optimizer, carry_slots, last_learning_rate
from tl_keras.training.run import RunDirectory
from tl_keras.training.train_step import make_train_step, make_validation_step
from tl_keras.transfer_model import TransferModel

SECONDS_BETWEEN_READINGS = 0.25


@dataclasses.dataclass(frozen=True)
class Settings:
    """What stays the same over all stages of a run."""

    batch_size: int
    early_stopping: int | None
    augmentation: keras.layers.Layer | None
    callbacks: tuple[keras.callbacks.Callback, ...]
    seed: int
    verbose: bool


class Trainer:
    """Runs the stages of a schedule, one after the other, on one model.

    Args:
        model: What trains; its variables belong to the strategy.
        strategy: Where it runs.
        objectives: What is minimised.
        train: Training examples.
        validation: Examples measured after each epoch, or None.
        settings: The rest.
        directory: Where the best weights are kept, or None.
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
        self.directory = directory
        self.history: dict[str, list[float]] = {}
        self.stage_starts: list[int] = []
        self.audits: list[Audit] = []
        self.best_epoch: int | None = None
        self._best_loss = math.inf
        self._best_weights: list[np.ndarray] | None = None
        self._optimizer: keras.optimizers.Optimizer | None = None

    def run(self, stages: tuple[Stage, ...]) -> None:
        """Run all stages; afterwards the model has the best weights where validation decides."""
        epochs = sum(stage.epochs for stage in stages)
        steps = math.ceil(len(self.train) / self.settings.batch_size)
        callbacks = keras.callbacks.CallbackList(
            list(self.settings.callbacks),
            add_progbar=self.settings.verbose,
            model=self.model,
            epochs=epochs,
            steps=steps,
            verbose=int(self.settings.verbose),
        )
        try:
            callbacks.on_train_begin()
            for index, stage in enumerate(stages):
                self._run_stage(stage, f"stage {index + 1} of {len(stages)}", steps, callbacks)
            callbacks.on_train_end()
        finally:
            self.model.optimizer = None
            if self._best_weights is not None:
                self._restore_best()

    def _run_stage(self, stage: Stage, title: str, steps: int, callbacks) -> None:
        with self.strategy.scope():
            self.audits.append(apply_freezing(self.model, stage))
            variables = self.model.trainable_variables
            float16 = self.model.backbone.compute_dtype == "float16"
            optimizer = build_optimizer(stage, variables, steps * stage.epochs, scale_loss=float16)
            carry_slots(self._optimizer, optimizer)
        self._optimizer = self.model.optimizer = optimizer
        start = len(self.history.get("loss", []))
        self.stage_starts.append(start)
        count = sum(math.prod(variable.shape) for variable in variables)
        self._say(f"{title}: {stage.name}, {count:,} weights train, {stage.epochs} epochs")
        datasets, from_features = self._datasets()
        train_step, validation_step = self._steps(datasets, optimizer, from_features)
        self.model.stop_training = False
        for epoch in range(start, start + stage.epochs):
            started = time.perf_counter()
            callbacks.on_epoch_begin(epoch)
            logs = self._train_epoch(train_step, datasets[0], steps, callbacks)
            if validation_step is not None:
                logs |= self._validate(validation_step, datasets[1], callbacks)
            logs["learning_rate"] = last_learning_rate(optimizer, stage, steps * stage.epochs)
            callbacks.on_epoch_end(epoch, logs)
            self._record({**logs, "seconds": time.perf_counter() - started}, epoch)
            if self._should_stop(epoch, start):
                break

    def _datasets(self):
        """Return the distributed training and validation batches, and what they hold."""
        targets, size, seed = self.model.targets, self.settings.batch_size, self.settings.seed
        train, validation = self.train, self.validation
        from_features = self._features_pay()
        if from_features:
            train, validation = (
                None
                if examples is None
                else compute_features(
                    self.model,
                    examples.batches(targets, size),
                    len(examples),
                    verbose=self.settings.verbose,
                )
                for examples in (train, validation)
            )
            self._say(f"frozen backbone: features of {len(train):,} images computed once")
        batches = train.batches(targets, size, shuffle=True, seed=seed)
        if self.settings.augmentation is not None:
            augment = self.settings.augmentation
            batches = batches.map(lambda x, y: (augment(tf.cast(x, tf.float32), training=True), y))
            batches = batches.prefetch(tf.data.AUTOTUNE)
        distribute = self.strategy.experimental_distribute_dataset
        return (
            distribute(batches),
            None if validation is None else distribute(validation.batches(targets, size)),
        ), from_features

    def _features_pay(self) -> bool:
        """Return whether the backbone is a fixed function whose outputs fit into memory."""
        if self.model.backbone.trainable_variables or self.settings.augmentation is not None:
            return False
        count = len(self.train) + (len(self.validation) if self.validation else 0)
        return bytes_needed(self.model, count) <= MEMORY_LIMIT

    def _steps(self, datasets, optimizer, from_features):
        train, validation = datasets
        with self.strategy.scope():
            train_step = make_train_step(
                self.strategy,
                self.model,
                optimizer,
                self.objectives,
                train.element_spec,
                from_features=from_features,
            )
            if validation is None:
                return train_step, None
            return train_step, make_validation_step(
                self.strategy,
                self.model,
                self.objectives,
                validation.element_spec,
                from_features=from_features,
            )

    def _train_epoch(self, step, dataset, steps, callbacks) -> dict[str, float]:
        means, read_at, logs = Means(), 0.0, {}
        for index, (x, y) in enumerate(dataset):
            callbacks.on_train_batch_begin(index)
            means.add(*step(x, y))
            if time.perf_counter() - read_at > SECONDS_BETWEEN_READINGS or index == steps - 1:
                logs, read_at = means.read(), time.perf_counter()
                check_finite(logs, index)
            callbacks.on_train_batch_end(index, logs)
        return means.read()

    def _validate(self, step, dataset, callbacks) -> dict[str, float]:
        means = Means()
        callbacks.on_test_begin()
        for x, y in dataset:
            means.add(*step(x, y))
        logs = means.read()
        callbacks.on_test_end(logs)
        return {f"val_{name}": value for name, value in logs.items()}

    def _record(self, logs: dict[str, float], epoch: int) -> None:
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        loss = logs.get("val_loss", math.inf)
        if loss < self._best_loss:
            self._best_loss, self.best_epoch = loss, epoch
            self._best_weights = [variable.numpy() for variable in self.model.weights]
            if self.directory is not None:
                self.directory.write_best_weights(self.model)

    def _should_stop(self, epoch: int, start: int) -> bool:
        if self.model.stop_training:
            self._say("a callback ended the stage")
            return True
        patience = self.settings.early_stopping
        if patience is None or epoch - max(self.best_epoch or 0, start) < patience:
            return False
        self._say(f"no better validation loss for {patience} epochs: the stage ends")
        if self._best_weights is not None:
            self._restore_best()
        return True

    def _restore_best(self) -> None:
        for variable, value in zip(self.model.weights, self._best_weights, strict=True):
            variable.assign(value)
        finalize_normalization(self.model)

    def _say(self, line: str) -> None:
        if self.settings.verbose:
            print(line, flush=True)
