"""Folders that hold splits or further class folders, where class folders are expected."""

import pathlib
import re
from collections.abc import Mapping, Sequence

from tl_keras.data.files.walking import Ignored, entries_of, is_folder
from tl_keras.inputs.decoding.problems import IMAGE_EXTENSIONS, Problem
from tl_keras.utils.errors import InputError, listed

_SPLITS = {
    "train": ("train", "training", "trainset"),
    "validation": ("val", "valid", "validation", "dev", "devel", "development", "valset"),
    "test": ("test", "testing", "testset", "eval", "evaluation", "holdout"),
}
_KIND_OF = {name: kind for kind, names in _SPLITS.items() for name in names}
_NAMES_SHOWN = 5


def split_kind(name: str) -> str | None:
    """Return `"train"`, `"validation"` or `"test"` if a folder is named as such a split is.

    A word of the name is enough, as in `seg_train` and `Test2017`.
    """
    kinds = {_KIND_OF[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _KIND_OF}
    return kinds.pop() if len(kinds) == 1 else None


def check_layout(root: pathlib.Path, folders: Sequence[pathlib.Path]) -> list[Problem]:
    """Refuse splits in place of classes, and note classes that hold nothing but folders.

    Args:
        root: The folder that was given.
        folders: The folders in it that would be its classes.

    Returns:
        Notes.

    Raises:
        InputError: If folders are splits (`train/`, `val/`, `test/`), or every class is divided
            into splits.
    """
    inside = {folder: _inside(folder) for folder in folders}
    nested = {folder: names for folder, (names, files) in inside.items() if names and not files}
    _refuse_splits(root, folders, inside)
    _refuse_divided_classes(root, folders, nested)
    if len(folders) > 1 and len(nested) == len(folders):
        return [_note_of(root, nested)]
    return []


def deeper_hint(root: pathlib.Path) -> str:
    """Return where the class folders may be if the only folder of `root` holds folders."""
    folders = _folders(root) if root.is_dir() else []
    if len(folders) != 1 or len(_inside(folders[0])[0]) < 2:
        return ""
    return f" The class folders may be one level deeper: pass {str(folders[0])!r}."


def _is_plain(folder: pathlib.Path) -> bool:
    return folder.name.lower() in _KIND_OF


def split_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Return `"train"`, `"validation"` and `"test"` → folder, where a folder holds such splits.

    Only splits with class folders in them are told; empty where there are none.
    """
    folders = _folders(root) if root.is_dir() else []
    splits, with_classes = _splits(folders, {folder: _inside(folder) for folder in folders})
    return {splits[folder]: folder for folder in reversed(with_classes)}


def _splits(folders, inside) -> tuple[dict[pathlib.Path, str], list[pathlib.Path]]:
    """Return folder → kind of the splits among folders, and those that hold class folders.

    Both are empty where the folders are not splits.
    """
    kinds = {folder: split_kind(folder.name) for folder in folders}
    order = list(_SPLITS)
    splits = {folder: kind for folder, kind in kinds.items() if kind}
    splits = dict(sorted(splits.items(), key=lambda item: order.index(item[1])))
    with_classes = [
        folder
        for folder in splits
        if inside[folder][0] and (_is_plain(folder) or not inside[folder][1])
    ]
    are_splits = with_classes or all(map(_is_plain, folders))
    if len(set(splits.values())) < 2 or not are_splits:
        return {}, []
    return splits, with_classes


def _refuse_splits(root, folders, inside) -> None:
    splits, with_classes = _splits(folders, inside)
    if not splits:
        return
    start = f"path: {str(root)!r} holds the splits {_some(f.name for f in splits)}, which would be "
    if not with_classes:
        raise InputError(
            f"{start}read as classes, and no class folders are in them. Put each class into a "
            f"subfolder, such as {str(next(iter(splits)) / 'cats')!r}, or list files and labels in "
            "a CSV file."
        )
    calls = (f"{splits[folder]} = tl.data.image_folder({str(folder)!r})" for folder in with_classes)
    raise InputError(f"{start}read as classes. Read each by itself:\n  " + "\n  ".join(calls))


def _refuse_divided_classes(root, folders, nested) -> None:
    divided = [
        folder
        for folder, names in nested.items()
        if len({_KIND_OF.get(name.lower()) for name in names} - {None}) > 1
        and all(name.lower() in _KIND_OF for name in names)
    ]
    if not divided or len(divided) < len(folders):
        return
    names = _some(nested[divided[0]])
    raise InputError(
        f"path: every subfolder of {str(root)!r} is divided into the splits {names}, which would "
        f"be read as one. Turn the order around, as in {str(root / 'train' / divided[0].name)!r}, "
        "and read each split by itself."
    )


def _note_of(root: pathlib.Path, nested: Mapping[pathlib.Path, Sequence[str]]) -> Problem:
    first, *others = nested
    shared = [name for name in nested[first] if any(name in nested[other] for other in others)]
    shown = ", ".join(folder.name for folder in list(nested)[:_NAMES_SHOWN])
    if len(shared) > 1:
        detail = (
            f"these are the classes, though {_some(shared)} lie in several of them; if those are "
            f"the classes, read each folder by itself, as tl.data.image_folder({str(first)!r})"
        )
    else:
        detail = f"these are the classes; the folders in them, such as {_some(nested[first])}, not"
    return Problem(shown, "nested folders", detail, usable=True)


def _inside(folder: pathlib.Path) -> tuple[list[str], bool]:
    """Return the names of the folders in a folder, and whether images lie beside them."""
    try:
        entries = entries_of(folder, Ignored())
    except OSError:
        return [], False
    names = [entry.name for entry in entries if is_folder(entry)]
    files = [entry.name for entry in entries if not is_folder(entry)]
    suffixes = {pathlib.PurePath(name).suffix.lower() for name in files}
    return names, bool(suffixes & {"", *IMAGE_EXTENSIONS})


def _folders(root: pathlib.Path) -> list[pathlib.Path]:
    return [root / entry.name for entry in entries_of(root, Ignored()) if is_folder(entry)]


def _some(names) -> str:
    names = [repr(name) for name in names]
    if len(names) > _NAMES_SHOWN:
        return ", ".join(names[:_NAMES_SHOWN]) + " …"
    return listed(names)
