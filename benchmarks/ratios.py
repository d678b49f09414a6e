"""Ours against a peer in the same run, alternated, so that a noisy machine is noisy for both."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence

HEADER = "| work | ours | peer | ratio | must |\n|-|-|-|-|-|"


@dataclasses.dataclass(frozen=True)
class Measured:
    """Medians over alternated runs.

    Attributes:
        ours: Seconds.
        peer: Seconds.
        ratio: Median of peer ÷ ours over the pairs of runs: above 1, ours is faster.
    """

    ours: float
    peer: float
    ratio: float


def alternate(ours: Callable[[], object], peer: Callable[[], object], runs: int = 3) -> Measured:
    """Time two functions in turns.

    Args:
        ours: Called once per run.
        peer: Called once per run, right after.
        runs: How many pairs.
    """
    return medians([(seconds(ours), seconds(peer)) for _ in range(runs)])


def medians(pairs: Sequence[tuple[float, float]]) -> Measured:
    """Return the medians over pairs of seconds, ours and the peer's."""
    return Measured(
        statistics.median(own for own, _ in pairs),
        statistics.median(other for _, other in pairs),
        statistics.median(other / own for own, other in pairs),
    )


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def print_row(work: str, measured: Measured, must: str = "") -> None:
    """Print one line of the table that `HEADER` begins."""
    print(
        f"| {work} | {measured.ours:.2f} s | {measured.peer:.2f} s | {measured.ratio:.2f}× | "
        f"{must} |",
        flush=True,
    )
