"""What fingerprints are made of: hashes of arrays, of single examples and of weights."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.array_digests import add_array
from tl_keras.utils.by_task import by_task

SIZE = 16
_MODULUS = 1 << 8 * SIZE


def with_names(found: str, names: Any) -> str:
    """Return a fingerprint that the names of classes or columns count for, if there are any."""
    if not any(by_task(names).values()):
        return found
    return hashlib.blake2b(f"{found} {names}".encode(), digest_size=SIZE).hexdigest()


def arrays_fingerprint(x: Any, y: Any) -> str:
    """Return the fingerprint of arrays in their order.

    Args:
        x: Array `(n, …)`, or name → that.
        y: Labels: an array, a list of collections of names, a dict of these, or None.
    """
    digest = hashlib.blake2b(digest_size=SIZE)
    _add_inputs(digest, x)
    for task, part in sorted(by_task(y).items()):
        digest.update(task.encode())
        add_array(digest, part)
    return digest.hexdigest()


def _add_inputs(digest: Any, x: Any) -> None:
    if not isinstance(x, dict):
        add_array(digest, x)
        return
    for name, part in sorted(x.items()):
        digest.update(f"{name}:".encode())
        add_array(digest, part)


def weights_fingerprint(weights: Iterable[Any]) -> str:
    """Return the fingerprint of arrays of any shapes in their order."""
    digest = hashlib.blake2b(digest_size=SIZE)
    for values in weights:
        add_array(digest, values)
    return digest.hexdigest()


class Content:
    """Hashes of single examples: what a collection holds, in whatever order it comes.

    Attributes:
        fingerprint: Of all examples with their labels.
        images: Sum of the images' hashes modulo 2¹²⁸.
    """

    def __init__(self):
        self._total = self._count = self.images = 0
        self._known: set[int] = set()

    @property
    def fingerprint(self) -> str:
        """The sum of the hashes of examples with their labels, and how many there are."""
        text = f"{self._count} {self._total}".encode()
        return hashlib.blake2b(text, digest_size=SIZE).hexdigest()

    def add(self, x: Any, y: Any = ()) -> None:
        """Add a batch: inputs and labels `(b, …)`, each perhaps a dict of these."""
        parts = [np.asarray(part) for part in tf.nest.flatten(y)]
        tasks = repr(sorted(y) if isinstance(y, dict) else None).encode()
        for row, number in enumerate(image_hashes(x)):
            digest = hashlib.blake2b(number.to_bytes(SIZE, "big") + tasks, digest_size=SIZE)
            for part in parts:
                add_array(digest, part[row])
            self._total = (self._total + int.from_bytes(digest.digest(), "big")) % _MODULUS
            self.images = (self.images + number) % _MODULUS
            self._known.add(number)
            self._count += 1

    def has(self, numbers: Iterable[int]) -> bool:
        """Return whether images with all these hashes were added."""
        return self._known.issuperset(numbers)


def image_hashes(x: Any) -> list[int]:
    """Return one number below 2¹²⁸ for each example `(b, …)`, from its values.

    Args:
        x: Array, whose values count as integers or float32, or name → array.
    """
    if isinstance(x, dict):
        each = zip(*(image_hashes(x[name]) for name in sorted(x)), strict=True)
        parts = ([number.to_bytes(SIZE, "big") for number in row] for row in each)
        return [_number(b"".join([repr(sorted(x)).encode(), *row])) for row in parts]
    x = np.asarray(x)
    x = np.ascontiguousarray(x if x.dtype.kind in "iu" else x.astype(np.float32))
    head = repr((x.dtype.name, x.shape[1:])).encode()
    return [_number(head + row.tobytes()) for row in x]


def _number(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=SIZE).digest(), "big")


def add_numbers(first: int, *more: int) -> int:
    """Return the sum of hashes modulo 2¹²⁸."""
    return sum(more, first) % _MODULUS
