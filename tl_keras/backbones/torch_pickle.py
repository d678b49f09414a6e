"""An interpreter for the few pickle instructions that a PyTorch state dict needs.

A pickle is a program. Python's own reader of it calls what it is told to, sets attributes of
whatever lies on its stack and hashes any object as a key. Here an instruction that is not in
`_INSTRUCTIONS` ends the reading, names lead to the table `torch_values.GLOBALS` and nowhere
else, and length, depth and work are bounded. See `pickletools` for what each instruction means.
"""

import pickle
import pickletools
import struct
from collections.abc import Callable
from typing import Any

from tl_keras.backbones.torch_refusals import DamagedFile, RefusedFile
from tl_keras.backbones.torch_stack import PickleStack
from tl_keras.backbones.torch_values import GLOBALS, Group, Storage, as_storage, call
from tl_keras.utils.errors import shortened

__all__ = ["Interpreter"]

_MOST_STEPS = 500_000
_LONGEST_INTEGER = 16
_STOP = pickle.STOP[0]
_CHECKED_EVERY = 256
_UINT, _INT, _USHORT, _DOUBLE = map(struct.Struct, ("<I", "<i", "<H", ">d"))


class Interpreter(PickleStack):
    """Reads one pickle.

    Args:
        data: The bytes that it lies in.
        start: Where it begins.

    Attributes:
        position: Where reading has come to; after `run`, the first byte after the pickle.
        storages: Key to storage, of all tensors.
    """

    def __init__(self, data: bytes, start: int = 0) -> None:
        super().__init__(data, start)
        self.storages: dict[str, Storage] = {}
        self._steps = 0

    def run(self) -> Any:
        """Return the pickle's value.

        Raises:
            RefusedFile: If it needs an instruction or a name that a state dict doesn't.
            DamagedFile: If it ends too early or makes no sense.
        """
        count = 0
        while (code := self.byte()) != _STOP:
            action = _INSTRUCTIONS.get(code)
            if action is None:
                raise _refusal(code)
            action(self)
            count += 1
            if count % _CHECKED_EVERY == 0:
                self.spend(_CHECKED_EVERY)
                self.check_size()
        return self.result()

    def spend(self, steps: int) -> None:
        """Count work, of which there is a limit."""
        self._steps += steps
        if self._steps > _MOST_STEPS:
            raise RefusedFile(f"a pickle of more than {_MOST_STEPS:,} instructions")

    def append(self, values: list[Any]) -> None:
        """Add to the list on the stack."""
        self._group("list").extend(values)

    def assign(self, values: list[Any]) -> None:
        """Add keys and values in turn to the dict on the stack."""
        group = self._group("dict")
        if len(values) % 2:
            raise DamagedFile("its pickle has a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            group.assign(key, value)

    def drop_attributes(self) -> None:
        """Leave out the attributes of a dict: a state dict's `_metadata`, versions of layers."""
        self._group("dict")
        self.pop()
        if self._group("dict").closed:
            raise RefusedFile("a dict that changes after its use")

    def look_up(self, module: Any, name: Any) -> None:
        """Push what a name stands for in a state dict."""
        if type(module) is not str or type(name) is not str:
            raise DamagedFile("its pickle has a name that is not a text")
        if (module, name) not in GLOBALS:
            if module == "torch" and name.endswith("Storage"):
                remedy = "Convert it first: `torch.save(model.float().state_dict(), path)`."
                raise RefusedFile(_dotted(module, name), remedy)
            raise RefusedFile(_dotted(module, name))
        self.push(GLOBALS[module, name])

    def reduce(self) -> None:
        """Call a function of `torch_values`."""
        function, arguments = self.pop_last(2)
        if type(arguments) is Group and arguments.items:
            first = arguments.items[0]
            self.spend(len(first.items) if type(first) is Group else 1)
        self.push(call(function, arguments))

    def refer(self) -> None:
        """Replace a persistent id by the storage that it describes."""
        storage = as_storage(self.pop())
        if self.storages.setdefault(storage.key, storage) != storage:
            raise RefusedFile("two descriptions of one storage")
        self.push(storage)

    def _group(self, kind: str) -> Group:
        value = self.last()
        if type(value) is not Group or value.kind != kind:
            raise RefusedFile(f"something else where a {kind} belongs")
        return value


def _dotted(module: str, name: str) -> str:
    return shortened(f"{module}.{name}", 100)[1:-1]


def _refusal(code: int) -> Exception:
    known = next((one for one in pickletools.opcodes if one.code == chr(code)), None)
    if known is None:
        return DamagedFile("it is not a pickle, or one with garbled instructions")
    return RefusedFile(f"the pickle instruction {known.name}")


def _text(machine: Interpreter, length: int) -> None:
    machine.push(machine.take(length).decode())


def _integer(machine: Interpreter) -> None:
    length = machine.byte()
    if length > _LONGEST_INTEGER:
        raise RefusedFile(f"an integer of {length} bytes")
    machine.push(int.from_bytes(machine.take(length), "little", signed=True))


def _decimal(machine: Interpreter) -> None:
    line = machine.line().removesuffix("L")
    if not line.removeprefix("-").isdecimal() or len(line) > 40:
        raise DamagedFile("its pickle has a number that is none")
    machine.push({"00": False, "01": True}.get(line, int(line)))


_INSTRUCTIONS: dict[int, Callable[[Interpreter], object]] = {
    pickle.PROTO[0]: lambda m: m.take(1) and None,
    pickle.FRAME[0]: lambda m: m.take(8) and None,
    pickle.MARK[0]: Interpreter.mark,
    pickle.NONE[0]: lambda m: m.push(None),
    pickle.NEWTRUE[0]: lambda m: m.push(True),
    pickle.NEWFALSE[0]: lambda m: m.push(False),
    pickle.BININT[0]: lambda m: m.push(m.number(_INT)),
    pickle.BININT1[0]: lambda m: m.push(m.byte()),
    pickle.BININT2[0]: lambda m: m.push(m.number(_USHORT)),
    pickle.BINFLOAT[0]: lambda m: m.push(m.number(_DOUBLE)),
    pickle.LONG1[0]: _integer,
    pickle.INT[0]: _decimal,
    pickle.LONG[0]: _decimal,
    pickle.BINUNICODE[0]: lambda m: _text(m, m.number(_UINT)),
    pickle.SHORT_BINUNICODE[0]: lambda m: _text(m, m.byte()),
    pickle.BINSTRING[0]: lambda m: _text(m, m.number(_UINT)),
    pickle.SHORT_BINSTRING[0]: lambda m: _text(m, m.byte()),
    pickle.EMPTY_TUPLE[0]: lambda m: m.push(Group("tuple")),
    pickle.TUPLE1[0]: lambda m: m.push(Group("tuple", m.pop_last(1))),
    pickle.TUPLE2[0]: lambda m: m.push(Group("tuple", m.pop_last(2))),
    pickle.TUPLE3[0]: lambda m: m.push(Group("tuple", m.pop_last(3))),
    pickle.TUPLE[0]: lambda m: m.push(Group("tuple", m.pop_to_mark())),
    pickle.EMPTY_LIST[0]: lambda m: m.push(Group("list")),
    pickle.APPEND[0]: lambda m: m.append(m.pop_last(1)),
    pickle.APPENDS[0]: lambda m: m.append(m.pop_to_mark()),
    pickle.EMPTY_DICT[0]: lambda m: m.push(Group("dict")),
    pickle.SETITEM[0]: lambda m: m.assign(m.pop_last(2)),
    pickle.SETITEMS[0]: lambda m: m.assign(m.pop_to_mark()),
    pickle.GLOBAL[0]: lambda m: m.look_up(m.line(), m.line()),
    pickle.STACK_GLOBAL[0]: lambda m: m.look_up(*m.pop_last(2)),
    pickle.REDUCE[0]: Interpreter.reduce,
    pickle.BUILD[0]: Interpreter.drop_attributes,
    pickle.BINPERSID[0]: Interpreter.refer,
    pickle.BINPUT[0]: lambda m: m.remember(m.byte()),
    pickle.LONG_BINPUT[0]: lambda m: m.remember(m.number(_UINT)),
    pickle.MEMOIZE[0]: Interpreter.memoize,
    pickle.BINGET[0]: lambda m: m.recall(m.byte()),
    pickle.LONG_BINGET[0]: lambda m: m.recall(m.number(_UINT)),
}
