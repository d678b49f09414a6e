"""Where two JSON values differ, and nothing of what they have in common."""

import json
from collections.abc import Iterator
from typing import Any

SHOWN = 6
"""Differences of one value that are listed."""
CONTEXT, LONGEST = 20, 60
"""Characters of a long text before its first difference, and of it at the most."""


def differences(name: str, before: Any, now: Any) -> list[str]:
    """Return one line for each place where two JSON values differ.

    Args:
        name: What the value is called; places in it are `name[2].field`.
        before: One value.
        now: The other.

    Returns:
        Lines such as `stages[1].epochs: 5 before, 8 now`, the first few of many.
    """
    found = list(_places(name, before, now))
    lines = [f"{place}: {one} before, {other} now" for place, one, other in found[:SHOWN]]
    return lines + [f"{name}: {len(found) - SHOWN} more"] * (len(found) > SHOWN)


def _places(place: str, before: Any, now: Any) -> Iterator[tuple[str, str, str]]:
    if before == now and type(before) is type(now):
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from _places(f"{place}.{key}", before.get(key, _NOTHING), now.get(key, _NOTHING))
    elif isinstance(before, list) and isinstance(now, list):
        if len(before) != len(now):
            yield place, f"{len(before)} of them", f"{len(now)} of them"
        pairs = zip(before, now, strict=False)
        for index, (one, other) in enumerate(pairs):
            yield from _places(f"{place}[{index}]", one, other)
        for index in range(min(len(before), len(now)), max(len(before), len(now))):
            one, other = ([*part, _NOTHING][min(index, len(part))] for part in (before, now))
            yield f"{place}[{index}]", *_texts(one, other)
    else:
        yield place, *_texts(before, now)


def _texts(before: Any, now: Any) -> tuple[str, str]:
    """Return both values as text; of long ones what is around the first difference."""
    before, now = (
        "nothing" if value is _NOTHING else json.dumps(value, ensure_ascii=False)
        for value in (before, now)
    )
    if max(len(before), len(now)) <= LONGEST:
        return before, now
    pairs = enumerate(zip(before, now, strict=False))
    first = next((i for i, (one, other) in pairs if one != other), min(len(before), len(now)))
    start = max(0, first - CONTEXT)

    def cut(text: str) -> str:
        end = start + LONGEST
        return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")

    return cut(before), cut(now)


_NOTHING = object()
