"""Damage to feature stores: their description bit by bit, and files of their shards."""

import dataclasses
import json
import os
import pathlib
import random
import shutil
from collections.abc import Callable, Iterator

__all__ = ["Case", "cases", "descriptions"]

_SHARD = "000001"


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to damage a store.

    Attributes:
        name: What it does, with a slash after the kind of file.
        damage: Does it, given the store's folder.
        shards: How many shards have to be computed again.
    """

    name: str
    damage: Callable[[pathlib.Path], None]
    shards: int


def cases(seed: int = 0) -> Iterator[Case]:
    """Yield ways to damage the second shard of a store, or its description.

    Args:
        seed: Decides which bytes change.
    """
    chosen = random.Random(seed)
    for name, change in _contents(chosen):
        yield Case(f"meta.json/{name}", _changing("meta.json", change), 0)
        yield Case(f"record/{name}", _changing(f"{_SHARD}.json", change), 1)
        yield Case(f"array/{name}", _changing(f"{_SHARD}.x0.npy", change), 1)
    for name, replace in _REPLACED.items():
        yield Case(f"meta.json/{name}", _replacing("meta.json", replace), 0)
        yield Case(f"record/{name}", _replacing(f"{_SHARD}.json", replace), 1)
        yield Case(f"array/{name}", _replacing(f"{_SHARD}.y0.npy", replace), 1)
    yield Case("record/of another shard", _copying("000000.json", f"{_SHARD}.json"), 1)
    yield Case("array/of another shard", _copying("000000.x0.npy", f"{_SHARD}.x0.npy"), 1)
    yield Case("array/of another column", _copying(f"{_SHARD}.y0.npy", f"{_SHARD}.x0.npy"), 1)


def descriptions(original: bytes, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield damaged forms of a `meta.json`: every bit flipped, and values that are none.

    Args:
        original: Content of the file.
        seed: Decides in which order the bits come.
    """
    bits = list(range(8 * len(original)))
    random.Random(seed).shuffle(bits)
    for bit in bits:
        content = bytearray(original)
        content[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(content)
    values = json.loads(original)
    for where in (values, values["layout"], values["layout"]["x"][0]):
        for key, before in list(where.items()):
            for other in (None, -1, 1e400, "", [], {}, [None], 2**80, True):
                where[key] = other
                yield f"{key} = {other!r}"[:60], json.dumps(values).encode()
            del where[key]
            yield f"without {key}", json.dumps(values).encode()
            where[key] = before


def _contents(chosen: random.Random) -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    def flip(place: float) -> Callable[[bytes], bytes]:
        def change(content: bytes) -> bytes:
            damaged = bytearray(content)
            damaged[int(place * len(content))] ^= 1 << chosen.randrange(8)
            return bytes(damaged)

        return change

    for place in (0.0, *(chosen.random() for _ in range(8)), 0.999999):
        yield f"flipped at {place:.3f}", flip(place)
    for place in (0.0, 0.3, 0.999):
        yield f"cut at {place}", lambda content, place=place: content[: int(place * len(content))]
    yield "longer", lambda content: content + b"\0"
    yield "zeros", lambda content: bytes(len(content))
    yield "nested", lambda content: b"[" * 10**5
    yield "huge", lambda content: b" " * (2**20 + 1) + content
    yield "not UTF-8", lambda content: b"\xff" + content


_REPLACED: dict[str, Callable[[pathlib.Path], None]] = {
    "missing": lambda path: None,
    "folder": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "broken link": lambda path: path.symlink_to("nowhere"),
}


def _changing(name: str, change: Callable[[bytes], bytes]) -> Callable[[pathlib.Path], None]:
    def damage(folder: pathlib.Path) -> None:
        path = folder / name
        path.write_bytes(change(path.read_bytes()))

    return damage


def _replacing(name: str, replace: Callable[[pathlib.Path], None]) -> Callable:
    def damage(folder: pathlib.Path) -> None:
        (folder / name).unlink()
        replace(folder / name)

    return damage


def _copying(source: str, target: str) -> Callable[[pathlib.Path], None]:
    return lambda folder: shutil.copyfile(folder / source, folder / target) and None
