"""Starting TensorFlow quietly, and loading what a command is given as its model."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tl_keras.utils.errors import InputError

if TYPE_CHECKING:
    from tl_keras.models.transfer_model import TransferModel

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
QUIET = "3"
"""Fatal messages only: what else goes wrong is raised too, and printed as one line of error."""

SAVED_MODEL_FILE = "saved_model.pb"


def start_tensorflow() -> None:
    """Import TensorFlow without the log lines that it writes at its start.

    Commands call this before they import the parts of the library that need it, so that help
    and mistakes in the options are answered at once. TF_CPP_MIN_LOG_LEVEL=0 shows the lines.
    """
    level = os.environ.setdefault(LOG_LEVEL, QUIET)
    with silent_native_errors() if level != "0" else contextlib.nullcontext():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def silent_native_errors() -> Iterator[None]:
    """Discard what compiled code writes to the process's standard error meanwhile."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def is_saved_model(path: Path) -> bool:
    """Say whether a path is the directory of a SavedModel."""
    return (path / SAVED_MODEL_FILE).is_file()


Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Load models and backbones whatever is in them: Lambda layers, and SavedModels that "
        "reach files and the network.",
    ),
]


def load_model(path: Path, argument: str = "RUN", trust: bool = False) -> "TransferModel":
    """Load the model of a run directory or of a `.keras` file.

    Args:
        path: What the user gave.
        argument: What errors call it.
        trust: Whether the user trusts its author.

    Raises:
        InputError: If there is no such model, or it predicts nothing.
    """
    expected = f"{argument}: expected the directory of a run or a .keras file"
    if not path.exists():
        raise InputError(
            f"{expected}, got {str(path)!r}, which does not exist. `tl-keras train` writes one."
        )
    if path.is_dir() and is_saved_model(path):
        raise InputError(
            f"{expected}, got the SavedModel {str(path)!r}, which only `tl-keras predict` takes. "
            "Pass the run that it was exported from."
        )
    if path.is_file() and path.suffix != ".keras":
        raise InputError(f"{expected}, got the file {str(path)!r}.")
    start_tensorflow()
    from tl_keras.training.runs.run import load_run_model

    model = load_run_model(path, trust=trust)
    if getattr(model, "targets", None) is None:
        raise InputError(
            f"{argument}: the model in {str(path)!r} has no head that predicts something. Build it "
            "with tl_keras.build_transfer_model(…, num_classes=…) and train it."
        )
    return model


def image_size_of(model: Any, argument: str = "RUN") -> tuple[int, int]:
    """Return height and width of the images that a model takes.

    Raises:
        InputError: If it takes something else, or images of any size.
    """
    shape = model.modality.shape
    if not model.modality.are_images or shape[2] != 3:
        raise InputError(
            f"{argument}: expected a model of RGB images of one size, got one with the input "
            f"shape {shape}. Use it from Python."
        )
    return shape[0], shape[1]
