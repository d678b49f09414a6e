"""Everything that changes while a model trains, and how it is saved and taken up again."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.backbones.weights import finalize_normalization
from tl_keras.models.transfer_model import TransferModel
from tl_keras.training.finite import check_weights
from tl_keras.training.resumable_callback import (
    PREFIX,
    callback_states,
    restore_callbacks,
)
from tl_keras.training.runs.checkpoints import Checkpoints
from tl_keras.training.runs.kept_weights import KeptWeights
from tl_keras.training.runs.progress import Progress
from tl_keras.training.runs.run_directory import RunDirectory
from tl_keras.training.step.averaging import WeightAverage
from tl_keras.training.step.means import Totals
from tl_keras.utils.errors import InputError


class TrainingState:
    """The state of a training.

    Args:
        model: What trains.
        directory: Where checkpoints go, or None for no checkpoints.
        checkpoints: When they are due.
        own: Variables of the objectives.
        networks: Those of them that go with the best weights: of the objectives' own layers.
        callbacks: Of the run; those that are resumable are saved as well.

    Attributes:
        optimizer: The running stage's optimizer; None before the first stage.
        average: The moving average of the running stage's weights, if it keeps one.
        progress: Where the training stands.
        totals: Running means of the epoch.
        kept: Weights of the best epoch, or of the last one without validation data.
        is_new: Whether the running stage began in this process, not in a checkpoint.
    """

    def __init__(
        self,
        model: TransferModel,
        directory: RunDirectory | None,
        checkpoints: Checkpoints,
        own: Sequence[keras.Variable] = (),
        networks: Sequence[keras.Variable] = (),
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        self.model = model
        self.optimizer: Any = None
        self.average: WeightAverage | None = None
        self.progress = Progress()
        self.totals = Totals.zero()
        self.kept = KeptWeights(model, directory, networks)
        self._own = tuple(own)
        self._callbacks = tuple(callbacks)
        self._directory = directory
        self._clock = checkpoints.clock()
        self._found: Mapping[str, np.ndarray] | None = None
        self.is_new = True

    def restore(self) -> bool:
        """Read where a killed run stood, and return whether there was one.

        Its variables wait until the stage's optimizer exists, for `set_optimizer`.
        """
        found = None if self._directory is None else self._directory.read_checkpoint()
        if found is None:
            return False
        self._found, progress = found
        self.progress = Progress.from_json(progress)
        best = self.progress.best_epoch
        if best is not None and not self.kept.restore(best):
            self.progress.forget_best()
        return True

    @property
    def waits(self) -> bool:
        """Whether variables of a killed run have been read and not been set yet."""
        return self._found is not None

    def set_optimizer(
        self, optimizer: keras.optimizers.Optimizer, average: WeightAverage | None = None
    ) -> None:
        """Use an optimizer and an average; the variables of a killed run are set here."""
        self.optimizer = self.model.optimizer = optimizer
        self.average = average
        self.is_new = self._found is None
        if self._found is not None:
            self._restore(self._found)
            self._found = None
        if not self.kept.are_there:
            self.kept.keep(None, write=False)

    def save(self) -> None:
        """Write a checkpoint, unless weights are not finite."""
        self._clock.reset()
        if self._directory is None:
            return
        arrays = {name: variable.numpy() for name, variable in self._variables().items()}
        check_weights(arrays)
        running = self.totals.without_stops()._asdict()
        totals = {f"totals/{name}": value.numpy() for name, value in running.items()}
        arrays |= totals | callback_states(self._callbacks)
        self._directory.write_checkpoint(arrays, self.progress.to_json())

    def is_due(self) -> bool:
        """Count a step and return whether it is time for a checkpoint."""
        return self._directory is not None and self._clock.tick()

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        variables = self._variables()
        shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
        others = ("totals/", PREFIX)
        found = {name: a.shape for name, a in arrays.items() if not name.startswith(others)}
        strange = sorted(name for name in shapes | found if shapes.get(name) != found.get(name))
        if strange:
            raise InputError(
                f"output: the checkpoint does not fit the model and its optimizer ({len(strange)} "
                f"of {len(shapes)} variables differ, such as {strange[0]}). Build the model as "
                "before, or choose another directory."
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])
        finalize_normalization(self.model)
        restore_callbacks(self._callbacks, arrays)
        self.totals = Totals(*(tf.constant(arrays[f"totals/{name}"]) for name in Totals._fields))

    def _variables(self) -> dict[str, keras.Variable]:
        """Return by name weights, random states, and what objectives, optimizer, average keep."""
        named = {f"model/{i:05}": variable for i, variable in enumerate(self.model.variables)}
        slots = {f"optimizer/{i:05}": slot for i, slot in enumerate(self.optimizer.variables)}
        own = {f"objectives/{i:05}": variable for i, variable in enumerate(self._own)}
        averages = [] if self.average is None else self.average.state
        return named | own | slots | {f"average/{i:05}": one for i, one in enumerate(averages)}
