"""Where an export is written: complete or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tl_keras.errors import InputError


@contextlib.contextmanager
def staged(
    path: str | os.PathLike, *, overwrite: bool, is_export: Callable[[Path], bool]
) -> Iterator[Path]:
    """Give a place to write to, which becomes `path` when the block ends without an error.

    The place is a hidden neighbour of `path`, so that moving it is a rename. If the block fails,
    the neighbour goes and what was at `path` stays.

    Args:
        path: File or directory to appear.
        overwrite: Whether an earlier export at `path` may be replaced.
        is_export: Tells whether what is at `path` is an earlier export; nothing else is replaced.

    Yields:
        The place to write to, which does not exist yet and has the last part of `path` as name.

    Raises:
        InputError: If `path` is taken, or its directory cannot be written.
    """
    target = _resolve(path)
    _check_free(target, path, overwrite, is_export)
    with _neighbour(target, path) as workplace:
        new, old = workplace / "new" / target.name, workplace / "old"
        new.parent.mkdir()
        yield new
        try:
            if target.is_dir():
                os.rename(target, old)
            os.replace(new, target)
        except BaseException as error:
            if old.exists() and not target.exists():
                os.rename(old, target)
            if isinstance(error, OSError):
                raise _cannot_write(path, error) from error
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
    if not target.exists() or (target.is_dir() and _is_empty(target, path)):
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


def _is_empty(target: Path, path) -> bool:
    try:
        return next(target.iterdir(), None) is None
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextlib.contextmanager
def _neighbour(target: Path, path) -> Iterator[Path]:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield workplace
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _cannot_write(path, error: OSError) -> InputError:
    return InputError(
        f"path: cannot write {os.fspath(path)!r} ({error.strerror or error}). Choose a directory "
        "that you may write to."
    )
