"""How many cases were tried, how many were survived, and which were lost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["Figures", "table"]


@dataclass
class Figures:
    """What came of the cases of one area.

    Attributes:
        tried: Number of cases.
        lost: What happened in each case that was not survived, with its name.
        note: What else there is to know, in a few words.
    """

    tried: int = 0
    lost: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def survived(self) -> int:
        """Number of cases that were not lost."""
        return self.tried - len(self.lost)

    def add(self, name: str, trouble: str | None) -> None:
        """Count a case.

        Args:
            name: Of the case.
            trouble: What happened that must not; None if it was survived.
        """
        self.tried += 1
        if trouble:
            self.lost.append(f"{name}: {trouble}")

    def extend(self, others: Iterable[tuple[str, str | None]]) -> "Figures":
        """Count cases, given as names and troubles, and return the figures."""
        for name, trouble in others:
            self.add(name, trouble)
        return self


def table(rows: Sequence[tuple[str, Figures, float]]) -> str:
    """Return a table in Markdown.

    Args:
        rows: Name of the area, its figures, and seconds that it took.
    """
    lines = ["| area | tried | survived | lost | seconds | |", "|-|-:|-:|-:|-:|-|"]
    for name, figures, seconds in rows:
        counts = f"{figures.tried:,} | {figures.survived:,} | {len(figures.lost):,}"
        lines.append(f"| {name} | {counts} | {seconds:.0f} | {figures.note} |")
    return "\n".join(lines) + "\n"
