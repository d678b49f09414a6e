"""Which files names, folders and patterns stand for."""

import glob
from collections.abc import Sequence
from pathlib import Path

from tl_keras.utils.errors import InputError


def find_files(words: Sequence[str], argument: str = "FILES") -> list[Path]:
    """Return the files that names, folders and patterns stand for, each once.

    Folders give the image files in them and in their subfolders, sorted. A name that does not
    exist and is no pattern is kept: it is reported with the files that cannot be read.

    Args:
        words: The names, folders and patterns.
        argument: Name that errors use.

    Raises:
        InputError: If a folder or a pattern stands for no file.
    """
    found: dict[Path, None] = {}
    for word in words:
        path = Path(word)
        if path.is_dir():
            files = _images_in(path)
        elif not path.exists() and glob.has_magic(word):
            matches = sorted(Path(match) for match in glob.glob(word, recursive=True))
            folders = [file for match in matches if match.is_dir() for file in _images_in(match)]
            files = [match for match in matches if match.is_file()] + folders
        else:
            files = [path]
        if not files:
            raise InputError(f"{argument}: {word!r} stands for no image file. Check the spelling.")
        found |= dict.fromkeys(files)
    return list(found)


def _images_in(folder: Path) -> list[Path]:
    from tl_keras.data.files.walking import image_files_below

    return list(map(Path, image_files_below(folder)))
