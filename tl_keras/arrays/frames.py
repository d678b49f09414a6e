"""Tables with named columns, of pandas or Polars: columns of two of them are matched by name."""

import sys
from collections.abc import Mapping
from typing import Any

from tl_keras.utils.errors import InputError


def column_names(X: Any) -> list[str] | None:
    """Return the names of the features, or None where they have none.

    As in scikit-learn names are strings: the numbers that pandas counts columns by are none. Names
    that occur twice tell nothing apart.
    """
    columns = getattr(X, "columns", None)
    names = [] if columns is None else list(columns)
    if not names or not all(isinstance(name, str) for name in names):
        return None
    return names if len(set(names)) == len(names) else None


def match_columns(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts with their columns in the order of the first that has names.

    Parts without names are returned as they are.

    Args:
        parts: Name of the part → its samples `(n, features)`.

    Raises:
        InputError: If two tables have columns of different names.
    """
    columns = {part: column_names(X) for part, X in parts.items()}
    named = {part: names for part, names in columns.items() if names is not None}
    if not named:
        return dict(parts)
    first, order = next(iter(named.items()))
    matched = {}
    for part, X in parts.items():
        names = named.get(part, order)
        if names == order:
            matched[part] = X
            continue
        if set(names) != set(order):
            raise InputError(
                f"{part}: expected the columns of {first!r}; "
                f"{_only(names, order, part)}{_only(order, names, first)}rename or select "
                "columns until both have the same. Their order does not matter."
            )
        matched[part] = X[order]
    return matched


def stack_frames(parts: Mapping[str, Any]) -> Any | None:
    """Return matched pandas frames as one with a new index, or None if any part is none.

    Args:
        parts: Name of the part → its samples `(n, features)`, as `match_columns` returns them.
    """
    pandas = sys.modules.get("pandas")
    frames = list(parts.values())
    if pandas is None or not all(isinstance(X, pandas.DataFrame) for X in frames):
        return None
    if any(column_names(X) is None for X in frames):
        return None
    return pandas.concat(frames, ignore_index=True)


def _only(names: list[str], others: list[str], part: str) -> str:
    known = set(others)
    alone = [name for name in names if name not in known]
    if not alone:
        return ""
    shown = ", ".join(map(repr, alone[:6])) + (" and more" if len(alone) > 6 else "")
    return f"only {part!r} has {shown}; "
