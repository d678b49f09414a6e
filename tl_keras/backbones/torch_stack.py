"""The bytes of a pickle and the stack of values that its instructions work on."""

import struct
from typing import Any

from tl_keras.backbones.torch_refusals import DamagedFile, RefusedFile

__all__ = ["PickleStack"]

_MOST_VALUES = 10_000
_MOST_MARKS = 64
_LONGEST_LINE = 200


class PickleStack:
    """Bytes that are read in order, a stack with marks, and a store of values by number.

    Args:
        data: The bytes that the pickle lies in.
        start: Where it begins.

    Attributes:
        position: Where reading has come to.
    """

    def __init__(self, data: bytes, start: int) -> None:
        self.position = start
        self._data = data
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def check_size(self) -> None:
        """Refuse a stack that is larger than a state dict's."""
        if len(self._stack) > _MOST_VALUES or len(self._marks) > _MOST_MARKS:
            raise RefusedFile(f"more than {_MOST_VALUES:,} values at a time")

    def result(self) -> Any:
        """Return the one value that is left at the end."""
        value = self.pop()
        if self._stack or self._marks:
            raise DamagedFile("its pickle leaves values over")
        return value

    def byte(self) -> int:
        """Return the next byte."""
        position = self.position
        if position >= len(self._data):
            raise DamagedFile("its pickle ends too early")
        self.position = position + 1
        return self._data[position]

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        content = self._data[self.position : self.position + count]
        if len(content) != count:
            raise DamagedFile("its pickle ends too early")
        self.position += count
        return content

    def line(self) -> str:
        """Return what comes before the next end of a line."""
        end = self._data.find(b"\n", self.position, self.position + _LONGEST_LINE)
        if end < 0:
            raise DamagedFile("its pickle has a line without an end")
        return self.take(end + 1 - self.position)[:-1].decode()

    def number(self, layout: struct.Struct) -> Any:
        """Return the next number."""
        return layout.unpack(self.take(layout.size))[0]

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def mark(self) -> None:
        """Remember how many values are on the stack."""
        self._marks.append(len(self._stack))

    def pop(self) -> Any:
        """Take the last value off the stack."""
        self.last()
        return self._stack.pop()

    def pop_last(self, count: int) -> list[Any]:
        """Take the last `count` values off the stack."""
        if len(self._stack) - count < (self._marks[-1] if self._marks else 0):
            raise DamagedFile("its pickle uses a value that isn't there")
        values = self._stack[-count:]
        del self._stack[-count:]
        return values

    def pop_to_mark(self) -> list[Any]:
        """Take everything above the last mark off the stack."""
        if not self._marks:
            raise DamagedFile("its pickle uses a value that isn't there")
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def remember(self, key: int) -> None:
        """Store the last value of the stack under a number."""
        self._memo[key] = self.last()

    def memoize(self) -> None:
        """Store the last value of the stack under the next number."""
        self.remember(len(self._memo))

    def recall(self, key: int) -> None:
        """Push what is stored under a number."""
        if key not in self._memo:
            raise DamagedFile("its pickle uses a value that isn't there")
        self.push(self._memo[key])

    def last(self) -> Any:
        """Return the last value of the stack, which stays there."""
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise DamagedFile("its pickle uses a value that isn't there")
        return self._stack[-1]
