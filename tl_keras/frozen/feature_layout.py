"""How stored features lie in shards."""

import dataclasses
import json
import math
from typing import Any

import numpy as np

SHARD_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class Column:
    """What is stored of one tensor per example.

    Attributes:
        name: Name of its files.
        shape: Its shape, for one example.
        dtype: Name of its type; `"bfloat16"` is kept as uint16 of the same bits.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def stored_dtype(self) -> np.dtype:
        """The type in the files."""
        return np.dtype("uint16" if self.dtype == "bfloat16" else self.dtype)

    @property
    def row_bytes(self) -> int:
        """Bytes of one example."""
        return self.stored_dtype.itemsize * math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Layout:
    """How examples lie in shards.

    Attributes:
        count: Number of examples.
        views: Rows per example, one after the other.
        x: Columns of the values.
        y: Columns of the encoded targets; empty without labels.
        tasks: Names of the tasks in the order of `y`; None for one without a name.
    """

    count: int
    views: int
    x: tuple[Column, ...]
    y: tuple[Column, ...]
    tasks: tuple[str, ...] | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns."""
        return (*self.x, *self.y)

    @property
    def example_bytes(self) -> int:
        """Bytes of one example with all its views."""
        return self.views * sum(column.row_bytes for column in self.columns)

    @property
    def bytes(self) -> int:
        """Bytes of all examples."""
        return self.count * self.example_bytes

    @property
    def shard_examples(self) -> int:
        """Examples per shard: a power of two, so that batches end where shards end."""
        return 2 ** max(0, int(math.log2(SHARD_BYTES / max(1, self.example_bytes))))

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.count // self.shard_examples)

    def examples_of(self, shard: int) -> range:
        """Return the examples in a shard."""
        first = shard * self.shard_examples
        return range(first, min(first + self.shard_examples, self.count))

    def shape_in(self, shard: int, column: Column) -> tuple[int, ...]:
        """Return the shape of a column's array in a shard."""
        return (len(self.examples_of(shard)) * self.views, *column.shape)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Layout":
        """Return the layout that `to_json` gave."""
        columns = {
            key: tuple(Column(**one | {"shape": tuple(one["shape"])}) for one in data[key])
            for key in ("x", "y")
        }
        tasks = None if data["tasks"] is None else tuple(data["tasks"])
        return cls(data["count"], data["views"], **columns, tasks=tasks)

    def to_json(self) -> dict[str, Any]:
        """Return the layout as values that JSON gives back as they are."""
        return json.loads(json.dumps(dataclasses.asdict(self)))
