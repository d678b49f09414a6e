"""Hostile `.pth` files: pickles, zip archives and legacy files, and flips of an honest one."""

import gzip
import io
import pickle
import random
import struct
import tarfile
import zlib
from collections.abc import Iterator

from tools.torture.hostile_pickles import hostile_pickles, program
from tools.torture.pickle_bytes import dict_of, integer, storage, tensor, text, tuple_of
from tools.torture.zip_bytes import Entry, zip_bytes

__all__ = ["HONEST", "cases", "honest"]

# What `honest()` holds: name to shape and numbers.
HONEST = {"weight": ((2, 3), (0.0, 1.0, 2.0, 3.0, 4.0, 5.0))}
_NUMBERS = struct.pack("<6f", *HONEST["weight"][1])
_STATE = program(dict_of([(text("weight"), tensor())]))
_MAGIC = 0x1950A86A20F9469CFC6C


def honest() -> bytes:
    """Return a file of one tensor as `torch.save` writes it."""
    return zip_bytes(_entries())


def _entries(state: bytes = _STATE, numbers: bytes = _NUMBERS) -> list[Entry]:
    return [
        Entry("honest/data.pkl", state),
        Entry("honest/byteorder", b"little"),
        Entry("honest/data/0", numbers),
        Entry("honest/version", b"3\n"),
    ]


def _legacy(state: bytes = _STATE, keys: tuple = ("0",), count: int = 6) -> bytes:
    head = [pickle.dumps(value, 2) for value in (_MAGIC, 1001, {"little_endian": True})]
    numbers = struct.pack("<Q", count) + _NUMBERS
    return b"".join([*head, state, pickle.dumps(list(keys), 2), numbers])


def cases(seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield names and files.

    Each has to be refused with `InputError`, but for those whose name begins with `"flip/"`:
    a single bit of `honest()` is another there, and if that doesn't matter, reading gives the
    same.

    Args:
        seed: Of the bits that are flipped and of the bytes of some.
    """
    chance = random.Random(seed)
    for label, pickled in hostile_pickles():
        yield f"zip/{label}", zip_bytes(_entries(pickled))
        if label.startswith(("forbidden", "build", "name", "deep tuple", "doubled", "volume")):
            yield f"legacy/{label}", _legacy(pickled)
    yield from _archives()
    yield from _compressed()
    yield from _legacy_files()
    yield from _other_files(chance)
    whole = honest()
    for length in sorted(chance.sample(range(len(whole)), 40)):
        yield f"cut/{length}", whole[:length]
    for bit in sorted(chance.sample(range(8 * len(whole)), 300)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"flip/{bit}", bytes(flipped)


def _archives() -> Iterator[tuple[str, bytes]]:
    """Archives that contradict themselves, or use what torch.save doesn't."""
    state, order, numbers, version = _entries()

    def changed(which: Entry, **fields: object) -> bytes:
        new = Entry(**{**vars(which), **fields})
        return zip_bytes([new if entry is which else entry for entry in _entries_of])

    _entries_of = [state, order, numbers, version]
    for label, entry in {"state": state, "order": order, "numbers": numbers}.items():
        yield f"archive/two of {label}", zip_bytes([*_entries_of, entry])
        yield f"archive/checksum of {label}", changed(entry, checksum=1)
        yield (
            f"archive/content of {label}",
            changed(entry, content=bytes(len(entry.content)), checksum=zlib.crc32(entry.content)),
        )
        for flag in (0, 4, 5, 6, 12, 13, 15):
            yield f"archive/flag {flag} of {label}", changed(entry, flags=1 << flag)
        for method in (1, 8, 9, 12, 14, 93, 99):
            yield f"archive/method {method} of {label}", changed(entry, method=method)
        for field in ("size", "stored"):
            for length in (0, len(entry.content) - 1, len(entry.content) + 1, 2**31, 2**32 - 1):
                yield f"archive/{field} {length} of {label}", changed(entry, **{field: length})
        for length in (2**33, 2**62, 2**63, 2**64 - 1):
            extra = struct.pack("<2H2Q", 1, 16, length, length)
            wide = {"size": 2**32 - 1, "stored": 2**32 - 1, "extra": extra}
            yield f"archive/wide size {length} of {label}", changed(entry, **wide)
            extra = struct.pack("<2HQ", 1, 8, length)
            yield (
                f"archive/wide header {length} of {label}",
                changed(entry, header=2**32 - 1, extra=extra),
            )
        extra = struct.pack("<2H", 1, 60_000)
        yield f"archive/extra field of {label}", changed(entry, size=2**32 - 1, extra=extra)
        for field, value in (("name", b"honest/data.pkx"), ("size", 7), ("checksum", 7)):
            if (field, entry) != ("name", state):
                local = ((field, value),)
                yield f"archive/local {field} of {label}", changed(entry, local=local)
        yield f"archive/local method of {label}", changed(entry, local=(("method", 8),))
        for header in (1, len(state.content), 10**6, 2**31):
            yield f"archive/header {header} of {label}", changed(entry, header=header)
    for label, name in {
        "absolute": "/data.pkl",
        "root": "data.pkl",
        "upwards": "../data.pkl",
        "deep": "a/b/data.pkl",
        "backslash": "honest\\data.pkl",
        "zero": "honest\0/data.pkl/",
        "long": "h" * 60_000 + "/data.pkl",
        "not UTF-8": b"\xff\xfe/data.pkl",
        "escape": "\x1b[2J/data.pkl",
        "renamed": "honest/data.pk",
    }.items():
        yield f"archive/name {label}", changed(state, name=name)
    yield "archive/two folders", zip_bytes([*_entries_of, Entry("other/data.pkl", _STATE)])
    yield "archive/big-endian", changed(order, content=b"big")
    yield "archive/order of a megabyte", changed(order, content=b"little" * 200_000)
    yield "archive/nested", zip_bytes([Entry("honest/data.pkl", honest()), *_entries_of[1:]])
    yield "archive/nothing in it", zip_bytes([])
    yield (
        "archive/100,000 entries",
        zip_bytes([*_entries_of, *(Entry(f"honest/{n:090}", b"") for n in range(100_000))]),
    )
    yield (
        "archive/shared bytes",
        zip_bytes(
            [*_entries_of, *(Entry(f"honest/data/{n}", _NUMBERS, header=0) for n in range(1, 9))]
        ),
    )
    shared = dict_of([(text(str(n)), tensor()) for n in range(3000)])
    yield "archive/pickle of 17 MB", zip_bytes(_entries(program(shared) + bytes(2**24)))
    whole = storage(count=integer(2**14))
    view = tensor(tuple_of(integer(2**14)), tuple_of(integer(1)), numbers=whole)
    views = program(dict_of([(text(str(n)), view) for n in range(300)]))
    yield "archive/many views of one storage", zip_bytes(_entries(views, bytes(2**16)))
    yield "archive/pickle and more", zip_bytes(_entries(_STATE + b"\0"))
    for field, values in {
        "count": (0, 3, 5, 65535),
        "length": (0, 1, 10**6, 2**32 - 1),
        "start": (0, 1, 10**6, 2**32 - 1),
        "disk": (1, 65535),
        "comment": (b"a", b"PK\5\6" + bytes(18)),
    }.items():
        for value in values:
            shown = value if isinstance(value, int) else len(value)
            yield f"archive/end {field} {shown}", zip_bytes(_entries_of, **{field: value})
    for field in ("count", "length", "start", "locator"):
        for value in (0, 2**32, 2**63, 2**64 - 1):
            wide = {field: value}
            yield f"archive/wide end {field} {value}", zip_bytes(_entries_of, wide=wide)
    yield "archive/after other bytes", zip_bytes(_entries_of, prefix=b"MZ" + bytes(100))
    yield "archive/before other bytes", honest() + bytes(100)
    yield "archive/twice", honest() + honest()[:-22]


def _compressed() -> Iterator[tuple[str, bytes]]:
    """Honest deflated entries, and a megabyte that inflates to 1.8 GB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = block * 1800 + packer.flush()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    small = deflate.compress(_STATE) + deflate.flush()
    for label, content, size, checksum in (
        ("honest", small, len(_STATE), zlib.crc32(_STATE)),
        ("bomb", bomb, 1800 * 2**20, 0),
        ("bomb with a small size", bomb, 100, 0),
    ):
        for where in range(3):
            entries = _entries()
            entries[where] = Entry(
                entries[where].name, content, method=8, size=size, checksum=checksum
            )
            yield f"deflated/{label} {where}", zip_bytes(entries)


def _legacy_files() -> Iterator[tuple[str, bytes]]:
    whole = _legacy()
    for length in range(0, len(whole), max(1, len(whole) // 25)):
        yield f"legacy/cut {length}", whole[:length]
    for count in (0, 5, 7, 2**40, 2**63, 2**64 - 1):
        yield f"legacy/count {count}", _legacy(count=count)
    for label, keys in {
        "missing": (),
        "other": ("1",),
        "number": (0,),
        "twice": ("0", "0"),
    }.items():
        yield f"legacy/keys {label}", _legacy(keys=keys)
    yield "legacy/magic", whole.replace(b"\x6c\xfc\x9c\x46", b"\x6c\xfc\x9c\x47", 1)
    yield "legacy/keys are a dict", whole.replace(pickle.dumps(["0"], 2), pickle.dumps({"0": 1}, 2))
    yield "legacy/only a pickle", pickle.dumps({"weight": [1.0, 2.0]})
    yield "legacy/protocol 0", pickle.dumps({"weight": [1.0, 2.0]}, 0)
    long = program(dict_of([(text("a" * 900 + str(n)), integer(1)) for n in range(20_000)]))
    yield "legacy/state of 18 MB", _legacy(long)


def _other_files(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """What people give in place of a `.pth` file, and bytes that are nothing."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    yield "other/tar of PyTorch 0.1", buffer.getvalue()
    yield "other/nothing", b""
    yield "other/gzip", gzip.compress(honest(), mtime=0)
    yield "other/HDF5", b"\x89HDF\r\n\x1a\n" + bytes(1000)
    yield "other/safetensors", struct.pack("<Q", 40) + b'{"weight":{"dtype":"F32","shape":[6]}}  '
    yield "other/web page", b"<!DOCTYPE html><html><body>Sign in</body></html>"
    yield "other/pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    yield "other/zeros", bytes(10**6)
    yield "other/one byte before", b"\0" + honest()
    for number in range(20):
        yield f"other/chance {number}", chance.randbytes(chance.randrange(1, 3000))
        yield f"other/chance pickle {number}", b"\x80\x02" + chance.randbytes(2000)
        yield f"other/chance zip {number}", b"PK\3\4" + chance.randbytes(2000) + honest()[-22:]
