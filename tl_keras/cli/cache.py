"""`tl-keras cache`: the stored outputs of frozen layers, what they take and how to clear them."""

import json as json_format
import re
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from tl_keras.cli.loading import start_tensorflow
from tl_keras.cli.output import print_table
from tl_keras.errors import counted

KEY = re.compile(r"[0-9a-f]{64}")
SHOWN_DIGITS = 12
SHOWN = ("model", "examples", "last_used")
SECONDS_PER_DAY = 86_400


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete what is not in use.")] = False,
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", min=0.0, help="Only what was last used so many days ago."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="The cache, if it is not $TL_KERAS_CACHE or the default."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the stored outputs of frozen layers, or delete them.

    Training fills the cache by itself and computes again what is missing.
    """
    start_tensorflow()
    from tl_keras.data.feature_cache import features_folder, size_text

    features = features_folder(folder)
    stores = stored(features)
    if older_than is not None:
        stores = [one for one in stores if one["unused_days"] >= older_than]
    cleared = [one for one in stores if clear and remove(features / one["key"])]
    left = [one for one in stores if one not in cleared]
    if json:
        typer.echo(json_format.dumps({"stores": left, "cleared": cleared}, indent=2))
        return
    if clear:
        typer.echo(f"cleared {_total(cleared)}, in {features}")
        if left:
            typer.echo("\nleft alone, because a running process uses them:")
    elif not left:
        typer.echo(f"no stored features in {features}")
    if left:
        rows = [
            (one["key"][:SHOWN_DIGITS], *(one[name] for name in SHOWN), size_text(one["bytes"]))
            for one in left
        ]
        print_table(("key", "frozen layers", "examples", "last used", "size"), rows, numbers=1)
        typer.echo(f"\n{_total(left)}, in {features}")


def stored(features: Path) -> list[dict[str, Any]]:
    """Return what is known of each store in a folder, the one used last first."""
    found = [_describe(path) for path in features.iterdir()] if features.is_dir() else []
    return sorted((one for one in found if one), key=lambda one: one["unused_days"])


def remove(path: Path) -> bool:
    """Delete a store unless a living process reads or writes it, and return whether it is gone.

    What says that it is a store goes first, so that nobody takes half of one for a whole.
    """
    from tl_keras.data.feature_store import META_FILE
    from tl_keras.locks import is_locked

    if any(is_locked(lock) for lock in path.glob("*.lock")):
        return False
    (path / META_FILE).unlink(missing_ok=True)
    shutil.rmtree(path)
    return True


def _total(stores: list[dict[str, Any]]) -> str:
    from tl_keras.data.feature_cache import size_text

    return f"{counted(len(stores), 'store')}, {size_text(sum(one['bytes'] for one in stores))}"


def _describe(path: Path) -> dict[str, Any] | None:
    """Return the facts about a store; None for whatever else is in the folder."""
    from tl_keras.data.feature_store import META_FILE, read_meta

    if not KEY.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
        return None
    meta = read_meta(path)
    layout = meta.get("layout") or {}
    count, views = layout.get("count", "unknown"), layout.get("views", 1)
    marker = path / META_FILE
    used = (marker if marker.exists() else path).stat().st_mtime
    return {
        "key": path.name,
        "model": meta.get("model", "unknown"),
        "examples": f"{count}" if views == 1 else f"{count} × {views} views",
        "bytes": sum(file.lstat().st_size for file in path.iterdir()),
        "last_used": time.strftime("%Y-%m-%d %H:%M", time.localtime(used)),
        "unused_days": (time.time() - used) / SECONDS_PER_DAY,
    }
