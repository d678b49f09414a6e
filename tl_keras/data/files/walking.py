"""The files below folders: links are followed, files of the system are left out."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Sequence

from tl_keras.inputs.decoding.problems import IMAGE_EXTENSIONS, Problem
from tl_keras.utils.errors import InputError, printable

_SYSTEM_NAMES = {
    "$recycle.bin",
    "#recycle",
    "#snapshot",
    "@__thumb",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "@sharebin",
    "@tmp",
    "__macosx",
    "__pycache__",
    "desktop.ini",
    "ehthumbs.db",
    "icon\r",
    "lost+found",
    "network trash folder",
    "system volume information",
    "temporary items",
    "thumbnails",
    "thumbs",
    "thumbs.db",
}
_NAMES_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class WalkedFile:
    """A file below one of several folders.

    Attributes:
        path: Where it is.
        name: Its path relative to the root, with `/` between the parts.
        folder: Number of the folder that it was found below.
    """

    path: str
    name: str
    folder: int


@dataclasses.dataclass
class Ignored:
    """Hidden entries and those of the system: left out, and reported in one line."""

    names: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def problems(self) -> list[Problem]:
        """Return one note about all of them, or none."""
        if not self.names:
            return []
        names = list(self.names)
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
        detail = (
            f"hidden, or made by the system ({self.names.total()} in all). Rename what belongs to "
            "the data"
        )
        return [Problem(shown, "not read", detail, expected=True)]

    def add(self, entry: os.DirEntry) -> None:
        """Count an entry that may be missed: a folder, or a file named like an image."""
        if is_folder(entry) or pathlib.PurePath(entry.name).suffix.lower() in IMAGE_EXTENSIONS:
            self.names[entry.name] += 1


def is_folder(entry: os.DirEntry) -> bool:
    """Return whether an entry is a folder or a link to one; a link without an end is none."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def entries_of(folder: str | os.PathLike, ignored: Ignored) -> list[os.DirEntry]:
    """Return what a folder holds, sorted by name, without hidden entries and the system's.

    Raises:
        OSError: If the folder cannot be read.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in _SYSTEM_NAMES:
                ignored.add(entry)
            else:
                found.append(entry)
    return sorted(found, key=lambda entry: entry.name)


def walk(
    root: pathlib.Path, folders: Sequence[pathlib.Path], ignored: Ignored
) -> tuple[list[WalkedFile], list[Problem]]:
    """List all files below folders.

    Links to folders are followed. A folder that is reached again, or that holds the root, is not
    read another time, so that loops end; folders come before links to them.

    Args:
        root: What names are relative to.
        folders: Folders below the root, or the root itself.
        ignored: Takes the entries that are left out.

    Returns:
        The files, and what is wrong with folders.
    """
    files, problems = [], []
    real_root = pathlib.Path(os.path.realpath(root))
    reached: dict[tuple[int, int], tuple[str, int | None]] = {
        _identity(place): (str(place), None) for place in (real_root, *real_root.parents)
    }
    if root in folders:
        del reached[_identity(real_root)]
    waiting = [(folder, number) for number, folder in enumerate(folders)]
    links = collections.deque(item for item in waiting if item[0].is_symlink())
    waiting = [item for item in reversed(waiting) if not item[0].is_symlink()]
    while waiting or links:
        folder, number = waiting.pop() if waiting else links.popleft()
        name = folder.relative_to(root).as_posix()
        try:
            identity = _identity(folder)
            if identity in reached:
                problems.append(_reached_again(name, number, *reached[identity]))
                continue
            reached[identity] = (name, number)
            entries = entries_of(folder, ignored)
        except OSError as error:
            problems.append(Problem(name, "unreadable", error.strerror or str(error)))
            continue
        inside = []
        for entry in entries:
            path = folder / entry.name
            if not is_folder(entry):
                file = WalkedFile(str(path), path.relative_to(root).as_posix(), number)
                files.append(file)
            elif entry.is_symlink():
                links.append((path, number))
            else:
                inside.append((path, number))
        waiting += reversed(inside)
    return files, problems


def _identity(folder: pathlib.Path) -> tuple[int, int]:
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _reached_again(name: str, number: int, other: str, of: int | None) -> Problem:
    detail = f"leads to {printable(other)!r}, which is read once"
    if of is None or of == number:
        return Problem(name, "linked again", detail, expected=True)
    return Problem(name, "two labels", f"{detail}, there")


def image_files_below(folder: pathlib.Path) -> list[str]:
    """Return the files below a folder that are named as images are, sorted.

    Raises:
        InputError: If the folder cannot be read.
    """
    files, problems = walk(folder, [folder], Ignored())
    if not files and problems:
        raise InputError(f"{str(folder)!r} cannot be read: {problems[0].detail}.")
    return sorted(
        file.path
        for file in files
        if pathlib.PurePath(file.name).suffix.lower() in IMAGE_EXTENSIONS
    )
