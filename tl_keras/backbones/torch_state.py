"""Read the tensors of a PyTorch state dict without PyTorch and without running its code.

A `.pth` file is a pickle with numbers beside it, and may come from a stranger. `torch_pickle`
interprets the pickle, `stored_zip` finds the numbers, and here each tensor is cut out of them.
Memory is bounded by the size of the file, whatever it declares.
"""

import io
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from tl_keras.backbones.stored_zip import StoredZip
from tl_keras.backbones.torch_pickle import Interpreter
from tl_keras.backbones.torch_refusals import DamagedFile, RefusedFile
from tl_keras.backbones.torch_values import Group, Storage, Tensor
from tl_keras.utils.errors import InputError, printable, shortened
from tl_keras.utils.regular_files import open_regular, require_regular

__all__ = ["read_state_dict"]

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LARGEST_PICKLE = 2**24
_USUAL_PICKLE = 2**18
# Tensors may share a storage, and each becomes an array of its own.
_MOST_SHARING = 8
_LONGEST_NAME = 1000

ReadStorage = Callable[[Storage], np.ndarray]


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read a `.pth` file that `torch.save(model.state_dict(), path)` wrote.

    Both layouts are read: the one pickle of PyTorch before 1.6 and the zip archive after it. The
    file may come from a stranger: nothing in it is run, and the arrays are at most eight times as
    large as the file.

    Args:
        path: The file.

    Returns:
        Tensor name to array, in the order of the file. Arrays own their memory.

    Raises:
        InputError: If the file is missing or damaged, is no flat state dict, or asks for
            anything but tensors, in which case none of it has been carried out.
    """
    path = os.fspath(path)
    require_regular(path, "weights")
    if not os.path.isfile(path):
        raise InputError(f"weights: expected a PyTorch state dict, but there is no file {path!r}.")
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            state, read = _read_zip(file, size) if _is_zip(file) else _read_legacy(file, size)
            return _arrays(_tensors(state), read, size)
    except RefusedFile as refused:
        raise InputError(
            f"weights: {path!r} is refused, because it holds {refused}; a state dict holds named "
            f"tensors only. Nothing in it was run. {refused.remedy}"
        ) from None
    except MemoryError:
        raise InputError(
            f"weights: {path!r} needs more memory than there is ({size:,} bytes)."
        ) from None
    except Exception as error:
        reason = error if isinstance(error, DamagedFile) else type(error).__name__
        raise InputError(
            f"weights: {path!r} can't be read as a PyTorch state dict ({reason}). It may be "
            "damaged or cut short: download it again, or save it again with "
            "`torch.save(model.state_dict(), path)`."
        ) from error


def _is_zip(file: io.BufferedReader) -> bool:
    return file.read(4) == b"PK\3\4"


def _read_legacy(file: io.BufferedReader, size: int) -> tuple[Any, ReadStorage]:
    """Interpret the head of the file, and find the storages after it."""
    file.seek(0)
    head = file.read(_USUAL_PICKLE)
    if head[257:262] == b"ustar":
        raise RefusedFile("the tar layout of PyTorch 0.1", "Load and save it with PyTorch 1 or 2.")
    try:
        state, keys, storages, position = _read_head(head)
    except DamagedFile:
        head += file.read(_LARGEST_PICKLE - len(head))
        state, keys, storages, position = _read_head(head)
    if type(keys) is not Group or keys.kind != "list":
        raise DamagedFile("its storages have no keys")
    starts: dict[str, int] = {}
    for key in keys.items:
        storage = storages.get(key) if type(key) is str else None
        file.seek(position)
        if storage is None or int.from_bytes(file.read(8), "little") != storage.count:
            raise DamagedFile("a storage has another length than announced")
        starts[key] = position + 8
        position += 8 + storage.size
        if position > size:
            raise DamagedFile("it ends before its last storage does")

    def read(storage: Storage) -> np.ndarray:
        if storage.key not in starts:
            raise DamagedFile(f"the storage {shortened(storage.key)} is missing")
        content = np.empty(storage.size, np.uint8)
        file.seek(starts[storage.key])
        if file.readinto(content.data) != storage.size:
            raise DamagedFile("it ends before its last storage does")
        return content

    return state, read


def _read_head(head: bytes) -> tuple[Any, Any, dict[str, Storage], int]:
    """Return state, storage keys, storages by key, and where they begin in the file."""
    position, values, storages = 0, [], {}
    for _ in ("magic number", "protocol", "system", "state", "keys"):
        reader = Interpreter(head, position)
        values.append(reader.run())
        position, storages = reader.position, storages | reader.storages
        if values[0] != _LEGACY_MAGIC:
            raise DamagedFile("its magic number is missing")
    return values[3], values[4], storages, position


def _read_zip(file: io.BufferedReader, size: int) -> tuple[Any, ReadStorage]:
    """Read `NAME/data.pkl` and find the storages at `NAME/data/KEY`."""
    archive = StoredZip(file, size)
    found = [name for name in archive.names if name.split("/")[1:] == ["data.pkl"]]
    if len(found) != 1 or found[0].startswith("/"):
        raise DamagedFile("the archive doesn't have one data.pkl in its folder")
    folder = found[0].removesuffix("/data.pkl")
    order = f"{folder}/byteorder"
    if order in archive.names and (
        archive.size(order) > 6 or archive.read(order).tobytes() != b"little"
    ):
        raise RefusedFile("numbers whose first byte is the highest (big-endian)")
    if archive.size(found[0]) > _LARGEST_PICKLE:
        raise RefusedFile(f"a pickle of {archive.size(found[0]):,} bytes")
    pickled = archive.read(found[0]).tobytes()
    reader = Interpreter(pickled)
    state = reader.run()
    if reader.position != len(pickled):
        raise DamagedFile("something comes after its pickle")

    def read(storage: Storage) -> np.ndarray:
        name = f"{folder}/data/{storage.key}"
        if archive.size(name) != storage.size:
            raise DamagedFile("a storage has another length than announced")
        return archive.read(name)

    return state, read


def _tensors(state: Any) -> dict[str, Tensor]:
    """Check that a state dict is a dict of tensors."""
    if type(state) is not Group or state.kind != "dict":
        raise RefusedFile(f"{_kind(state)} in place of a state dict")
    for name, value in state.items.items():
        if len(name) > _LONGEST_NAME or printable(name) != name:
            raise RefusedFile(f"the name {shortened(name)}")
        if type(value) is Group and value.kind == "dict":
            remedy = "Save the dict with the weights alone: `torch.save(checkpoint[name], path)`."
            raise RefusedFile(f"a dict under {shortened(name)}", remedy)
        if type(value) is not Tensor:
            raise RefusedFile(f"{_kind(value)} under {shortened(name)}")
    return state.items


def _kind(value: Any) -> str:
    kind = value.kind if type(value) is Group else type(value).__name__.lower()
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _arrays(tensors: dict[str, Tensor], read: ReadStorage, size: int) -> dict[str, np.ndarray]:
    """Cut the tensors out of their storages, each of which is in memory while it's in use."""
    total = sum(tensor.size for tensor in tensors.values())
    if total > _MOST_SHARING * size:
        raise RefusedFile(f"tensors of {total:,} bytes in a file of {size:,}")
    uses = Counter(tensor.storage.key for tensor in tensors.values())
    storages: dict[str, np.ndarray] = {}
    arrays = {}
    for name, tensor in tensors.items():
        key = tensor.storage.key
        if key not in storages:
            storages[key] = read(tensor.storage)
        arrays[name] = _array(tensor, storages[key])
        uses[key] -= 1
        if not uses[key]:
            del storages[key]
    return arrays


def _array(tensor: Tensor, storage: np.ndarray) -> np.ndarray:
    dtype = tensor.storage.dtype
    if tensor.size == 0:
        return np.zeros(tensor.shape, dtype)
    numbers = (storage != 0) if dtype.kind == "b" else storage.view(dtype)
    strides = [step * dtype.itemsize for step in tensor.strides]
    start = numbers[tensor.offset :]
    return np.lib.stride_tricks.as_strided(start, tensor.shape, strides).copy()
