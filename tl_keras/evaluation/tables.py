"""Tables as plain text, Markdown and values that strict JSON can hold."""

import io
import json
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tl_keras.utils.errors import printable
from tl_keras.utils.writing import write_for_user

WIDTH = 120


def text_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Render a table with the first column to the left and the others to the right.

    Args:
        title: Line above the table.
        columns: Headings.
        rows: Cells, as text.

    Returns:
        Lines of plain text without trailing blanks.
    """
    table = Table(box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    buffer = io.StringIO()
    Console(file=buffer, width=WIDTH, color_system=None, force_terminal=False).print(table)
    lines = [title, *(line.rstrip() for line in buffer.getvalue().splitlines())]
    return "\n".join(lines).strip("\n")


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Render a table in Markdown, the first column to the left and the others to the right."""
    rules = ["---", *["---:"] * (len(columns) - 1)]
    lines = [
        [printable(cell).replace("|", r"\|") for cell in row] for row in (columns, rules, *rows)
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def number(value: float | None, signed: bool = False) -> str:
    """Write a value with four digits after the point; `"–"` stands for undefined."""
    if value is None or math.isnan(value):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:{'+' if signed else ''}.3e}"
    return f"{value:{'+' if signed else ''}.4f}"


def jsonable(value: Any) -> Any:
    """Turn arrays into lists, and NaN and infinity into None, at every depth."""
    if isinstance(value, dict):
        return {str(key): jsonable(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(values: dict, path: str | os.PathLike | None) -> str:
    """Return strict JSON (no NaN) with a newline at its end, and save it if there is a path."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if path is not None:
        write_for_user(path, text)
    return text
