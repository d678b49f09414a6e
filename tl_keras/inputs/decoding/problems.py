"""What was found about files that the user should know, and its table."""

import dataclasses
from collections.abc import Iterable

from tl_keras.utils.errors import printable

EXTENSIONS = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "PNG": {".png", ".apng"},
    "BMP": {".bmp", ".dib"},
    "GIF": {".gif"},
    "WEBP": {".webp"},
}
IMAGE_EXTENSIONS = frozenset().union(*EXTENSIONS.values())


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Something about a file that the user should know.

    Attributes:
        path: The file, relative to the folder or to the CSV file.
        kind: In two or three words, e.g. `"empty"`, `"not an image"`, `"truncated"`.
        detail: What was found.
        usable: Whether the file is used all the same; then this is only a note.
        expected: Whether leaving the file out is no fault, as with files of the system; then this
            is only a note, too.
    """

    path: str
    kind: str
    detail: str
    usable: bool = False
    expected: bool = False

    @property
    def is_note(self) -> bool:
        """Whether nothing that was meant to be used is left out."""
        return self.usable or self.expected


def problem_table(problems: Iterable[Problem], most: int | None = None) -> str:
    """Lay out problems as a table.

    Args:
        problems: The problems and notes.
        most: Rows to show at the most; None for all.

    Returns:
        Lines of text, problems before notes; empty if there are none. Control characters are
        escaped.
    """
    ordered = sorted(problems, key=lambda problem: problem.is_note)
    if not ordered:
        return ""
    header = ("file", "problem", "used", "detail")
    rows = [
        tuple(map(printable, (p.path, p.kind, "yes" if p.usable else "no", p.detail)))
        for p in ordered[:most]
    ]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in [header, *rows]
    ]
    if len(rows) < len(ordered):
        lines.append(f"… and {len(ordered) - len(rows)} more")
    return "\n".join(lines)
