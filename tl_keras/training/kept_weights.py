"""Weights worth keeping: of the best epoch, or of the last one where nothing tells the best."""

import numpy as np

from tl_keras.errors import InputError
from tl_keras.training.finite import check_weights
from tl_keras.training.run_directory import RunDirectory
from tl_keras.transfer_model import TransferModel


class KeptWeights:
    """A copy of the weights of one epoch, or of those before the first.

    Args:
        model: Whose weights.
        directory: Where the best ones are written too, or None.

    Attributes:
        epoch: Epoch that the copy is from, from 0; None before the first.
    """

    def __init__(self, model: TransferModel, directory: RunDirectory | None):
        self.epoch: int | None = None
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
        values = self._model.get_weights()
        named = {f"weight/{index:05}": value for index, value in enumerate(values)}
        if epoch is not None:
            check_weights(named)
        self.epoch, self._values = epoch, values
        if write and self._directory is not None:
            self._directory.write_best_weights(named, epoch)

    def take_up(self, epoch: int) -> None:
        """Read what `keep` wrote before the run was killed."""
        named = self._directory.read_best_weights(epoch)
        values = [named[name] for name in sorted(named)]
        if [value.shape for value in values] != [tuple(w.shape) for w in self._model.weights]:
            raise InputError(
                "output: the best weights there are those of another model. Build the model as "
                "before, or choose another directory."
            )
        self.epoch, self._values = epoch, values

    def give_back(self) -> None:
        """Set the model's weights to the copy, if there is one."""
        if self._values is not None:
            self._model.set_weights(self._values)
