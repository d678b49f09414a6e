"""Weights worth keeping: of the best epoch, or of the last one where nothing tells the best."""

import numpy as np

from tl_keras.backbones.weights import finalize_normalization
from tl_keras.training.run_directory import RunDirectory
from tl_keras.transfer_model import TransferModel


class KeptWeights:
    """A copy of the weights of one epoch.

    Args:
        model: Whose weights.
        directory: Where the best ones are written too, or None.

    Attributes:
        epoch: Epoch that the copy is from, from 0; None while there is none.
    """

    def __init__(self, model: TransferModel, directory: RunDirectory | None):
        self.epoch: int | None = None
        self._model = model
        self._directory = directory
        self._values: list[np.ndarray] = []

    def keep(self, epoch: int, *, write: bool) -> None:
        """Copy the model's present weights, and write them to the run's directory if asked."""
        self.epoch = epoch
        self._values = [variable.numpy() for variable in self._model.weights]
        if write and self._directory is not None:
            self._directory.write_best_weights(self._model, epoch)

    def take_up(self, epoch: int) -> None:
        """Read what `keep` wrote before the run was killed."""
        self._directory.read_best_weights(self._model, epoch)
        self.keep(epoch, write=False)

    def give_back(self) -> None:
        """Set the model's weights to the copy, if there is one."""
        if self.epoch is None:
            return
        for variable, value in zip(self._model.weights, self._values, strict=True):
            variable.assign(value)
        finalize_normalization(self._model)
