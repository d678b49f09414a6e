"""A CSV file or a DataFrame as columns of cells, each with the place it stands at."""

import csv
import dataclasses
import io
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from tl_keras.arrays.marks import is_missing
from tl_keras.inputs.decoding.problems import Problem
from tl_keras.utils.errors import InputError, decodable, did_you_mean
from tl_keras.utils.regular_files import LARGEST_BYTES, open_regular, require_regular


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells by column and row.

    Attributes:
        source: What messages call the table.
        folder: Where relative paths start.
        columns: Column name → cells; text without blanks at its ends, None where nothing stands.
        places: What messages call each row.
        problems: What is wrong with rows.
    """

    source: str
    folder: pathlib.Path
    columns: dict[str, list]
    places: list[str]
    problems: list[Problem]

    def cells(self, column: str, argument: str) -> list:
        """Return a column.

        Raises:
            InputError: If there is none of this name.
        """
        if column not in self.columns:
            names = [decodable(str(name)) for name in self.columns]
            raise InputError(
                f"{argument}: {self.source} has no column {column!r}."
                f"{did_you_mean(str(column), names)} Name one of its columns, {names}."
            )
        return self.columns[column]


def read_table(table: Any, folder: str | os.PathLike | None = None) -> Table:
    """Read a CSV file in UTF-8, or a DataFrame.

    Args:
        table: Path of the file, or the DataFrame.
        folder: Where relative paths start; by default the folder of the file, or the working
            directory.

    Raises:
        InputError: If there is no such table.
    """
    if isinstance(table, (str, os.PathLike)):
        source = pathlib.Path(table).expanduser()
        require_regular(source, "table")
        if not source.is_file():
            what = "a folder" if source.is_dir() else "no file"
            raise InputError(
                f"table: expected a CSV file or a DataFrame, got {str(table)!r}, which is {what} "
                f"(working directory {os.getcwd()!r}). Class folders are read by "
                "tl.data.image_folder."
            )
        return _read_csv(source, pathlib.Path(folder or source.parent).expanduser())
    if hasattr(table, "columns") and hasattr(table, "__getitem__"):
        return _read_frame(table, pathlib.Path(folder or ".").expanduser())
    raise InputError(
        f"table: expected a CSV file or a DataFrame, got {type(table).__name__}. Arrays go to "
        "tl.fine_tune and tl.evaluate as they are."
    )


def _read_csv(source: pathlib.Path, folder: pathlib.Path) -> Table:
    try:
        # File names may hold bytes that are not UTF-8: `check_utf8` looks at the other cells.
        with io.TextIOWrapper(
            open_regular(source, LARGEST_BYTES), "utf-8-sig", "surrogateescape", newline=""
        ) as stream:
            reader = csv.reader(stream, skipinitialspace=True)
            header = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except OSError as error:
        raise InputError(f"table: {str(source)!r} cannot be read: {error.strerror}.") from error
    except csv.Error as error:
        raise not_utf8(repr(str(source)), str(error)) from error
    if any(decodable(name) != name for name in header):
        raise not_utf8(repr(str(source)), f"its header is {[decodable(name) for name in header]}")
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise InputError(f"table: {str(source)!r} has several columns {repeated}. Rename them.")
    problems, kept = [], []
    for line, row in rows:
        cells = [cell.strip() or None for cell in row]
        if any(cells[len(header) :]):
            detail = (
                f"line {line} of {source.name} has {len(row)} cells for {len(header)} columns; "
                "quote a cell that holds commas"
            )
            problems.append(Problem(decodable(row[0]), "too many cells", detail))
            continue
        cells += [None] * (len(header) - len(cells))
        kept.append((f"line {line} of {source.name}", cells))
    columns = {name: [cells[index] for _, cells in kept] for index, name in enumerate(header)}
    return Table(repr(str(source)), folder, columns, [place for place, _ in kept], problems)


def not_utf8(source: str, detail: str) -> InputError:
    """Return the error about a file in another encoding."""
    return InputError(
        f"table: {source} is not a CSV file in UTF-8: {detail}. Export it again as "
        "comma-separated UTF-8 text."
    )


def _read_frame(frame: Any, folder: pathlib.Path) -> Table:
    names = list(frame.columns)
    if len(set(names)) < len(names):
        raise InputError(f"table: the DataFrame has columns of the same name: {names}.")
    columns = {name: [_cell(cell) for cell in frame[name]] for name in names}
    count = max(map(len, columns.values()), default=0)
    index = list(getattr(frame, "index", range(count)))
    return Table("the DataFrame", folder, columns, [f"row {label}" for label in index], [])


def _cell(cell: Any) -> Any:
    """Return a cell of a DataFrame, None for what pandas calls missing."""
    if isinstance(cell, str):
        return cell.strip() or None
    if hasattr(cell, "item") and getattr(cell, "shape", None) == ():
        cell = cell.item()
    return None if is_missing(cell) else cell


def text_of(cell: Any) -> str:
    """Return a cell as text: floats that are integers without the point."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.decode("utf-8", "surrogateescape") if isinstance(cell, bytes) else str(cell)


def number_of(cell: Any) -> float | None:
    """Return a cell as a number, or None."""
    if isinstance(cell, str) and "_" in cell:  # Digits are grouped so in Python, not in tables.
        return None
    if isinstance(cell, (str, int, float)):
        try:
            return float(cell)
        except ValueError:
            return None
    return None


def check_utf8(table: Table, cells: Sequence[Any]) -> None:
    """Raise `InputError` if cells of a CSV file hold bytes that are not UTF-8."""
    strange = [cell for cell in cells if isinstance(cell, str) and decodable(cell) != cell]
    if strange:
        raise not_utf8(table.source, f"it holds {decodable(strange[0])!r}")
