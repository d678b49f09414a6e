"""Which files there are and what their labels are: from class subfolders or from a CSV file."""

import dataclasses
import os
import pathlib
import unicodedata
from collections.abc import Sequence

from tl_keras.data.files.layouts import check_layout
from tl_keras.data.files.table_labels import read_tasks
from tl_keras.data.files.table_rows import files_of
from tl_keras.data.files.tables import read_table
from tl_keras.data.files.walking import Ignored, entries_of, is_folder, walk
from tl_keras.inputs.decoding.problems import IMAGE_EXTENSIONS, Problem
from tl_keras.tasks.encoding import label_name
from tl_keras.utils.errors import InputError, counted, listed

_LAYOUT = (
    "Expected one subfolder per class:\n"
    "  {root}/cats/one.jpg\n  {root}/cats/two.jpg\n  {root}/dogs/three.jpg\n"
    "or a CSV file with the columns path,label."
)


@dataclasses.dataclass(frozen=True, slots=True)
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


def list_images(
    path: str | os.PathLike,
) -> tuple[list[LabelledFile], list[Problem], dict[str, str]]:
    """List the files of a folder of class subfolders, or of a CSV file.

    Args:
        path: The folder, or a CSV file with the columns `path` (relative to the CSV file) and
            `label`.

    Returns:
        The files sorted by name, what is wrong with the list, and name → what to say about a file
        that is not there.

    Raises:
        InputError: If there is nothing of this kind at the path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(
            f"path: expected a folder or a CSV file, got {type(path).__name__}. "
            "Arrays and tf.data.Dataset go to tl.fine_tune and tl.evaluate as they are."
        )
    if not os.fspath(path):
        raise InputError("path: expected a folder or a CSV file, got ''. Pass '.' for this folder.")
    root = pathlib.Path(path).expanduser()
    hints = {}
    if root.is_dir():
        files, problems = _list_class_folders(root)
    elif not root.exists():
        raise InputError(
            f"path: expected a folder or a CSV file, got {str(path)!r}, which does not exist "
            f"(working directory {os.getcwd()!r}). Check the spelling."
        )
    elif root.suffix.lower() == ".csv":
        files, problems, hints = _list_csv(root)
    else:
        raise InputError(
            f"path: expected a folder or a file ending in .csv, got {str(path)!r}. "
            + _LAYOUT.format(root="folder")
        )
    return sorted(files, key=lambda file: file.name), problems, hints


def _list_class_folders(root: pathlib.Path) -> tuple[list[LabelledFile], list[Problem]]:
    ignored = Ignored()
    try:
        entries = entries_of(root, ignored)
    except OSError as error:
        raise InputError(f"path: {str(root)!r} cannot be read: {error.strerror}.") from error
    folders = [root / entry.name for entry in entries if is_folder(entry)]
    others = [entry for entry in entries if not is_folder(entry)]
    loose = [o.name for o in others if pathlib.Path(o.name).suffix.lower() in IMAGE_EXTENSIONS]
    if not folders:
        found = f"{counted(len(loose), 'image')} without class subfolders" if loose else "no images"
        raise InputError(
            f"path: {str(root)!r} holds {found}. " + _LAYOUT.format(root=root.name or root)
        )
    problems = [
        Problem(name, "without a class", "lies beside the class subfolders") for name in loose
    ]
    problems += [
        Problem(entry.name, "broken link", f"leads to {os.readlink(entry.path)!r}, which is gone")
        for entry in others
        if entry.is_symlink() and not os.path.exists(entry.path) and entry.name not in loose
    ]
    labels = [label_name(folder.name) for folder in folders]
    problems += [*check_layout(root, folders), *_joined_classes(folders, labels)]
    walked, found = walk(root, folders, ignored)
    files = [LabelledFile(file.path, label_name(file.name), labels[file.folder]) for file in walked]
    with_files = {file.label for file in files}
    explained = {problem.path for problem in found}
    problems += [*found, *ignored.problems()]
    problems += [
        Problem(folder.name, "empty class", "the subfolder holds no files")
        for folder, label in zip(folders, labels, strict=True)
        if label not in with_files and folder.name not in explained
    ]
    if not files:
        raise InputError(
            f"path: the subfolders of {str(root)!r} are empty, expected images in them. "
            + _LAYOUT.format(root=root.name or root)
        )
    return files, problems


def _joined_classes(folders: Sequence[pathlib.Path], labels: Sequence[str]) -> list[Problem]:
    """Report folders whose names are the same class, written with other code points."""
    detail = "another folder has the same name in another Unicode form (NFC, NFD): one class"
    return [
        Problem(label, "joined folders", detail, usable=True)
        for folder, label in zip(folders, labels, strict=True)
        if folder.name != label and labels.count(label) > 1
    ]


def _list_csv(
    source: pathlib.Path,
) -> tuple[list[LabelledFile], list[Problem], dict[str, str]]:
    table = read_table(source)
    lacking = [column for column in ("path", "label") if column not in table.columns]
    if lacking:
        columns = list(table.columns)
        raise InputError(
            f"path: {str(source)!r} must have the columns path,label, got "
            f"{','.join(columns) or 'an empty file'}. Add or rename {listed(lacking)}; "
            "columns are separated by commas. Or name those that there are: "
            f"tl.data.image_table({str(source)!r}, path=…, label=…)."
        )
    files, problems, hints = files_of(table, "path", read_tasks(table, "label", None, None))
    if not files:
        raise InputError(
            f"path: {str(source)!r} lists no labelled images. Expected rows such as "
            "images/one.jpg,cats under the header path,label."
        )
    return [LabelledFile(file.path, file.name, file.values[""]) for file in files], problems, hints


def portable_names(paths: Sequence[str]) -> list[str]:
    """Return paths below the folder that holds all files: the same on any machine."""
    absolute = [os.path.abspath(path) for path in paths]
    common = os.path.commonpath([os.path.dirname(path) for path in absolute])
    names = [os.path.relpath(path, common).replace(os.sep, "/") for path in absolute]
    return [unicodedata.normalize("NFC", name) for name in names]
