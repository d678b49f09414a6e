"""Read the tensors of a PyTorch state dict without PyTorch and without running its code.

A `.pth` file is a pickle, and a pickle is a program. The reader here runs only the five or so
instructions a state dict needs: an ordered dict, the rebuilding of a tensor and the names of the
number types. Everything else is refused before it is looked up, let alone called.
"""

import io
import math
import os
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from tl_keras.errors import InputError

__all__ = ["read_state_dict"]

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGE_TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}


class _Refused(Exception):
    """The file asks for something that a state dict has no need of."""


@dataclass(frozen=True)
class _Storage:
    """The name of a number type in the pickle, as `torch.FloatStorage` is."""

    dtype: np.dtype


@dataclass(eq=False)
class _Tensor:
    """A view that the pickle describes; the numbers come from elsewhere in the file."""

    key: str
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _Tensor:
    """Take the place of `torch._utils._rebuild_tensor_v2`."""
    numbers = (offset, *size, *stride)
    if not isinstance(storage, str) or len(size) != len(stride):
        raise _Refused("a tensor without a storage")
    if any(type(number) is not int or number < 0 for number in numbers):
        raise _Refused(f"a tensor of shape {size} and strides {stride}")
    return _Tensor(storage, offset, tuple(size), tuple(stride))


def _rebuild_parameter(data: Any, *_: Any) -> _Tensor:
    """Take the place of `torch._utils._rebuild_parameter`."""
    if not isinstance(data, _Tensor):
        raise _Refused("a parameter that is no tensor")
    return data


_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): _Storage(np.dtype(code)) for name, code in _STORAGE_TYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows `_ALLOWED` and nothing else."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, tuple[np.dtype, int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> str:
        match pid:
            case ("storage", _Storage(dtype=dtype), str(key), _, int(count), *view):
                if count < 0 or (view and view[0] is not None):
                    raise _Refused("a view into another storage")
                self.storages[key] = (dtype, count)
                return key
        raise _Refused("a reference that is no tensor storage")


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read a `.pth` file that `torch.save(model.state_dict(), path)` wrote.

    Both layouts are read: the one pickle of PyTorch before 1.6 and the zip archive after it.

    Args:
        path: The file.

    Returns:
        Tensor name to array, in the order of the file. Arrays own their memory.

    Raises:
        InputError: If the file is missing or damaged, is no flat state dict, or asks for
            anything but tensors, in which case none of it has been carried out.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise InputError(f"weights: expected a PyTorch state dict, but there is no file {path!r}.")
    try:
        with open(path, "rb") as file:
            state, storages = _read_zip(file) if zipfile.is_zipfile(file) else _read_legacy(file)
        if not isinstance(state, dict):
            raise _Refused(f"a {type(state).__name__} in place of a state dict")
        return {str(name): _array(name, tensor, storages) for name, tensor in state.items()}
    except _Refused as refused:
        raise InputError(
            f"weights: {path!r} is refused, because it holds {refused}; a state dict holds named "
            "tensors only. Nothing in it was run. Save it again with "
            "`torch.save(model.state_dict(), path)`."
        ) from None
    except Exception as error:
        raise InputError(
            f"weights: {path!r} can't be read as a PyTorch state dict ({error}). It may be "
            "damaged or cut short: download it again, or save it again with "
            "`torch.save(model.state_dict(), path)`."
        ) from error


def _read_legacy(file: io.BufferedReader) -> tuple[Any, dict[str, np.ndarray]]:
    """Read magic number, protocol, system, state, storage keys; then the storages themselves."""
    file.seek(0)
    if _Unpickler(file).load() != _LEGACY_MAGIC:
        raise ValueError("its magic number is missing")
    _Unpickler(file).load()
    _Unpickler(file).load()
    reader = _Unpickler(file)
    state = reader.load()
    storages = {}
    for key in _Unpickler(file).load():
        dtype, count = reader.storages[key]
        if int.from_bytes(file.read(8), "little") != count:
            raise ValueError(f"storage {key} has another length than announced")
        storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return state, storages


def _read_zip(file: io.BufferedReader) -> tuple[Any, dict[str, np.ndarray]]:
    """Read `NAME/data.pkl` and the storages at `NAME/data/KEY`."""
    with zipfile.ZipFile(file) as archive:
        entry = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if entry is None:
            raise ValueError("the archive has no data.pkl")
        folder = entry.removesuffix(".pkl")
        order = f"{folder.removesuffix('data')}byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("its numbers are big-endian")
        reader = _Unpickler(io.BytesIO(archive.read(entry)))
        state = reader.load()
        return state, {
            key: np.frombuffer(archive.read(f"{folder}/{key}"), dtype, count)
            for key, (dtype, count) in reader.storages.items()
        }


def _array(name: Any, tensor: Any, storages: dict[str, np.ndarray]) -> np.ndarray:
    """Cut one tensor out of its storage, inside its bounds."""
    if not isinstance(tensor, _Tensor):
        raise _Refused(f"a {type(tensor).__name__} under {name!r}")
    storage = storages[tensor.key]
    if math.prod(tensor.size) == 0:
        return np.zeros(tensor.size, storage.dtype)
    reach = sum((size - 1) * step for size, step in zip(tensor.size, tensor.stride, strict=True))
    if tensor.offset + reach >= len(storage) or math.prod(tensor.size) > len(storage):
        raise _Refused(f"the tensor {name!r}, which reaches outside its storage")
    strides = [step * storage.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.size, strides).copy()
