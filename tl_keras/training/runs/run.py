"""A run: what `fine_tune` gives back, and what it leaves on disk."""

import dataclasses
import os
import pathlib

from tl_keras.backbones.keras_files import load_keras_file
from tl_keras.backbones.weights import copy_weights
from tl_keras.models.transfer_model import TransferModel
from tl_keras.plots import plot_curves
from tl_keras.plots.figure import Picture
from tl_keras.schedules import Audit, AuditRow, Stage, apply_freezing
from tl_keras.training.runs.checkpoints import RUN
from tl_keras.training.runs.run_directory import (
    CURVES_FILE,
    HISTORY_FILE,
    MODEL_FILE,
    SUMMARY_FILE,
    RunDirectory,
)
from tl_keras.utils.errors import InputError, counted, first_line


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

    def __repr__(self) -> str:
        """Return one line: how long it trained, what it reached, and where it is."""
        epochs = len(self.history["loss"])
        epoch = epochs - 1 if self.best_epoch is None else self.best_epoch
        values = [
            f"{name} {self.history[name][epoch]:.4g}"
            for name in ("loss", "accuracy", "val_loss", "val_accuracy")
            if name in self.history
        ]
        best = "" if self.best_epoch is None else f", best epoch {epoch + 1}"
        place = "" if self.path is None else f", {str(self.path)!r}"
        length = f"{counted(epochs, 'epoch')} in {counted(len(self.stage_starts), 'stage')}"
        return f"Run({length}{best}: {', '.join(values)}{place})"

    def plot(self, path: str | os.PathLike | None = None) -> Picture:
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
            [stage.name for stage in self.stages[: len(self.stage_starts)]],
            path=path,
            best_epoch=self.best_epoch,
        )


def write_finished_run(directory: RunDirectory, run: Run) -> None:
    """Write what a run leaves behind; the model comes last, and says that the run is finished."""
    directory.write_json(
        SUMMARY_FILE,
        {
            "stage_starts": run.stage_starts,
            "best_epoch": run.best_epoch,
            "audits": [[dataclasses.asdict(row) for row in audit] for audit in run.audits],
            RUN: directory.run,
        },
    )
    directory.draw(CURVES_FILE, run.plot)
    directory.write_model(run.model, weights=run.best_epoch is not None)


def finished_run(directory: RunDirectory, model: TransferModel, stages: tuple[Stage, ...]) -> Run:
    """Return the finished run of a directory, and give the model its weights.

    Raises:
        InputError: If a file of it is damaged; says which.
    """
    history, summary = (directory.read_json(name) for name in (HISTORY_FILE, SUMMARY_FILE))
    try:
        lengths = {len(values) for values in history.values()}
        if len(lengths) != 1 or "loss" not in history:
            raise ValueError("the history is not complete")
        run = Run(
            model=model,
            history=history,
            stages=stages,
            stage_starts=tuple(map(int, summary["stage_starts"])),
            audits=tuple(Audit(AuditRow(**row) for row in rows) for rows in summary["audits"]),
            best_epoch=summary["best_epoch"],
            path=directory.path,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"output: {HISTORY_FILE} or {SUMMARY_FILE} in {str(directory.path)!r} is damaged "
            f"({first_line(error)}). {MODEL_FILE} there is the trained model; to train again, "
            "choose another directory, or pass overwrite=True."
        ) from error
    try:
        copy_weights(load_run_model(directory.path), model)
    except InputError as error:
        raise InputError(
            f"output: the run in {str(directory.path)!r} is finished, and its model is damaged: "
            f"{error} To train again, choose another directory, or pass overwrite=True."
        ) from error
    directory.clear_checkpoints()  # Those that a crash left after the model was written.
    apply_freezing(model, stages[-1])
    return run


def load_run_model(path: str | os.PathLike, *, trust: bool = False) -> TransferModel:
    """Load the trained model of a run.

    Args:
        path: A run directory, or a `.keras` file.
        trust: Load it whatever is in it: it may run code of its author and reach files and the
            network (`SECURITY.md`).

    Returns:
        The model as it was at the end of the run, with its labels and preprocessing.

    Raises:
        InputError: If there is no model, it is not one of this library, or it needs `trust`.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(
            f"run: expected the path of a run directory or a .keras file, got {path!r}."
        )
    path = pathlib.Path(path)
    if path.is_dir():
        if not (path / MODEL_FILE).is_file():
            raise InputError(
                f"run: {str(path)!r} holds no {MODEL_FILE}. Name the directory that `fine_tune` "
                "or `tl-keras train` wrote; a run that was stopped has none."
            )
        path = path / MODEL_FILE
    model = load_keras_file(path, "run", bool(trust))
    if not isinstance(model, TransferModel):
        raise InputError(
            f"run: {str(path)!r} holds a {type(model).__name__}, not a model made by "
            "build_transfer_model."
        )
    return model
