"""`tl-keras predict`: labels and scores for image files."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from tl_keras.cli.loading import Trust
from tl_keras.cli.output import print_error, print_table
from tl_keras.predictions.files import find_files
from tl_keras.predictions.table import COLUMNS, Predictions, result
from tl_keras.utils.errors import InputError, counted, decodable, printable
from tl_keras.utils.writing import write_for_user


class Format(str, enum.Enum):
    """Formats of predictions."""

    table = "table"
    json = "json"
    csv = "csv"


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_SAVEDMODEL",
            help="Directory of a run, a .keras file, or a SavedModel from `tl-keras export` "
            "(refused if it may reach files or the network).",
        ),
    ],
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILES...", help="Images, folders of images, or patterns: '*.jpg'."),
    ],
    format: Annotated[
        Format | None,
        typer.Option(
            "--format", "-f", help="By default what FILE's name ends in, or a table without FILE."
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Labels per image, the best first.")] = 1,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write json or csv there.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Images at a time.")] = 32,
    trust: Trust = False,
) -> None:
    """Predict the labels of images. Files that cannot be read are reported, the others predicted.

    The exit code is 1 if a file could not be read.
    """
    format = format or _format_of(output)
    if output is not None and format is Format.table:
        raise InputError("--output: a table is for reading. Add --format csv or --format json.")
    paths = find_files(files)
    from tl_keras.cli.predictors import load_predictor

    predictor = load_predictor(model, trust)
    results = []
    for path, scores, error in predictor.each(paths, batch_size):
        if scores is None:
            print_error(f"{printable(str(path))}: {error}")
        name = decodable(str(path))
        results.append(result(name, scores, error, predictor.labels, predictor.regression, top))
    _write(Predictions(results), format, output)
    unread = sum("error" in result for result in results)
    if unread:
        print_error(f"{unread} of {counted(len(results), 'file')} could not be read")
        raise typer.Exit(1)


def _format_of(output: Path | None) -> Format:
    named = {".csv": Format.csv, ".json": Format.json}
    return Format.table if output is None else named.get(output.suffix.lower(), Format.table)


def _write(predictions: Predictions, format: Format, output: Path | None) -> None:
    if format is Format.table:
        rows = predictions.rows
        columns = [c for c in COLUMNS if c != "error" and any(row.get(c, "") != "" for row in rows)]
        if all(row.get("rank", 1) == 1 for row in rows):
            columns = [column for column in columns if column != "rank"]
        predicted = [row for row in rows if "label" in row]
        if predicted:
            print_table(
                columns,
                [
                    [f"{row[c]:.4f}" if c == "score" else row[c] for c in columns]
                    for row in predicted
                ],
                numbers=1,
            )
        return
    text = predictions.to_json() if format is Format.json else predictions.to_csv()
    if output is None:
        typer.echo(text, nl=False)
        return
    write_for_user(output, text, "--output")
    typer.echo(f"written: {output} ({counted(len(predictions), 'file')})")
