"""Stratified splits that depend on nothing but names, labels and a seed."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tl_keras.utils.arguments import is_real
from tl_keras.utils.errors import InputError


def check_split(split: Any) -> tuple[float, ...]:
    """Return the fractions of a split as floats.

    Args:
        split: Fractions, each above 0, that sum to at most 1.

    Raises:
        InputError: If they are not.
    """
    expected = "split: expected fractions above 0 that sum to at most 1, such as (0.7, 0.15, 0.15)"
    if isinstance(split, (str, bytes)) or not isinstance(split, Sequence) or not split:
        raise InputError(f"{expected}, got {split!r}. For one part use split=None.")
    if not all(is_real(part) and 0 < part <= 1 for part in split):
        raise InputError(f"{expected}, got {tuple(split)}. Divide counts by their sum.")
    total = math.fsum(split)
    if total > 1 + 1e-6:
        raise InputError(f"{expected}, got {tuple(split)}, which sum to {total:g}.")
    return tuple(float(part) for part in split)


def stratified_split(
    names: Sequence[str], labels: np.ndarray, fractions: Sequence[float], seed: int
) -> list[np.ndarray]:
    """Split examples so that each part has every class in its proportion.

    Within a class, examples are ordered by a hash of seed and name: the same names and seed give
    the same split on every machine, and a file more or less moves few of the others.

    Args:
        names: A distinct name for each example.
        labels: Class numbers, `(n,)`.
        fractions: Size of each part as `check_split` returns it.
        seed: Another seed gives another split.

    Returns:
        Sorted row numbers of each part; no row is in two. A class with at least as many examples
        as there are parts is in every part.
    """
    parts: list[list[int]] = [[] for _ in fractions]
    for label in np.unique(labels):
        rows = [int(row) for row in np.flatnonzero(labels == label)]
        rows.sort(key=lambda row: _rank(names[row], seed))
        start = 0
        for part, count in zip(parts, _counts(len(rows), fractions), strict=True):
            part.extend(rows[start : start + count])
            start += count
    return [np.array(sorted(part), np.int64) for part in parts]


def balanced_split(
    names: Sequence[str], labels: Sequence[Sequence[int]], fractions: Sequence[float], seed: int
) -> list[np.ndarray]:
    """Split examples with any number of labels so that each part has its share of every label.

    Labels are dealt out from the rarest to the most frequent; each example goes to the part that
    lacks most of the label, then to the one that lacks most examples. Sechidis, Tsoumakas,
    Vlahavas: *On the Stratification of Multi-Label Data*, ECML PKDD 2011.

    Args:
        names: A distinct name for each example.
        labels: The numbers of each example's labels, each once.
        fractions: Size of each part as `check_split` returns it.
        seed: Another seed gives another split.

    Returns:
        Sorted row numbers of each part; no row is in two.
    """
    shares = [*fractions, 1 - math.fsum(fractions)]
    if shares[-1] < 1e-6:
        del shares[-1]
    order = sorted(range(len(names)), key=lambda row: _rank(names[row], seed))
    rows_of = [[] for _ in range(1 + max((max(own, default=-1) for own in labels), default=-1))]
    for row in order:
        for label in labels[row]:
            rows_of[label].append(row)
    left = np.array([len(rows) for rows in rows_of], np.int64)
    lacking = np.outer(left, shares)
    room = len(names) * np.array(shares)
    part_of = np.full(len(names), -1)

    def place(row: int, need: np.ndarray) -> None:
        # Sums of fractions that are equal but for rounding are equal.
        keys = [(round(need[part], 9), round(room[part], 9)) for part in range(len(shares))]
        best = keys.index(max(keys))
        part_of[row] = best
        room[best] -= 1
        for label in labels[row]:
            lacking[label, best] -= 1
            left[label] -= 1

    while left.any():
        label = int(np.argmin(np.where(left > 0, left, len(names) + 1)))
        for row in rows_of[label]:
            if part_of[row] < 0:
                place(row, lacking[label])
    for row in order:
        if part_of[row] < 0:
            place(row, room)
    return [np.flatnonzero(part_of == part) for part in range(len(fractions))]


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest()


def _counts(n: int, fractions: Sequence[float]) -> list[int]:
    """Share out `n` examples by largest remainders, at least one each where `n` allows."""
    total = min(n, max(round(n * math.fsum(fractions)), len(fractions)))
    ideal = [n * fraction for fraction in fractions]
    counts = [math.floor(share + 1e-9) for share in ideal]
    by_remainder = sorted(range(len(ideal)), key=lambda i: (counts[i] - ideal[i], -ideal[i]))
    for i in by_remainder[: max(0, total - sum(counts))]:
        counts[i] += 1
    while 0 in counts and max(counts) > 1:
        counts[counts.index(max(counts))] -= 1
        counts[counts.index(0)] += 1
    return counts
