"""`tl-keras predict`: labels and scores for image files."""

import csv
import enum
import glob
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tl_keras.cli.output import print_error, print_table
from tl_keras.errors import InputError, counted, decodable, printable

COLUMNS = ("file", "task", "rank", "label", "score", "error")


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
            "(code from its author: take it from people you trust).",
        ),
    ],
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILES...", help="Images, folders of images, or patterns: '*.jpg'."),
    ],
    format: Annotated[Format, typer.Option("--format", "-f", help="Format.")] = Format.table,
    top: Annotated[int, typer.Option(min=1, help="Labels per image, the best first.")] = 1,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write json or csv there.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Images at a time.")] = 32,
) -> None:
    """Predict the labels of images. Files that cannot be read are reported, the others predicted.

    The exit code is 1 if a file could not be read.
    """
    if output is not None and format is Format.table:
        raise InputError("--output: a table is for reading. Add --format csv or --format json.")
    paths = find_files(files)
    from tl_keras.cli.predictors import load_predictor

    predictor = load_predictor(model)
    results = []
    for path, scores, error in predictor.each(paths, batch_size):
        if scores is None:
            print_error(f"{printable(str(path))}: {error}")
        results.append(_result(decodable(str(path)), scores, error, predictor, top))
    _write(results, format, output)
    unread = sum("error" in result for result in results)
    if unread:
        print_error(f"{unread} of {counted(len(results), 'file')} could not be read")
        raise typer.Exit(1)


def find_files(words: Sequence[str]) -> list[Path]:
    """Return the files that names, folders and patterns stand for, each once.

    Folders give the image files in them and in their subfolders, sorted. A name that does not
    exist and is no pattern is kept: it is reported with the files that cannot be read.

    Raises:
        InputError: If a folder or a pattern stands for no file.
    """
    found: dict[Path, None] = {}
    for word in words:
        path = Path(word)
        if path.is_dir():
            files = _images_in(path)
        elif not path.exists() and glob.has_magic(word):
            matches = sorted(Path(match) for match in glob.glob(word, recursive=True))
            folders = [file for match in matches if match.is_dir() for file in _images_in(match)]
            files = [match for match in matches if match.is_file()] + folders
        else:
            files = [path]
        if not files:
            raise InputError(f"FILES: {word!r} stands for no image file. Check the spelling.")
        found |= dict.fromkeys(files)
    return list(found)


def _images_in(folder: Path) -> list[Path]:
    from tl_keras.data.walking import image_files_below

    return list(map(Path, image_files_below(folder)))


def _result(file: str, scores, error: str, predictor, top: int) -> dict[str, Any]:
    """Return what JSON says about a file."""
    if scores is None:
        return {"file": file, "error": error}
    tasks = {}
    for task, values in scores.items():
        best_first = (-values).argsort(kind="stable")[:top]
        order = range(len(values)) if task in predictor.regression else best_first
        names = predictor.labels[task]
        tasks[task] = [{"label": names[i], "score": float(values[i])} for i in order]
    if set(tasks) == {""}:
        return {"file": file, "predictions": tasks[""]}
    return {"file": file, "tasks": tasks}


def _rows(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each label of each file."""
    rows = []
    for result in results:
        if "error" in result:
            rows.append({"file": result["file"], "error": result["error"]})
        for task, found in result.get("tasks", {"": result.get("predictions", ())}).items():
            rows += [
                {"file": result["file"], "task": task, "rank": rank, **prediction}
                for rank, prediction in enumerate(found, start=1)
            ]
    return rows


def _write(results: list[dict[str, Any]], format: Format, output: Path | None) -> None:
    if format is Format.table:
        rows = _rows(results)
        columns = [c for c in COLUMNS if c != "error" and any(row.get(c) for row in rows)]
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
    if format is Format.json:
        text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_rows(results))
        text = buffer.getvalue()
    if output is None:
        typer.echo(text, nl=False)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    typer.echo(f"written: {output} ({counted(len(results), 'file')})")
