"""What the commands print: tables, one-line errors and warnings, examples in the help."""

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TextIO

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tl_keras.utils.errors import printable

WIDEST = 10_000
"""Width of tables in characters where no terminal limits it."""


def examples(*commands: str) -> str:
    """Return the last paragraph of a command's help: its examples, one a line."""
    return "\n\n".join(["[bold]Examples[/bold]", *map(escape, commands)])


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], numbers: int = 0) -> None:
    """Print a table to standard output, in its full width where that is no terminal.

    Args:
        columns: Headings.
        rows: Cells; None leaves one empty.
        numbers: How many of the last columns are aligned to the right.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, column in enumerate(columns):
        right = index >= len(columns) - numbers
        table.add_column(Text(column), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in row))
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    text = io.StringIO()
    Console(file=text, width=WIDEST, color_system=None).print(table)
    typer.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def one_line(message: object) -> str:
    """Return a message on one line: breaks and runs of blanks are single blanks.

    Other control characters are escaped.
    """
    return printable(" ".join(str(message).split()))


def _list_on_one_line(details: str) -> str:
    text, before = "", ""
    for line in filter(str.strip, details.splitlines()):
        if before.startswith(" ") and text[-1] not in ".;:!?…":
            text += ";" if line.startswith(" ") else "."
        text += f" {line.strip()}"
        before = line
    return text


def print_error(message: object) -> None:
    """Print `error: …` to standard error as one line, after the details if there are any.

    The first line of a message is the error. What follows is joined to it if it ends in a colon,
    indented lines as a list, and is printed above it otherwise, such as a table of broken files.
    """
    first, _, details = str(message).strip().partition("\n")
    if first.rstrip().endswith(":"):
        first, details = f"{first} {_list_on_one_line(details)}", ""
    if details.strip():
        typer.echo(details.strip("\n"), err=True)
    typer.echo(f"error: {one_line(first)}", err=True)


def print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning without its place in the source; stands in for `warnings.showwarning`."""
    del filename, lineno, file, line
    if issubclass(category, UserWarning | RuntimeWarning):
        typer.echo(f"warning: {message}", err=True)


@contextlib.contextmanager
def readable_warnings(worded: Callable[[str], str] = str) -> Iterator[None]:
    """Print warnings for readers instead of programmers within the context.

    Args:
        worded: What is made of a message first.
    """

    def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
        print_warning(worded(str(message)), category, *where)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def share_or_none(value: float | None) -> float | None:
    """Return the value of an option that is a share from 0 to 1; a callback of typer."""
    if value is not None and not 0 <= value <= 1:
        raise typer.BadParameter(f"expected a share from 0 to 1, such as 0.9, got {value:g}")
    return value


def patience(value: str) -> int | str | None:
    """Return a number of epochs, `"auto"`, or None for `none`; a callback of typer."""
    if value in ("auto", "none"):
        return None if value == "none" else value
    if not value.isdecimal() or int(value) < 1:
        raise typer.BadParameter(f"expected a number of epochs ≥ 1, auto or none, got {value!r}")
    return int(value)


def class_or_number(word: str | None, class_names: Sequence[str]) -> str | int | None:
    """Return the word as a class, or as its number where no class is called so."""
    if word is None or not word.isdecimal() or word in class_names:
        return word
    return int(word)


def between(
    low: float, high: float = math.inf, *, with_high: bool = False
) -> Callable[[float | None], float | None]:
    """Return a callback of typer that takes numbers between two others, and None.

    Args:
        low: The value has to be above this.
        high: The value has to be below this.
        with_high: Whether it may also be `high`.
    """
    upper = "" if high == math.inf else f" and {'up to' if with_high else 'below'} {high:g}"

    def check(value: float | None) -> float | None:
        if value is not None and not (low < value < high or (with_high and value == high)):
            raise typer.BadParameter(f"expected a number above {low:g}{upper}, got {value:g}")
        return value

    return check


def check_accuracy(reached: float, wanted: float | None, data: str) -> None:
    """End the command with exit code 1 if an accuracy was wanted and is not reached.

    Args:
        reached: Measured accuracy, 0 … 1.
        wanted: The accuracy asked for, or None.
        data: What the accuracy was measured on, in words.
    """
    if wanted is None:
        return
    if reached >= wanted:
        typer.echo(f"accuracy on {data}: wanted at least {wanted:g}, reached {reached:.4f}")
        return
    print_error(f"accuracy on {data}: wanted at least {wanted:g}, reached {reached:.4f}")
    raise typer.Exit(1)
