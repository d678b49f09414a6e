"""Pickles as bytes, written by hand, so that they can say what no pickler would write."""

import pickle
import struct
from collections.abc import Iterable

__all__ = ["call", "dict_of", "integer", "name", "storage", "tensor", "text", "tuple_of"]


def text(value: str) -> bytes:
    """Push a string."""
    content = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(content)) + content


def integer(value: int) -> bytes:
    """Push an integer of up to 255 bytes."""
    if -(2**31) <= value < 2**31:
        return pickle.BININT + struct.pack("<i", value)
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return pickle.LONG1 + bytes([len(content)]) + content


def name(dotted: str) -> bytes:
    """Push what a name stands for."""
    module, _, last = dotted.rpartition(".")
    return pickle.GLOBAL + f"{module}\n{last}\n".encode()


def tuple_of(*values: bytes) -> bytes:
    """Push a tuple of what the arguments push."""
    return pickle.MARK + b"".join(values) + pickle.TUPLE


def dict_of(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Push a dict of what the pairs push."""
    items = b"".join(key + value for key, value in pairs)
    return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS


def call(dotted: str, *arguments: bytes) -> bytes:
    """Push the result of a call."""
    return name(dotted) + tuple_of(*arguments) + pickle.REDUCE


def storage(
    key: bytes = text("0"),
    kind: bytes = name("torch.FloatStorage"),
    count: bytes = integer(6),
    *more: bytes,
) -> bytes:
    """Push a storage, of six float32 under the key "0" if nothing else is said."""
    return tuple_of(text("storage"), kind, key, text("cpu"), count, *more) + pickle.BINPERSID


def tensor(
    shape: bytes = tuple_of(integer(2), integer(3)),
    strides: bytes = tuple_of(integer(3), integer(1)),
    offset: bytes = integer(0),
    numbers: bytes | None = None,
) -> bytes:
    """Push a tensor, of shape (2, 3) in `storage()` if nothing else is said."""
    hooks = call("collections.OrderedDict")
    parts = (storage() if numbers is None else numbers, offset, shape, strides)
    return call("torch._utils._rebuild_tensor_v2", *parts, pickle.NEWFALSE, hooks)
