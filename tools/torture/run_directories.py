"""Run directories with something wrong: files lost, cut, zeroed, changed, or become folders."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["cases", "contents"]

_CHECKPOINTS = "checkpoints"


def cases(folder: Path, seed: int = 0) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Give every way to damage a run directory.

    Args:
        folder: A whole one; it is only read.
        seed: Decides where files are cut and which bits change.

    Yields:
        Name of the case, and a function that damages a copy of `folder`.
    """
    names = sorted(contents(folder))
    for name in names:
        for damage, do in _DAMAGES.items():
            yield f"{name} {damage}", _one(name, do, f"{seed} {name} {damage}")
    checkpoints = [name for name in names if name.startswith(f"{_CHECKPOINTS}/checkpoint-")]
    if not checkpoints:
        return
    for damage, do in _DAMAGES.items():
        for kind, chosen in (
            ("all checkpoints", checkpoints),
            ("all in checkpoints", [name for name in names if name.startswith(_CHECKPOINTS)]),
            ("config and all checkpoints", ["config.json", *checkpoints]),
            ("config and the newest checkpoint", ["config.json", checkpoints[-1]]),
        ):
            yield f"{kind} {damage}", _several(chosen, do, f"{seed} {kind} {damage}")
    yield "folder of checkpoints lost", lambda copy: shutil.rmtree(copy / _CHECKPOINTS)
    yield "folder of checkpoints a file", _folder_to_file


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files of a run, by their paths in it; a lock is none of them."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _one(name: str, do: Callable, seed: str) -> Callable[[Path], None]:
    return lambda copy: do(copy / name, random.Random(seed))


def _several(names: list[str], do: Callable, seed: str) -> Callable[[Path], None]:
    def damage(copy: Path) -> None:
        chance = random.Random(seed)
        for name in names:
            do(copy / name, chance)

    return damage


def _folder_to_file(copy: Path) -> None:
    shutil.rmtree(copy / _CHECKPOINTS)
    (copy / _CHECKPOINTS).write_bytes(b"")


def _lose(path: Path, chance: random.Random) -> None:
    path.unlink()


def _empty(path: Path, chance: random.Random) -> None:
    path.write_bytes(b"")


def _cut(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size))


def _zero(path: Path, chance: random.Random) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _replace(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


_DAMAGES = {
    "lost": _lose,
    "empty": _empty,
    "cut": _cut,
    "zeroed": _zero,
    "flipped": _flip,
    "flipped again": _flip,
    "a folder": _replace,
}
