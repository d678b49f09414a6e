"""The folder of a SavedModel, which may come from a stranger: what it may hold, and copies."""

import os
import shutil
import stat
from collections.abc import Iterator

from tl_keras.utils.errors import InputError, first_line, printable, shortened

__all__ = ["copy_folder", "link_outside", "require_files"]


def require_files(folder: str, source: str) -> None:
    """Raise `InputError` if a folder holds pipes, devices or sockets.

    TensorFlow opens files of a SavedModel by their names, and would wait in them without end.

    Args:
        folder: The folder.
        source: What the user named it by.
    """
    for path in _files_in(folder):
        try:
            mode = os.stat(path).st_mode
        except OSError:  # Links that lead nowhere.
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise InputError(
                f"source: {source!r} holds {shortened(os.path.relpath(path, folder))}, which is a "
                "pipe, a device or a socket. A SavedModel has files only: remove it."
            )


def link_outside(folder: str) -> str | None:
    """Return the path, inside a folder, of a link to a file elsewhere; None if there is none.

    Through it, a model that is saved would take along what its author chose to link to. Links to
    folders count too, for they may be endless. Those of Hugging Face's cache, from a snapshot to
    its blobs, do not.
    """
    inside = [os.path.realpath(folder)]
    above, snapshots, _ = inside[0].rpartition(f"{os.sep}snapshots{os.sep}")
    if snapshots:
        inside.append(os.path.join(above, "blobs"))
    for path in _files_in(folder):
        if os.path.islink(path):
            target = os.path.realpath(path)
            stays = any(target.startswith(os.path.join(one, "")) for one in inside)
            if os.path.isdir(target) or not stays:
                return printable(os.path.relpath(path, folder))
    return None


def copy_folder(folder: str, target: str, source: str, *, follow_links: bool) -> None:
    """Copy the folder of a SavedModel to a new one.

    Args:
        folder: The folder.
        target: Where to, which does not exist yet.
        source: What the user named it by.
        follow_links: Whether what links elsewhere lead to is copied as well.

    Raises:
        InputError: If there are such links and they are not to be followed, or if something in it
            cannot be copied.
    """
    require_files(folder, source)
    link = None if follow_links else link_outside(folder)
    if link is not None:
        raise InputError(
            f"source: the SavedModel {source!r} holds a link to something elsewhere, {link!r}, "
            "which is not copied. Replace it by a file."
        )
    try:
        shutil.copytree(folder, target)
    except shutil.Error as error:
        reason = error.args[0][0][2] if error.args and error.args[0] else error
        raise InputError(
            f"source: the SavedModel {source!r} cannot be copied ({first_line(reason)})."
        ) from error


def _files_in(folder: str) -> Iterator[str]:
    """Give the paths of all but folders, links to folders among them."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            if name not in folders or os.path.islink(path):
                yield path
