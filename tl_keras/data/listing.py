"""Which files there are and what their labels are: from class subfolders or from a CSV file."""

import csv
import dataclasses
import os
import pathlib
from collections.abc import Sequence

from tl_keras.data.inspection import IMAGE_EXTENSIONS, Problem
from tl_keras.errors import InputError

_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx"}
_LAYOUT = (
    "Expected one subfolder per class:\n"
    "  {root}/cats/one.jpg\n  {root}/cats/two.jpg\n  {root}/dogs/three.jpg\n"
    "or a CSV file with the columns path,label."
)


@dataclasses.dataclass(frozen=True)
class LabelledFile:
    """A file and its class.

    Attributes:
        path: Where the file is.
        name: Its path relative to the folder or the CSV file, with `/` between the parts.
        label: Name of its class.
    """

    path: str
    name: str
    label: str


def list_images(path: str | os.PathLike) -> tuple[list[LabelledFile], list[Problem]]:
    """List the files of a folder of class subfolders, or of a CSV file.

    Args:
        path: The folder, or a CSV file with the columns `path` (relative to the CSV file) and
            `label`.

    Returns:
        The files sorted by name, and what is wrong with the list.

    Raises:
        InputError: If there is nothing of this kind at the path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(
            f"path: expected a folder or a CSV file, got {type(path).__name__}. "
            "Arrays and tf.data.Dataset go to tl.fine_tune and tl.evaluate as they are."
        )
    root = pathlib.Path(path).expanduser()
    if root.is_dir():
        files, problems = _list_class_folders(root)
    elif not root.exists():
        raise InputError(
            f"path: expected a folder or a CSV file, got {str(path)!r}, which does not exist "
            f"(working directory {os.getcwd()!r}). Check the spelling."
        )
    elif root.suffix.lower() == ".csv":
        files, problems = _list_csv(root)
    else:
        raise InputError(
            f"path: expected a folder or a file ending in .csv, got {str(path)!r}. "
            + _LAYOUT.format(root="folder")
        )
    return sorted(files, key=lambda file: file.name), problems


def _list_class_folders(root: pathlib.Path) -> tuple[list[LabelledFile], list[Problem]]:
    entries = sorted(entry for entry in root.iterdir() if not _is_hidden(entry.name))
    folders = [entry for entry in entries if entry.is_dir()]
    loose = [entry.name for entry in entries if entry.suffix.lower() in IMAGE_EXTENSIONS]
    loose = [name for name in loose if not (root / name).is_dir()]
    if not folders:
        found = f"{len(loose)} images without class subfolders" if loose else "no images"
        raise InputError(
            f"path: {str(root)!r} holds {found}. " + _LAYOUT.format(root=root.name or root)
        )
    problems = [
        Problem(name, "without a class", "lies beside the class subfolders") for name in loose
    ]
    files = []
    for folder in folders:
        for parent, subfolders, names in os.walk(folder):
            subfolders[:] = sorted(name for name in subfolders if not _is_hidden(name))
            for name in names:
                if not _is_hidden(name):
                    file = pathlib.Path(parent, name)
                    relative = file.relative_to(root).as_posix()
                    files.append(LabelledFile(str(file), relative, folder.name))
    with_files = {file.label for file in files}
    problems += [
        Problem(folder.name, "empty class", "the subfolder holds no files")
        for folder in folders
        if folder.name not in with_files
    ]
    if not files:
        raise InputError(
            f"path: the subfolders of {str(root)!r} are empty, expected images in them. "
            + _LAYOUT.format(root=root.name or root)
        )
    return files, problems


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def _list_csv(source: pathlib.Path) -> tuple[list[LabelledFile], list[Problem]]:
    rows = _read_rows(source)
    files: dict[str, LabelledFile] = {}
    problems = []
    for line, row in rows:
        name, label = ((row.get(column) or "").strip() for column in ("path", "label"))
        if not name or not label:
            missing = "path" if not name else "label"
            problems.append(Problem(name, f"no {missing}", f"line {line} of {source.name}"))
            continue
        path = os.path.normpath(source.parent / name)
        if path not in files:
            files[path] = LabelledFile(path, pathlib.PurePath(name).as_posix(), label)
        elif files[path].label == label:
            problems.append(Problem(name, "listed twice", f"again on line {line}", usable=True))
        else:
            labels = f"{files[path].label!r} and {label!r}"
            detail = f"line {line}: labelled {labels}, the first is kept"
            problems.append(Problem(name, "two labels", detail))
    if not files:
        raise InputError(
            f"path: {str(source)!r} lists no labelled images. Expected rows such as "
            "images/one.jpg,cats under the header path,label."
        )
    return list(files.values()), problems


def _read_rows(source: pathlib.Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with open(source, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            columns = reader.fieldnames
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"path: {str(source)!r} is not a CSV file in UTF-8: {error}. Export it again as "
            "comma-separated UTF-8 text."
        ) from error
    lacking = [column for column in ("path", "label") if column not in columns]
    if lacking:
        raise InputError(
            f"path: {str(source)!r} must have the columns path,label, got "
            f"{','.join(columns) or 'an empty file'}. Add or rename {' and '.join(lacking)}; "
            "columns are separated by commas."
        )
    return rows


def portable_names(paths: Sequence[str]) -> list[str]:
    """Return paths below the folder that holds all files: the same on any machine."""
    absolute = [os.path.abspath(path) for path in paths]
    common = os.path.commonpath([os.path.dirname(path) for path in absolute])
    return [os.path.relpath(path, common).replace(os.sep, "/") for path in absolute]
