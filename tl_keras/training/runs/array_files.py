"""Named arrays and a little JSON in one file that is either complete or not there."""

import contextlib
import io
import json
import pathlib
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.utils.errors import warn_user
from tl_keras.utils.regular_files import open_regular
from tl_keras.utils.writing import written_whole

CONTENTS = "contents.json"


def write_arrays(
    path: pathlib.Path, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]
) -> None:
    """Write arrays and state; the file gets its name after its last byte has reached the disk.

    Args:
        path: The file, a ZIP archive of `.npy` files without compression.
        arrays: Name → values; bfloat16 is kept as its bits.
        state: What else there is to know, as JSON.

    Raises:
        OSError: If it cannot be written; nothing of it is left then.
    """
    arrays = {name: np.asarray(values) for name, values in arrays.items()}
    contents = {"state": state, "types": {name: a.dtype.name for name, a in arrays.items()}}

    with written_whole(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        archive.writestr(CONTENTS, json.dumps(contents))
        for name, values in arrays.items():
            bits = values.view(np.uint16) if values.dtype.kind == "V" else values
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, bits, allow_pickle=False)


def read_arrays(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Return what `write_arrays` wrote; None, with a warning, if a byte of it has changed."""
    try:
        with _opened(path) as archive:
            contents = json.loads(archive.read(CONTENTS))
            return dict(_arrays(archive, contents)), contents["state"]
    except Exception as error:  # A damaged archive can fail in any part of zipfile and NumPy.
        warn_user(f"{path.name} is damaged and is passed over ({type(error).__name__}: {error}).")
        return None


def checked_state(path: pathlib.Path) -> dict[str, Any] | None:
    """Return the state if `read_arrays` would return it, with one array in memory at a time."""
    try:
        with _opened(path) as archive:
            contents = json.loads(archive.read(CONTENTS))
            for _ in _arrays(archive, contents):
                pass
            return contents["state"]
    except Exception:  # As above.
        return None


def read_state(path: pathlib.Path) -> dict[str, Any] | None:
    """Return the state alone, or None if it cannot be read."""
    try:
        with _opened(path) as archive:
            return json.loads(archive.read(CONTENTS))["state"]
    except Exception:  # As above.
        return None


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[zipfile.ZipFile]:
    """Open what `write_arrays` wrote: a file, of as many bytes as its members have."""
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(one.compress_type != zipfile.ZIP_STORED for one in members):
            raise zipfile.BadZipFile("it has compressed members")
        yield archive


def _arrays(archive: zipfile.ZipFile, contents: dict) -> Iterator[tuple[str, np.ndarray]]:
    for name, kind in contents["types"].items():
        yield name, _typed(np.load(io.BytesIO(archive.read(f"{name}.npy"))), kind)


def _typed(values: np.ndarray, kind: str) -> np.ndarray:
    if values.dtype.name == kind:
        return values
    return values.view(tf.as_dtype(kind).as_numpy_dtype)
