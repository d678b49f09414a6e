"""Where an export is written: complete or not at all."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tl_keras.utils.errors import InputError
from tl_keras.utils.writing import (
    cannot_write,
    disk_error,
    left_partials_of,
    partial_beside,
    put_in_place,
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
    with partial_beside(target) as workplace:
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
            try:
                if target.is_dir():
                    os.rename(target, old)
                put_in_place(new, target)
            except BaseException:
                if old.exists() and not target.exists():
                    os.rename(old, target)
                raise


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
        if (partial / OLD).exists() and not target.exists():
            os.rename(partial / OLD, target)
    remove_partials_of(target)
