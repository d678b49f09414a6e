"""What an output stream can show."""

from typing import TextIO


def can_redraw(stream: TextIO | None) -> bool:
    """Return whether a line that was written can be drawn again: in a terminal or a notebook.

    In a file or a pipe, backspaces, carriage returns and colours would be kept as characters.
    """
    if stream is None:
        return False
    return stream.isatty() or type(stream).__module__.startswith(("ipykernel", "google.colab"))
