"""State dicts that are made of allowed instructions and make no sense, as parts of pickles."""

import pickle
from collections.abc import Iterator

from tools.torture.pickle_bytes import call, dict_of, integer, name, storage, tensor, text, tuple_of

__all__ = ["hostile_states"]


def hostile_states() -> Iterator[tuple[str, bytes]]:
    """Yield names and the instructions that push a state dict."""
    yield from _keys()
    for label, value in _tensors():
        yield f"tensor/{label}", dict_of([(text("a"), value)])
    for label, value in _values():
        yield f"value/{label}", value


def _keys() -> Iterator[tuple[str, bytes]]:
    keys = {
        "integer": integer(3),
        "true": pickle.NEWTRUE,
        "none": pickle.NONE,
        "float": pickle.BINFLOAT + bytes(8),
        "bytes": pickle.SHORT_BINBYTES + b"\1a",
        "tuple": tuple_of(text("a")),
        "storage": storage(),
        "tensor": tensor(),
        "class": name("torch.FloatStorage"),
        "long": text("a" * 10**6),
        "escape": text("\x1b]0;evil\x07"),
        "line": text("a\r\nb"),
        "direction": text("\u202egnp.exe"),
        "zero": text("a\0b"),
    }
    for label, key in keys.items():
        yield f"key/{label}", dict_of([(key, tensor())])
    yield "key/twice", dict_of([(text("a"), tensor())] * 2)
    yield "key/not UTF-8", dict_of([(pickle.SHORT_BINSTRING + b"\1\xff", tensor())])
    yield "key/half a pair", pickle.EMPTY_DICT + pickle.MARK + text("a") + pickle.SETITEMS


def _tensors() -> Iterator[tuple[str, bytes]]:
    def numbers(*values: int) -> bytes:
        return tuple_of(*map(integer, values))

    shapes = {
        "beyond": (numbers(3, 3), numbers(3, 1)),
        "far": (numbers(2, 3), numbers(2**40, 1)),
        "repeated": (numbers(2**30), numbers(0)),
        "repeated twice": (numbers(2**15, 2**15), numbers(0, 0)),
        "wrapped": (numbers(2**32, 2**32), numbers(0, 0)),
        "negative": (numbers(-2, -3), numbers(3, 1)),
        "backwards": (numbers(2, 3), numbers(-3, 1)),
        "fewer strides": (numbers(2, 3), numbers(1)),
        "many axes": (numbers(*[1] * 80), numbers(*[1] * 80)),
        "empty and huge": (numbers(0, 2**62, 2**62), numbers(1, 1, 1)),
        "huge stride": (numbers(1), numbers(2**100)),
        "no numbers": (tuple_of(text("2"), text("3")), numbers(3, 1)),
        "truth": (tuple_of(pickle.NEWTRUE), tuple_of(pickle.NEWTRUE)),
        "a list": (pickle.EMPTY_LIST, pickle.EMPTY_LIST),
        "a dict": (pickle.EMPTY_DICT, pickle.EMPTY_DICT),
        "a text": (text("23"), text("31")),
        "float": (tuple_of(pickle.BINFLOAT + b"\x40" + bytes(7)), numbers(1)),
    }
    for label, (shape, strides) in shapes.items():
        yield label, tensor(shape, strides)
    for offset in (1, 7, -1, 2**31, 2**63, 2**64, 2**100):
        yield f"offset {offset}", tensor(offset=integer(offset))
    storages = {
        "too few": storage(count=integer(5)),
        "too many": storage(count=integer(7)),
        "far too many": storage(count=integer(2**40)),
        "negative": storage(count=integer(-6)),
        "true": storage(count=pickle.NEWTRUE),
        "wider": storage(kind=name("torch.DoubleStorage")),
        "narrower": storage(kind=name("torch.ByteStorage")),
        "view": storage(text("0"), name("torch.FloatStorage"), integer(6), numbers(1, 2)),
        "type as text": storage(kind=text("torch.FloatStorage")),
        "function as type": storage(kind=name("torch._utils._rebuild_tensor_v2")),
        "another": storage(key=text("1")),
        "nothing": storage(key=text("")),
        "upwards": storage(key=text("../data.pkl")),
        "absolute": storage(key=text("/etc/passwd")),
        "escape": storage(key=text("\x1b[2J")),
        "long": storage(key=text("0" * 10**6)),
        "integer": storage(key=integer(0)),
    }
    for label, pushed in storages.items():
        yield f"storage {label}", tensor(numbers=pushed)
    yield "two storages", tuple_of(tensor(), tensor(numbers=storage(count=integer(5))))
    yield "no storage", tensor(numbers=text("0"))
    yield "parameter", call("torch._utils._rebuild_parameter", text("a"), pickle.NEWTRUE)
    yield "no arguments", call("torch._utils._rebuild_tensor_v2")
    yield "many arguments", call("torch._utils._rebuild_tensor_v2", *[pickle.NONE] * 50)


def _values() -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield "two", tensor() + tensor()
    yield "none", pickle.NONE
    yield "text", text("weights")
    yield "tensor", tensor()
    yield "list", pickle.EMPTY_LIST
    yield "class", name("collections.OrderedDict")
    yield "open mark", pickle.EMPTY_DICT + pickle.MARK
    state = dict_of([(text("a"), tensor())])
    yield "checkpoint", dict_of([(text("state_dict"), state), (text("epoch"), integer(3))])
