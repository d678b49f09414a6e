"""What the pickle of a PyTorch state dict is made of.

None of it is an object of the class that the pickle names. A storage or a tensor is a description,
a dict, list or tuple is a `Group`, and a group that lies in another one can't be changed any
more. So what has been checked stays as it was, and nothing is nested deeper than its level says.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tl_keras.backbones.torch_refusals import DamagedFile, RefusedFile
from tl_keras.utils.errors import shortened

__all__ = ["GLOBALS", "Function", "Group", "Storage", "StorageType", "Tensor", "as_storage", "call"]

_DEEPEST = 16
_MOST_AXES = 32
_LARGEST_SHAPE = 2**59
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


class Group:
    """A dict, list or tuple of the pickle.

    Args:
        kind: `"dict"`, `"list"` or `"tuple"`.
        values: What is in a list or tuple.

    Attributes:
        items: A dict with strings as keys, or a list.
        level: How deep groups are nested in it.
        closed: Whether it lies in another group.
    """

    __slots__ = ("closed", "items", "kind", "level")

    def __init__(self, kind: str, values: Sequence[Any] = ()) -> None:
        self.kind = kind
        self.items: Any = {} if kind == "dict" else []
        self.level = 1
        self.closed = False
        if values:
            self.extend(values)

    def extend(self, values: Sequence[Any]) -> None:
        """Add values to a list or tuple."""
        for value in values:
            self._enclose(value)
        self.items += values

    def assign(self, key: Any, value: Any) -> None:
        """Add an entry to a dict."""
        if type(key) is not str:
            raise RefusedFile("a dict with keys that are not names, as an optimizer's state is")
        if key in self.items:
            raise RefusedFile(f"two values under {shortened(key)}")
        self._enclose(value)
        self.items[key] = value

    def _enclose(self, value: Any) -> None:
        if self.closed or value is self:
            raise RefusedFile(f"a {self.kind} that changes after its use")
        if type(value) is Group:
            value.closed = True
            self.level = max(self.level, value.level + 1)
            if self.level > _DEEPEST:
                raise RefusedFile(f"values nested more than {_DEEPEST} deep")


@dataclass(frozen=True)
class StorageType:
    """The name of a number type, as `torch.FloatStorage` is."""

    dtype: np.dtype


@dataclass(frozen=True)
class Storage:
    """Numbers that lie elsewhere in the file, under a key."""

    key: str
    dtype: np.dtype
    count: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Tensor:
    """A view into a storage, inside its bounds; offset and strides count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of an array that holds the view's numbers."""
        return math.prod(self.shape) * self.storage.dtype.itemsize


@dataclass(frozen=True)
class Function:
    """A function that the pickle may call by name, and the least and most arguments it takes."""

    run: Callable[..., Any]
    least: int
    most: int


def _ordered_dict(pairs: Any = None) -> Group:
    """Take the place of `OrderedDict()` and of Python 2's `OrderedDict([[key, value], ...])`."""
    group = Group("dict")
    for pair in [] if pairs is None else _items(pairs, "list"):
        if type(pair) is not Group or pair.kind == "dict" or len(pair.items) != 2:
            raise DamagedFile("an ordered dict is not made of pairs")
        group.assign(*pair.items)
    return group


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """Take the place of `torch._utils._rebuild_tensor_v2`."""
    shape, strides = _items(size, "tuple"), _items(stride, "tuple")
    if type(storage) is not Storage or len(shape) != len(strides) or len(shape) > _MOST_AXES:
        raise RefusedFile("a tensor without a storage or a shape")
    if any(type(number) is not int or number < 0 for number in (offset, *shape, *strides)):
        raise RefusedFile("a tensor whose shape, offset or strides aren't integers of 0 or more")
    if max(math.prod(length or 1 for length in shape), offset, *strides, 0) > _LARGEST_SHAPE:
        raise RefusedFile("a tensor of an impossible shape")
    numbers = math.prod(shape)
    reach = sum((length - 1) * step for length, step in zip(shape, strides, strict=True))
    if numbers and (offset + reach >= storage.count or numbers > storage.count):
        raise RefusedFile("a tensor that reaches outside its storage")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(data: Any, *_: Any) -> Tensor:
    """Take the place of `torch._utils._rebuild_parameter`."""
    if type(data) is not Tensor:
        raise RefusedFile("a parameter that is not a tensor")
    return data


GLOBALS = {
    ("collections", "OrderedDict"): Function(_ordered_dict, 0, 1),
    ("torch._utils", "_rebuild_tensor_v2"): Function(_rebuild_tensor, 4, 7),
    ("torch._utils", "_rebuild_parameter"): Function(_rebuild_parameter, 1, 3),
    **{("torch", name): StorageType(np.dtype(code)) for name, code in _STORAGE_TYPES.items()},
}


def call(function: Any, arguments: Any) -> Any:
    """Call a function of `GLOBALS` with a tuple of arguments."""
    values = _items(arguments, "tuple")
    if type(function) is not Function or not function.least <= len(values) <= function.most:
        raise RefusedFile("a call that no state dict has")
    return function.run(*values)


def as_storage(reference: Any) -> Storage:
    """Return the storage that a persistent id describes."""
    match _items(reference, "tuple"):
        case ["storage", StorageType(dtype=dtype), str(key), _, int(count), *view]:
            if (
                type(count) is not int
                or count < 0
                or len(view) > 1
                or (view and view[0] is not None)
            ):
                raise RefusedFile("a view into another storage")
            return Storage(key, dtype, count)
    raise RefusedFile("a reference that is not a tensor's storage")


def _items(value: Any, kind: str) -> list[Any]:
    if type(value) is not Group or value.kind != kind:
        raise RefusedFile(f"something else where a {kind} belongs")
    return value.items
