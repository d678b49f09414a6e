"""The figure that every plot is drawn on: headless, and shown by notebooks without pyplot."""

import io
import os
from pathlib import Path

from matplotlib.figure import Figure

from tl_keras.utils.writing import write_for_user

DPI = 120
"""Dots per inch of every figure."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#555555")
"""The palette of Okabe and Ito, which stays distinct under the common forms of colour blindness."""


class Picture(Figure):
    """A matplotlib figure outside of pyplot.

    No window is opened, the global backend stays as it is, and nothing has to be closed.
    Notebooks show the figure when it is the last value of a cell.
    """

    def __init__(self, width: float = 6.4, height: float = 4.8):
        super().__init__(figsize=(width, height), dpi=DPI, layout="constrained")

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()

    def write(self, path: str | os.PathLike | None) -> "Picture":
        """Save the figure when there is a path, making folders as needed, and return it.

        Args:
            path: A file whose suffix names the format (`.png`, `.pdf`, `.svg`), or None.

        Raises:
            InputError: If it cannot be written; what was there before is intact then.
        """
        if path is None:
            return self
        path = Path(path)
        path = path if path.suffix else Path(f"{os.fspath(path).rstrip('.')}.png")
        buffer = io.BytesIO()
        self.savefig(buffer, format=path.suffix[1:].lower())
        write_for_user(path, buffer.getvalue())
        return self


def shorten(name: str, length: int = 18) -> str:
    """Cut a label that is too long for an axis, with an ellipsis."""
    return name if len(name) <= length else name[: length - 1] + "…"


def plain(name: str) -> str:
    """Keep a label with dollar signs from being read as mathematics."""
    return name.replace("$", r"\$")
