"""The feature stores in a cache: what is known of each, and how they are removed."""

import contextlib
import os
import pathlib
import re
import shutil
import time
from typing import Any

from tl_keras.frozen.feature_store import META_FILE, read_meta
from tl_keras.utils.locks import is_locked

KEY = re.compile(r"[0-9a-f]{64}")
_REMOVED = ".removed-"
_REMOVED_STORE = re.compile(re.escape(_REMOVED) + r"\d+-[0-9a-f]{64}")
SECONDS_PER_DAY = 86_400


def kept_stores(features: pathlib.Path) -> list[dict[str, Any]]:
    """Return what is known of each store in a folder, the one used last first."""
    found = [_describe(path) for path in features.iterdir()] if features.is_dir() else []
    return sorted((one for one in found if one), key=lambda one: one["unused_days"])


def evict(features: pathlib.Path, most: int, spared: str = "") -> tuple[list[dict[str, Any]], int]:
    """Remove the stores that were used least recently until the others fit.

    Args:
        features: The folder of the stores.
        most: Bytes that may be left.
        spared: Key of a store that stays and does not count.

    Returns:
        The stores that were removed, and the bytes of those that are left. That is more than `most`
        where living processes use them.
    """
    for path in features.glob(f"{_REMOVED}*"):  # of a process that was killed meanwhile
        is_ours = _REMOVED_STORE.fullmatch(path.name) and not path.is_symlink()
        if is_ours and not _is_used(path):
            shutil.rmtree(path, ignore_errors=True)
    stores = [one for one in kept_stores(features) if one["key"] != spared]
    total, removed = sum(one["bytes"] for one in stores), []
    for one in reversed(stores):
        if total > most and remove(features / one["key"]):
            total -= one["bytes"]
            removed.append(one)
    return removed, total


def remove(path: pathlib.Path) -> bool:
    """Delete a store unless a living process reads or writes it, and return whether it is gone.

    It loses its name first, so that half of one is never read as a whole.
    """
    if _is_used(path):
        return False
    away = path.with_name(f"{_REMOVED}{os.getpid()}-{path.name}")
    try:
        path.rename(away)
    except FileNotFoundError:
        return True
    if _is_used(away):  # since a moment ago
        with contextlib.suppress(OSError):
            away.rename(path)
            return False
    shutil.rmtree(away, ignore_errors=True)
    return True


def _is_used(path: pathlib.Path) -> bool:
    return any(is_locked(lock) for lock in path.glob("*.lock"))


def _describe(path: pathlib.Path) -> dict[str, Any] | None:
    """Return the facts about a store; None for whatever else is in the folder."""
    if not KEY.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
        return None
    meta = read_meta(path)
    layout = meta.get("layout") or {}
    count, views = layout.get("count", "unknown"), layout.get("views", 1)
    marker = path / META_FILE
    try:
        used = (marker if marker.exists() else path).stat().st_mtime
    except FileNotFoundError:  # Another process has just removed it.
        return None
    return {
        "key": path.name,
        "model": meta.get("model", "unknown"),
        "examples": f"{count}" if views == 1 else f"{count} × {views} views",
        "bytes": sum(map(_size, path.iterdir())),
        "last_used": time.strftime("%Y-%m-%d %H:%M", time.localtime(used)),
        "unused_days": (time.time() - used) / SECONDS_PER_DAY,
    }


def _size(file: pathlib.Path) -> int:
    try:
        return file.lstat().st_size
    except FileNotFoundError:
        return 0
