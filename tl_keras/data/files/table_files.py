"""From the paths in a table to files, also where they are not written as on this machine."""

import collections
import difflib
import os
import pathlib
import unicodedata

from tl_keras.inputs.decoding.problems import IMAGE_EXTENSIONS, Problem
from tl_keras.utils.errors import decodable, printable

_SUGGESTIONS = 20
_NOTES = {
    "backslashes": "\\ stands between folders; read as /",
    "no extension": "the extension is missing; the only image of this name is read",
    "other spelling": "upper and lower case or the Unicode form differ from the file's; it is read",
}


class FileFinder:
    r"""Files of a table, by the path that a cell holds.

    A path that does not exist is tried with `/` for `\`, with other letter case or Unicode form,
    and without an extension with that of the only image of this name.

    Args:
        folder: Where relative paths start.
    """

    def __init__(self, folder: pathlib.Path):
        self._start = str(folder)
        self._suggested = 0
        self._folders: dict[str, str | None] = {}
        self._listings: dict[str, dict[str, list[str]]] = {}
        self._changed: dict[str, list[str]] = collections.defaultdict(list)
        self.hints: dict[str, str] = {}
        """Name → what to say about a file that was not found."""

    def find(self, cell: str) -> tuple[str, str]:
        """Return the path of a file, and its name for messages: `/` between folders."""
        if "://" in cell:
            self.hints[cell] = "it is an address; download the images and name the files"
            return cell, cell
        name = unicodedata.normalize("NFC", _posix_name(cell))
        if "\0" in cell:  # No file has such a name, and the system's functions refuse it.
            return cell, name
        path = os.path.normpath(os.path.join(self._start, cell))
        if os.path.isfile(path):
            return path, name
        changes = set()
        if "\\" in cell:
            name, cell = name.replace("\\", "/"), cell.replace("\\", "/")
            path = os.path.normpath(os.path.join(self._start, cell))
            changes.add("backslashes")
        if not (changes and os.path.isfile(path)):
            found, change, several = self._respelled(path)
            if found is None or not os.path.isfile(found):
                self._add_hint(name, path, several)
                return path, name
            path = found
            changes.add(change)
            last = unicodedata.normalize("NFC", os.path.basename(found))
            name = pathlib.PurePosixPath(name).with_name(last).as_posix()
        for change in changes:
            self._changed[change].append(name)
        return path, name

    def notes(self) -> list[Problem]:
        """Return one note for each way in which paths had to be read otherwise."""
        return [
            Problem(
                names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more",
                kind,
                _NOTES[kind],
                usable=True,
            )
            for kind, names in sorted(self._changed.items())
        ]

    def _respelled(self, path: str) -> tuple[str | None, str, list[str]]:
        """Return the one file that a path may stand for, what differs, and several if there are."""
        parent, name = os.path.split(path)
        folder = self._real_folder(parent)
        if folder is None:
            return None, "", []
        if folder != parent and os.path.isfile(os.path.join(folder, name)):
            return os.path.join(folder, name), "other spelling", []
        same = self._listing(folder).get(_folded(name), [])
        if len(same) == 1:
            return os.path.join(folder, same[0]), "other spelling", []
        longer = self._with_extension(folder, name)
        if len(longer) == 1 and not same:
            return os.path.join(folder, longer[0]), "no extension", []
        return None, "", longer or same

    def _real_folder(self, folder: str) -> str | None:
        """Return a folder that is there, or the only one that its path may stand for."""
        if folder not in self._folders:
            found = folder if os.path.isdir(folder) else None
            if found is None and os.path.dirname(folder) != folder:
                found = self._respelled(folder)[0]
            self._folders[folder] = found if found and os.path.isdir(found) else None
        return self._folders[folder]

    def _with_extension(self, folder: str, name: str) -> list[str]:
        """Return the images that a name without an extension may stand for."""
        if os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS:
            return []
        listing = self._listing(folder)
        names = [
            n for ext in sorted(IMAGE_EXTENSIONS) for n in listing.get(_folded(name + ext), [])
        ]
        exact = [n for n in names if n.startswith(name)]
        return exact or names

    def _listing(self, folder: str) -> dict[str, list[str]]:
        """Return folded name → names, of what a folder holds."""
        if folder not in self._listings:
            listing = collections.defaultdict(list)
            try:
                for name in sorted(os.listdir(folder)):
                    listing[_folded(name)].append(name)
            except OSError:
                pass
            self._listings[folder] = dict(listing)
        return self._listings[folder]

    def _add_hint(self, name: str, path: str, several: list[str]) -> None:
        if len(several) > 1:
            shown = " and ".join(repr(printable(one)) for one in several[:3])
            self.hints[name] = f"; {shown} are there: write which one is meant"
        elif self._suggested < _SUGGESTIONS:
            self._suggested += 1
            near = self._nearest(*os.path.split(path))
            if near:
                self.hints[name] = f"; did you mean {printable(near)!r}?"

    def _nearest(self, folder: str, name: str) -> str | None:
        beside = self._listing(self._start).get(_folded(name))
        if beside and folder != self._start:
            return beside[0]
        names = {decodable(n): n for names in self._listing(folder).values() for n in names}
        near = difflib.get_close_matches(decodable(name), names, n=1, cutoff=0.75)
        return near[0] if near else None


def _posix_name(cell: str) -> str:
    """Return a path with `/` between its parts and none of them empty."""
    if os.sep == "/" and "//" not in cell and "./" not in cell and cell[-1] not in "/.":
        return cell
    return pathlib.PurePath(cell).as_posix()


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
