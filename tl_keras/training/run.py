"""A run: what `fine_tune` gives back, and what it leaves on disk."""

import dataclasses
import json
import os
import pathlib
from typing import Any

from tl_keras.backbones.keras_model import load_keras_file
from tl_keras.errors import InputError
from tl_keras.plots import plot_curves
from tl_keras.schedules import Audit, Stage
from tl_keras.transfer_model import TransferModel

MODEL_FILE = "model.keras"
CONFIG_FILE = "config.json"
HISTORY_FILE = "history.json"
BEST_WEIGHTS_FILE = "best.weights.h5"
CURVES_FILE = "curves.png"


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished fine-tuning.

    Attributes:
        model: The trained model, with the best weights if there was validation data.
        history: Name → one value per epoch over all stages: `loss`, metrics, `val_…`,
            `learning_rate`, `seconds`.
        stages: The schedule as it ran.
        stage_starts: Epoch, from 0, in which each stage began.
        audits: For each stage, what trained in each block.
        best_epoch: Epoch, from 0, whose weights the model has; None without validation data.
        path: The run's directory, or None.
    """

    model: TransferModel
    history: dict[str, list[float]]
    stages: tuple[Stage, ...]
    stage_starts: tuple[int, ...]
    audits: tuple[Audit, ...]
    best_epoch: int | None
    path: pathlib.Path | None

    def plot(self, path: str | os.PathLike | None = None):
        """Draw loss and metrics over the epochs, with the stages marked.

        Args:
            path: PNG file to write as well.

        Returns:
            The `matplotlib.figure.Figure`.
        """
        shown = {name: values for name, values in self.history.items() if name != "seconds"}
        return plot_curves(
            shown,
            list(self.stage_starts),
            [stage.name for stage in self.stages],
            path=path,
        )


class RunDirectory:
    """The files of a run. Everything is written to a neighbour first and then renamed.

    Args:
        path: The directory, created if missing.

    Raises:
        InputError: If it cannot be written, or holds a run already.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        if (self.path / CONFIG_FILE).exists():
            raise InputError(
                f"output: {str(self.path)!r} already holds a run, which is not overwritten. "
                "Choose another directory, or remove this one."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".writable"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise InputError(
                f"output: {str(self.path)!r} cannot be written ({error.strerror}). Choose a "
                "directory that you may write to."
            ) from error

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file."""
        partial = self.path / f"{name}.partial"
        partial.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
        partial.replace(self.path / name)

    def write_best_weights(self, model: TransferModel) -> None:
        """Write the weights of the best epoch so far."""
        partial = self.path / f"partial.{BEST_WEIGHTS_FILE}"
        model.save_weights(partial)
        partial.replace(self.path / BEST_WEIGHTS_FILE)

    def write_model(self, model: TransferModel) -> None:
        """Write the whole model."""
        partial = self.path / f"partial.{MODEL_FILE}"
        model.save(partial)
        partial.replace(self.path / MODEL_FILE)


def load_run_model(path: str | os.PathLike) -> TransferModel:
    """Load the trained model of a run.

    Args:
        path: A run directory, or a `.keras` file.

    Raises:
        InputError: If there is no model, or it is not one of this library.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        if not (path / MODEL_FILE).is_file():
            raise InputError(
                f"run: {str(path)!r} holds no {MODEL_FILE}. Name the directory that `fine_tune` "
                "or `tl-keras train` wrote; a run that was stopped has none."
            )
        path = path / MODEL_FILE
    model = load_keras_file(path)
    if not isinstance(model, TransferModel):
        raise InputError(
            f"run: {str(path)!r} holds a {type(model).__name__}, not a model made by "
            "build_transfer_model."
        )
    return model
