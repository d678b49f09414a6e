"""What one look at all values of floating-point examples finds."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Values:
    """Range and finiteness of examples.

    Attributes:
        low: Smallest value; NaN or infinite where not all are finite.
        high: Largest value.
        not_finite: Number of examples with NaN or infinite values.
        first: Row of the first of these, −1 if there is none.
    """

    low: float = math.inf
    high: float = -math.inf
    not_finite: int = 0
    first: int = -1

    @classmethod
    def of(cls, x: np.ndarray, rows_at_once: int = 1024) -> "Values":
        """Look at examples without a copy of the whole array.

        Args:
            x: Examples `(n, …)` of a floating-point type.
            rows_at_once: Examples to look at together.
        """
        starts = range(0, len(x), rows_at_once) if x.size else ()
        parts = [x[start : start + rows_at_once] for start in starts]
        return cls.joined([_of_part(part) for part in parts], [len(part) for part in parts])

    @classmethod
    def joined(cls, parts: Sequence["Values"], lengths: Sequence[int]) -> "Values":
        """Return the values of parts that follow each other.

        Args:
            parts: What was found in each.
            lengths: Numbers of their examples.
        """
        first, start = -1, 0
        for part, length in zip(parts, lengths, strict=True):
            if first < 0 <= part.first:
                first = start + part.first
            start += length
        return cls(
            low=float(np.min([part.low for part in parts], initial=math.inf)),
            high=float(np.max([part.high for part in parts], initial=-math.inf)),
            not_finite=sum(part.not_finite for part in parts),
            first=first,
        )


def _of_part(x: np.ndarray) -> Values:
    low, high = float(x.min()), float(x.max())
    if math.isfinite(low) and math.isfinite(high):
        return Values(low, high)
    bad = ~np.isfinite(x).reshape(len(x), -1).all(axis=1)
    return Values(low, high, int(bad.sum()), int(np.argmax(bad)))
