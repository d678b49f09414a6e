"""Named arrays and a little JSON in one file that is either complete or not there."""

import io
import json
import os
import pathlib
import warnings
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

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

    def write(partial: pathlib.Path) -> None:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(CONTENTS, json.dumps(contents))
            for name, values in arrays.items():
                bits = values.view(np.uint16) if values.dtype.kind == "V" else values
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, bits, allow_pickle=False)

    write_whole(path, write)


def write_whole(path: pathlib.Path, write: Callable[[pathlib.Path], Any]) -> None:
    """Let a function write a neighbour of a file, and rename that when it is on the disk."""
    partial = path.with_name(f"partial.{path.name}")
    try:
        write(partial)
        _to_disk(partial)
        partial.replace(path)
        _to_disk(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_arrays(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Return what `write_arrays` wrote; None, with a warning, if a byte of it has changed."""
    try:
        with zipfile.ZipFile(path) as archive:
            contents = json.loads(archive.read(CONTENTS))
            arrays = {
                name: _typed(np.load(io.BytesIO(archive.read(f"{name}.npy"))), kind)
                for name, kind in contents["types"].items()
            }
        return arrays, contents["state"]
    except Exception as error:  # A damaged archive can fail in any part of zipfile and NumPy.
        warnings.warn(
            f"{path.name} is damaged and is passed over ({type(error).__name__}: {error}).",
            stacklevel=2,
        )
        return None


def read_state(path: pathlib.Path) -> dict[str, Any] | None:
    """Return the state alone, or None if it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(CONTENTS))["state"]
    except Exception:  # As above.
        return None


def _typed(values: np.ndarray, kind: str) -> np.ndarray:
    if values.dtype.name == kind:
        return values
    return values.view(tf.as_dtype(kind).as_numpy_dtype)


def _to_disk(path: pathlib.Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, where the system can tell."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
