"""`tl-keras export`: a trained model in the format that a server or a device wants."""

import enum
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from tl_keras.cli import tables
from tl_keras.cli.loading import Trust, image_size_of, load_model
from tl_keras.utils.errors import InputError


class Format(str, enum.Enum):
    """Formats of export."""

    saved_model = "saved_model"
    tflite = "tflite"
    tflite_int8 = "tflite-int8"
    onnx = "onnx"


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Directory of a run, or a .keras file.")
    ],
    format: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            help="saved_model takes image bytes and answers with labels; the others take pixels.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write; saved_model: a directory.")
    ],
    representative: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Class folders or CSV file with images like those in use, for tflite-int8.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export.")
    ] = False,
    trust: Trust = False,
) -> None:
    """Export a trained model as a SavedModel, for TensorFlow Lite, or for ONNX."""
    if format is Format.tflite_int8 and representative is None:
        raise InputError(
            "--representative: tflite-int8 needs images to measure the ranges of values on. Pass "
            "the training images, such as --representative cells/."
        )
    if format is not Format.tflite_int8 and representative is not None:
        raise InputError(f"--representative: {format.value} does not use it; leave it out.")
    model = load_model(run, trust=trust)
    from tl_keras import export as exporting

    if format is Format.saved_model:
        exporting.saved_model(model, output, overwrite=overwrite)
    elif format is Format.onnx:
        exporting.onnx(model, output, overwrite=overwrite)
    elif representative is None:
        exporting.tflite(model, output, overwrite=overwrite)
    else:
        images = representative_images(model, representative)
        exporting.tflite(model, output, quantize="int8", representative=images, overwrite=overwrite)
    typer.echo(f"written: {output} ({size_of(output) / 1e6:.1f} MB)")


def representative_images(model: Any, data: Path) -> Any:
    """Return the images of class folders or of a CSV file with the columns of the model."""
    columns = tables.columns_for(model, data, None)
    reading = {"image_size": image_size_of(model), "pixel_range": model.pixel_range}
    try:
        return tables.read_images(data, columns, "--representative", **reading)
    except InputError as error:
        # The command has no options for columns.
        text = re.sub(r"^--(path-column|label|task)(\[[^\]]*\])?:", "--representative:", str(error))
        raise InputError(text) from error


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a directory."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
