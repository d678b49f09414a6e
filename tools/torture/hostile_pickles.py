"""Pickles that a reader of state dicts has to refuse, whichever file they lie in."""

import pickle
import pickletools
import struct
from collections.abc import Iterator

from tools.torture.hostile_states import hostile_states
from tools.torture.pickle_bytes import (
    call,
    dict_of,
    integer,
    name,
    storage,
    tensor,
    text,
    tuple_of,
)

__all__ = ["ALLOWED", "hostile_pickles", "program"]

# What a state dict needs, in any protocol and from Python 2 too.
ALLOWED = frozenset(
    (
        *("PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "INT", "LONG"),
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"),
        *("BINSTRING", "SHORT_BINSTRING", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "GLOBAL"),
        *("STACK_GLOBAL", "REDUCE", "BUILD", "BINPERSID", "BINPUT", "LONG_BINPUT", "BINGET"),
        *("LONG_BINGET", "MEMOIZE"),
    )
)
_OUTSIDE = (
    *("os.system", "posix.system", "nt.system", "subprocess.Popen", "builtins.eval"),
    *("builtins.exec", "builtins.getattr", "builtins.__import__", "builtins.bytearray"),
    *("__builtin__.eval", "importlib.import_module", "runpy.run_path", "shutil.rmtree"),
    *("torch.load", "torch.hub.load", "torch.nn.Linear", "torch.Size", "torch.device"),
    *("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v3"),
    *("torch._utils._rebuild_qtensor", "torch.jit._pickle.build_intlist"),
    *("numpy.core.multiarray._reconstruct", "numpy.fromfile", "collections.defaultdict"),
    *("collections.OrderedDict.__init__", "torch.FloatStorage.__class__", "torch.BFloat16Storage"),
    *(
        "torch.ComplexFloatStorage",
        "torch.storage._load_from_bytes",
        "tl_keras.utils.errors.InputError",
    ),
)


def program(*parts: bytes) -> bytes:
    """Return a pickle of protocol 2."""
    return b"\x80\x02" + b"".join(parts) + pickle.STOP


def hostile_pickles() -> Iterator[tuple[str, bytes]]:
    """Yield names and pickles."""
    for family in (_instructions, _attributes, _names, _depth, _sharing, _lengths, _volume):
        yield from family()
    for label, value in hostile_states():
        yield label, program(value)


def _instructions() -> Iterator[tuple[str, bytes]]:
    """Every instruction that there is: forbidden ones after values, others where they fail."""
    values = pickle.MARK + text("a") + dict_of([]) + text("os") + text("system") + tensor()
    for opcode in pickletools.opcodes:
        code = opcode.code.encode("latin-1")
        if opcode.name not in ALLOWED:
            yield f"forbidden/{opcode.name}", program(values, code, b"1\n" + bytes(16))
        elif opcode.name != "STOP":
            yield f"alone/{opcode.name}", program(code, bytes(16))
            yield f"misplaced/{opcode.name}", program(text("a"), tensor(), code, b"\1\n\1\n")


def _attributes() -> Iterator[tuple[str, bytes]]:
    """BUILD on what is shared, or done with."""
    state = dict_of([(text("dtype"), integer(7)), (text("count"), integer(9))])
    targets = {
        "storage type": name("torch.FloatStorage"),
        "function": name("torch._utils._rebuild_tensor_v2"),
        "class": name("collections.OrderedDict"),
        "storage": storage(),
        "tensor": tensor(),
        "none": pickle.NONE,
        "text": text("a"),
        "list": pickle.EMPTY_LIST,
        "tuple": pickle.EMPTY_TUPLE,
    }
    for label, target in targets.items():
        yield f"build/{label}", program(dict_of([(text("a"), target + state + pickle.BUILD)]))
        slots = tuple_of(pickle.NONE, state)
        yield f"build slots/{label}", program(dict_of([(text("a"), target + slots + pickle.BUILD)]))
    inner = pickle.EMPTY_DICT + pickle.BINPUT + b"\7"
    late = pickle.BINGET + b"\7" + state + pickle.BUILD
    yield "build/used dict", program(tuple_of(inner, pickle.NONE), late)


def _names() -> Iterator[tuple[str, bytes]]:
    for dotted in _OUTSIDE:
        yield f"name/{dotted}", program(dict_of([(text("a"), call(dotted, text("true")))]))
        module, _, last = dotted.rpartition(".")
        pushed = text(module) + text(last) + pickle.STACK_GLOBAL + pickle.EMPTY_TUPLE
        yield f"stack name/{dotted}", program(pushed, pickle.REDUCE)
    for label, dotted in {"long": "a" * 10**6 + ".b", "escape": "\x1b[2J\x07.\u202eevil"}.items():
        module, _, last = dotted.rpartition(".")
        yield f"name/{label}", program(name(dotted))
        yield f"stack name/{label}", program(text(module), text(last), pickle.STACK_GLOBAL)


def _nest(depth: int, kind: str) -> bytes:
    if kind == "tuple":
        return pickle.EMPTY_TUPLE + pickle.TUPLE1 * depth
    if kind == "list":
        return pickle.EMPTY_LIST * depth + pickle.APPEND * (depth - 1)
    return (pickle.EMPTY_DICT + text("a")) * depth + pickle.NONE + pickle.SETITEM * depth


def _places(value: bytes) -> Iterator[tuple[str, bytes]]:
    """Put one value wherever a value can stand."""
    yield "key", program(dict_of([(value, tensor())]))
    yield "value", program(dict_of([(text("a"), value)]))
    yield "argument", program(call("collections.OrderedDict", value))
    yield "reference", program(value, pickle.BINPERSID)
    yield "attributes", program(call("collections.OrderedDict"), value, pickle.BUILD)
    yield "shape", program(dict_of([(text("a"), tensor(shape=value))]))
    yield "storage key", program(dict_of([(text("a"), tensor(numbers=storage(key=value)))]))
    yield "function", program(value, pickle.EMPTY_TUPLE, pickle.REDUCE)


def _depth() -> Iterator[tuple[str, bytes]]:
    for kind in ("tuple", "list", "dict"):
        for label, pickled in _places(_nest(200_000 if kind == "tuple" else 9_000, kind)):
            yield f"deep {kind}/{label}", pickled
    put, get = pickle.LONG_BINPUT, pickle.LONG_BINGET
    steps = [pickle.EMPTY_LIST + put + bytes(4)]
    for level in range(1, 20_000):
        steps.append(pickle.EMPTY_LIST + put + struct.pack("<I", level) + pickle.APPEND)
        steps.append(get + struct.pack("<I", level))
    yield "deep/from outside", program(*steps)
    yield "deep/marks", program(pickle.MARK * 200_000)
    itself = pickle.EMPTY_LIST + pickle.BINPUT + b"\0" + pickle.BINGET + b"\0" + pickle.APPEND
    for label, pickled in _places(itself):
        yield f"cycle/{label}", pickled


def _sharing() -> Iterator[tuple[str, bytes]]:
    """Values that are small here and 2**60 large when they are written out or compared."""
    double = pickle.BINPUT + b"\1" + pickle.BINGET + b"\1" + pickle.TUPLE2
    for label, pickled in _places(text("a") + double * 60):
        yield f"doubled/{label}", pickled
    for label, pickled in _places(text("a") + double * 12):
        yield f"doubled a little/{label}", pickled
    wide = pickle.LONG1 + b"\xff" + b"\x7f" * 255
    for label, pickled in _places(wide):
        yield f"wide integer/{label}", pickled


def _lengths() -> Iterator[tuple[str, bytes]]:
    """Lengths that nothing follows."""
    for code, layout in (
        *((pickle.BINUNICODE, "<I"), (pickle.BINSTRING, "<I"), (pickle.BINBYTES, "<I")),
        *((pickle.LONG4, "<I"), (pickle.BINBYTES8, "<Q"), (pickle.BINUNICODE8, "<Q")),
        *((pickle.BYTEARRAY8, "<Q"), (pickle.FRAME, "<Q")),
    ):
        bits = 8 * struct.calcsize(layout)
        for length in (2 ** (bits - 1) - 1, 2**bits - 1):
            operation = pickletools.code2op[code.decode("latin-1")].name
            yield f"length/{operation} {length}", program(code, struct.pack(layout, length), b"ab")
    digits = pickle.LONG + b"9" * 300_000 + b"L\n"
    yield "length/decimal", program(digits)
    yield "length/integer", program(pickle.LONG4 + struct.pack("<I", 400_000) + b"\x7f" * 400_000)
    yield "length/line", program(pickle.GLOBAL + b"a" * 10**6)
    yield "length/INT", program(pickle.INT + b"1" * 150 + b"\n")


def _volume() -> Iterator[tuple[str, bytes]]:
    """Many small things."""
    yield "volume/dicts on the stack", program(pickle.EMPTY_DICT * 2_000_000)
    yield "volume/instructions", program((pickle.NONE + pickle.EMPTY_LIST) * 10**6)
    spend = pickle.MARK + pickle.EMPTY_TUPLE * 9_000 + pickle.APPENDS
    yield "volume/tuples in a list", program(pickle.EMPTY_LIST, spend * 200)
    yield "volume/memoized", program(pickle.NONE, pickle.MEMOIZE * 2_000_000)
    put = b"".join(pickle.LONG_BINPUT + struct.pack("<I", 2**32 - 1 - n) for n in range(200_000))
    yield "volume/memo far away", program(pickle.NONE, put)
    pairs = b"".join(tuple_of(text(str(n)), pickle.NONE) for n in range(3000))
    put = pickle.BINPUT + b"\1"
    once = pickle.EMPTY_LIST + pickle.MARK + pairs + pickle.APPENDS + pickle.TUPLE1
    again = name("collections.OrderedDict") + pickle.BINGET + b"\1" + pickle.REDUCE
    yield "volume/one list in many calls", program(once, put, (again + pickle.TUPLE1) * 20_000)
    many = pickle.EMPTY_LIST + pickle.MARK + pairs + pickle.APPENDS + pickle.TUPLE1 + put
    taken = name("collections.OrderedDict") + pickle.BINGET + b"\1" + pickle.REDUCE
    yield "volume/calls in a list", program(pickle.EMPTY_LIST, many, taken * 9_000)
    shape = tuple_of(*[integer(0)] * 9_000) + put
    use = dict_of([(text("a"), tensor(pickle.BINGET + b"\1", pickle.BINGET + b"\1"))])
    yield "volume/axes", program(shape, use)
