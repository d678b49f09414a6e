"""Weights worth keeping: of the best epoch, or of the last one where nothing tells the best."""

from collections.abc import Sequence

import keras
import numpy as np

from tl_keras.models.transfer_model import TransferModel
from tl_keras.training.finite import check_weights
from tl_keras.training.runs.run_directory import RunDirectory
from tl_keras.utils.errors import InputError


class KeptWeights:
    """A copy of the weights of one epoch, or of those before the first.

    Args:
        model: Whose weights.
        directory: Where the best ones are written too, or None.
        own: Variables that go with them: those of the objectives' own layers.

    Attributes:
        epoch: Epoch that the copy is from, from 0; None before the first.
    """

    def __init__(
        self,
        model: TransferModel,
        directory: RunDirectory | None,
        own: Sequence[keras.Variable] = (),
    ):
        self.epoch: int | None = None
        self._own = tuple(own)
        self._model = model
        self._directory = directory
        self._values: list[np.ndarray] | None = None

    @property
    def are_there(self) -> bool:
        """Whether a copy has been made."""
        return self._values is not None

    def keep(self, epoch: int | None, *, write: bool) -> None:
        """Copy the model's present weights, and write them to the run's directory if asked.

        Raises:
            InputError: If a weight is NaN or infinite; the copy from before stays.
        """
        values = [variable.numpy() for variable in self._variables()]
        named = {f"weight/{index:05}": value for index, value in enumerate(values)}
        if epoch is not None:
            check_weights(named)
        self.epoch, self._values = epoch, values
        if write and epoch is not None and self._directory is not None:
            self._directory.write_best_weights(named, epoch)

    def restore(self, epoch: int) -> bool:
        """Read what `keep` wrote before the run was killed, and return whether it was whole."""
        named = None if self._directory is None else self._directory.read_best_weights(epoch)
        if named is None:
            return False
        values = [named[name] for name in sorted(named)]
        if [value.shape for value in values] != [tuple(v.shape) for v in self._variables()]:
            raise InputError(
                "output: the best weights there are those of another model. Build the model as "
                "before, or choose another directory."
            )
        self.epoch, self._values = epoch, values
        return True

    def give_back(self) -> None:
        """Set the weights to the copy, if there is one."""
        if self._values is None:
            return
        count = len(self._model.weights)
        self._model.set_weights(self._values[:count])
        for variable, value in zip(self._own, self._values[count:], strict=True):
            variable.assign(value)

    def _variables(self) -> list[keras.Variable]:
        return [*self._model.weights, *self._own]
