"""`tl-keras cache`: the stored outputs of frozen layers, what they take and how to clear them."""

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer

from tl_keras.cli.loading import start_tensorflow
from tl_keras.cli.output import print_table
from tl_keras.utils.errors import InputError, counted

SHOWN_DIGITS = 12
SHOWN = ("model", "examples", "last_used")


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete what is not in use.")] = False,
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", min=0.0, help="Only what was last used so many days ago."),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(
            "--limit",
            metavar="SIZE",
            help="Delete what was used least recently until no more than this is left: 20GB.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="The cache, if it is not $TL_KERAS_CACHE or the default."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the stored outputs of frozen layers, or delete them.

    Training fills the cache by itself and computes again what is missing. It keeps the cache below
    $TL_KERAS_CACHE_BYTES, by default half of the disk, in the same way as --limit.
    """
    if limit is not None and (clear or older_than is not None):
        raise InputError("--limit: cannot be combined with --clear or --older-than. Choose one.")
    start_tensorflow()
    from tl_keras.frozen.feature_cache import bytes_of, features_folder
    from tl_keras.frozen.kept_stores import evict, kept_stores, remove

    features = features_folder(folder)
    most = None if limit is None else bytes_of(limit, "--limit")
    stores = kept_stores(features)
    if older_than is not None:
        stores = [one for one in stores if one["unused_days"] >= older_than]
    if most is None:
        cleared = [one for one in stores if clear and remove(features / one["key"])]
    else:
        cleared = evict(features, most)[0]
    gone = {one["key"] for one in cleared}
    left = [one for one in stores if one["key"] not in gone]
    if json:
        typer.echo(json_format.dumps({"stores": left, "cleared": cleared}, indent=2))
        return
    if most is not None:
        typer.echo(f"cleared {_total(cleared)}, in {features}" + ("\n" if left else ""))
    elif clear:
        typer.echo(f"cleared {_total(cleared)}, in {features}")
        if left:
            typer.echo("\nleft alone, because a running process uses them:")
    elif not left:
        typer.echo(f"no stored features in {features}")
    if left:
        from tl_keras.frozen.feature_cache import size_text

        rows = [
            (one["key"][:SHOWN_DIGITS], *(one[name] for name in SHOWN), size_text(one["bytes"]))
            for one in left
        ]
        print_table(("key", "frozen layers", "examples", "last used", "size"), rows, numbers=1)
        typer.echo(f"\n{_total(left)}, in {features}")


def _total(stores: list[dict[str, Any]]) -> str:
    from tl_keras.frozen.feature_cache import size_text

    return f"{counted(len(stores), 'store')}, {size_text(sum(one['bytes'] for one in stores))}"
