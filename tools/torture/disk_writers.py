"""What the package writes apart from runs: exports, reports, predictions and pictures."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
from PIL import Image

import tl_keras as tl
import tl_keras.evaluation
import tl_keras.export
from tl_keras.cli import main as command_line
from tl_keras.utils.errors import InputError
from tools.torture import tiny_run

__all__ = ["WRITERS", "Prepared", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """What is written from.

    Attributes:
        model: A classifier.
        report: Of it.
        predictions: Of it.
        run: Directory with `model.keras`, as the command line takes it.
        images: Folder of images in class folders.
    """

    model: tl.TransferModel
    report: Any
    predictions: Any
    run: Path
    images: Path


def prepare(folder: Path) -> Prepared:
    """Make what the writers need, on a disk that has room."""
    tf.config.run_functions_eagerly(False)
    os.environ["TL_KERAS_CACHE"] = str(folder / "cache")
    model = tiny_run.model()
    x, y = tiny_run.data()
    run, images = folder / "run", folder / "images"
    run.mkdir(parents=True)
    model.save(run / "model.keras")
    for number, (pixels, label) in enumerate(zip(x, y, strict=True)):
        path = images / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    report = tl.evaluate(model, (x, np.eye(3)[y]))
    return Prepared(model, report, tl.predict(model, x), run, images)


def _command(*words: Any) -> None:
    """Run the command line in this process, and raise `InputError` with what it says."""
    said: list[object] = []
    with mock.patch.object(command_line, "print_error", said.append):
        code = command_line.main([str(word) for word in words])
    if code:
        raise (InputError if code == 2 and len(said) == 1 else RuntimeError)(*map(str, said))


WRITERS: dict[str, tuple[str, Callable[[Prepared, Path], Any]]] = {
    "SavedModel": (
        "export",
        lambda made, path: tl.export.saved_model(made.model, path, overwrite=True),
    ),
    "TFLite": (
        "export.tflite",
        lambda made, path: tl.export.tflite(made.model, path, overwrite=True),
    ),
    "report as JSON": ("report.json", lambda made, path: made.report.to_json(path)),
    "report as picture": ("report.png", lambda made, path: made.report.plot(path)),
    "predictions as CSV": ("predictions.csv", lambda made, path: made.predictions.to_csv(path)),
    "predictions as JSON": ("predictions.json", lambda made, path: made.predictions.to_json(path)),
    "command predict": (
        "predicted.csv",
        lambda made, path: _command(
            "predict", made.run, made.images, "--format", "csv", "--output", path
        ),
    ),
    "command export": (
        "exported.tflite",
        lambda made, path: _command(
            *("export", made.run, "--format", "tflite", "--output", path, "--overwrite")
        ),
    ),
}
"""Name → what the file is called, and what writes it."""
