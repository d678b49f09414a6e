"""Where an export is written: complete or not at all."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tl_keras.utils.durable import name_to_disk, tree_to_disk
from tl_keras.utils.errors import InputError, first_line
from tl_keras.utils.exchange import exchange
from tl_keras.utils.writing import (
    cannot_write,
    disk_error,
    left_partials_of,
    partial_beside,
    readable_write_errors,
    remove_partials_of,
)

OLD = "old"


@contextlib.contextmanager
def staged(
    path: str | os.PathLike, *, overwrite: bool, is_export: Callable[[Path], bool]
) -> Iterator[Path]:
    """Give a place to write to, which becomes `path` when the block ends without an error.

    The place is in a hidden neighbour of `path`, so that moving it is a rename. If the block fails,
    the neighbour goes and what was at `path` stays. What is left of exports that were killed goes
    with the next one; an earlier export among it comes back.

    Args:
        path: File or directory to appear.
        overwrite: Whether an earlier export at `path` may be replaced.
        is_export: Tells whether what is at `path` is an earlier export; nothing else is replaced.

    Yields:
        The place to write to, which does not exist yet and has the last part of `path` as name.

    Raises:
        InputError: If `path` is taken, or cannot be written, as on a full disk.
    """
    target = _resolve(path)
    with readable_write_errors(path):
        _clean_up(target)
        _check_free(target, path, overwrite, is_export)
        target.parent.mkdir(parents=True, exist_ok=True)
    with partial_beside(target, lambda place: _is_without(target, place / OLD)) as workplace:
        new, old = workplace / "new" / target.name, workplace / OLD
        with readable_write_errors(path):
            new.parent.mkdir(parents=True)
        try:
            yield new
        except Exception as error:
            of_disk = None if isinstance(error, InputError) else disk_error(error)
            if of_disk is not None:
                raise cannot_write(path, of_disk) from error
            raise
        with readable_write_errors(path):
            tree_to_disk(new)  # What may fail comes before anything moves.
            if not (target.is_dir() and exchange(new, target)):
                _replace(new, target, old)
            name_to_disk(target)


def _replace(new: Path, target: Path, old: Path) -> None:
    """Move `new` to `target`, and what is there to `old`; back if that fails."""
    try:
        if target.is_dir():
            os.rename(target, old)
        os.replace(new, target)
    except BaseException as error:
        if _is_without(target, old):
            try:
                os.rename(old, target)
            except OSError:
                raise InputError(
                    f"path: cannot write {str(target)!r} ({first_line(error)}). The earlier export "
                    f"is in {str(old)!r}, and the next one puts it back; or move it yourself."
                ) from error
        raise


def _is_without(target: Path, old: Path) -> bool:
    """Return whether the earlier export is at `old` alone, where the next export looks for it."""
    return old.exists() and not target.exists()


def check_suffix(path: str | os.PathLike, suffix: str) -> None:
    """Refuse a path whose name does not end in `suffix`.

    Raises:
        InputError: If it is no path, or has another ending.
    """
    target = _resolve(path)
    if target.suffix != suffix:
        raise InputError(
            f"path: expected a file name that ends in {suffix}, got {os.fspath(path)!r}. "
            f"Use {target.stem + suffix!r}."
        )


def _resolve(path: str | os.PathLike) -> Path:
    """Return `path` as an absolute path without links, so that a link to an export stays one."""
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise InputError(f"path: expected the path to write to, got {path!r}.")
    return Path(path).expanduser().resolve()


def _check_free(target: Path, path, overwrite: bool, is_export: Callable[[Path], bool]) -> None:
    if not target.exists() or (target.is_dir() and next(target.iterdir(), None) is None):
        return
    if not is_export(target):
        raise InputError(
            f"path: {os.fspath(path)!r} exists and is no earlier export, so it is not replaced. "
            "Choose another path or remove it."
        )
    if not overwrite:
        raise InputError(
            f"path: {os.fspath(path)!r} exists. Pass overwrite=True to replace it, or choose "
            "another path."
        )


def _clean_up(target: Path) -> None:
    """Remove what killed exports left, once the export that they were to replace is back."""
    for partial in left_partials_of(target):
        if _is_without(target, partial / OLD):
            os.rename(partial / OLD, target)
    remove_partials_of(target)
