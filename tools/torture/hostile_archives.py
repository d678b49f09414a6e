"""Hostile `.tar.gz` files in place of a SavedModel's archive."""

import gzip
import random
import struct
import zlib
from collections.abc import Iterator

__all__ = ["FILES", "cases", "honest", "member"]

# What `honest()` holds: path to content. `saved_model.pb` is empty, which is a valid protobuf.
FILES = {
    "saved_model.pb": b"",
    "variables/variables.index": b"index",
    "assets/words.txt": b"tabby\nespresso\n" * 100,
}
_END = bytes(1024)


def member(
    name: str | bytes,
    content: bytes = b"",
    kind: bytes = b"0",
    *,
    size: int | bytes | None = None,
    magic: bytes = b"ustar\x0000",
    link: bytes = b"",
    tail: bytes = b"",
    checksum: int = 0,
) -> bytes:
    """Return a header and its padded content.

    Args:
        name: Up to 100 bytes.
        content: What follows the header.
        kind: The type flag.
        size: What the header declares, in binary if it's too large for octal, or the raw field.
        magic: Format and version.
        link: Where a link leads.
        tail: The last 167 bytes.
        checksum: What is added to the right one.
    """
    name = name.encode() if isinstance(name, str) else name
    size = len(content) if size is None else size
    if isinstance(size, int):
        size = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    head = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size + b"00000000000\0"
    rest = kind + link.ljust(100, b"\0") + magic + bytes(80) + tail.ljust(167, b"\0")
    total = sum(head) + sum(rest) + 8 * 32 + checksum
    return head + b"%06o\0 " % total + rest + content + bytes(-len(content) % 512)


def _pax(*records: tuple[str, str | bytes], kind: bytes = b"x") -> bytes:
    content = b""
    for key, value in records:
        value = value.encode() if isinstance(value, str) else value
        body = b" " + key.encode() + b"=" + value + b"\n"
        length = len(body) + 1
        while len(str(length)) + len(body) > length:
            length += 1
        content += str(length).encode() + body
    return member("PaxHeader", content, kind)


_MODEL = b"".join(member(f"./{name}", content) for name, content in FILES.items())


def honest() -> bytes:
    """Return an archive of the folder that `FILES` describes."""
    return _packed(member("./", kind=b"5") + _MODEL)


def _packed(content: bytes, end: bytes = _END) -> bytes:
    return gzip.compress(content + end, mtime=0)


def cases(seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield names and archives.

    Each has to be refused with `InputError` and leave nothing behind, but for those whose name
    begins with `"flip/"`: a single bit of `honest()` is another there, and if that doesn't
    matter, its files are as they should be.

    Args:
        seed: Of the bits that are flipped and of the bytes of some.
    """
    chance = random.Random(seed)
    for family in (_kinds, _names, _sizes, _extensions, _doubles):
        for label, content in family():
            yield f"{label} first", _packed(content + _MODEL)
            yield f"{label} last", _packed(_MODEL + content)
    yield from _bombs()
    yield from _damaged(chance)
    whole = honest()
    for bit in sorted(chance.sample(range(8 * len(whole)), 100)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"flip/{bit}", bytes(flipped)


def _kinds() -> Iterator[tuple[str, bytes]]:
    links = {"hard link": b"1", "symbolic link": b"2", "long link": b"K"}
    for label, kind in links.items():
        for target in (b"/etc/passwd", b"../../outside", b"saved_model.pb"):
            yield f"kind/{label} to {target.decode()}", member("link", kind=kind, link=target)
    others = {"character device": b"3", "block device": b"4", "pipe": b"6", "continued": b"M"}
    others |= {"dump": b"D", "volume": b"V", "access list": b"A", "unknown": b"Z"}
    for label, kind in others.items():
        yield f"kind/{label}", member("thing", kind=kind)
    yield "kind/folder with content", member("folder", b"content", b"5")


def _names() -> Iterator[tuple[str, bytes]]:
    names = {
        "absolute": "/outside",
        "upwards": "../outside",
        "upwards later": "a/b/../../../outside",
        "backslashes": "..\\outside",
        "absolute with backslash": "\\outside",
        "drive": "C:\\outside",
        "empty": "",
        "dot": "./",
        "escape": "\x1b[2Joutside",
        "line": "out\nside",
        "direction": "\u202egnp.exe",
        "not UTF-8": b"\xff\xfe",
        "too long a part": "folder/",
        "deep": "a/" * 40 + "b",
    }
    for label, name in names.items():
        if label == "too long a part":
            yield f"name/{label}", _pax(("path", "a" * 300)) + member("a", b"x")
        else:
            yield f"name/{label}", member(name, b"evil")
    yield "name/prefix upwards", member("outside", b"x", tail=b"../..")
    yield "name/prefix absolute", member("outside", b"x", tail=b"/tmp")
    for length in (10**4, 6 * 10**4):
        long = member("././@LongLink", b"a/" * (length // 2) + b"\0", b"L")
        yield f"name/GNU of {length} bytes", long + member("short", b"x")
    yield "name/GNU upwards", member("././@LongLink", b"../outside\0", b"L") + member("a", b"x")
    yield "name/pax upwards", _pax(("path", "../outside")) + member("a", b"x")
    yield "name/pax with zero", _pax(("path", "a\0b")) + member("a", b"x")


def _sizes() -> Iterator[tuple[str, bytes]]:
    for size in (10**10, 10**13, 2**63, 2**64, 2**87):
        yield f"size/{size}", member("large", size=size)
    for label, field in {
        "negative": b"\xff" * 12,
        "letters": b"0000000000z\0",
        "minus": b"-0000000001\0",
        "underscore": b"1_0\0\0\0\0\0\0\0\0\0",
    }.items():
        yield f"size/{label}", member("odd", size=field)
    for declared in ("0", "512", "10000000000000", "-1", "1e3", "9" * 4000):
        yield f"size/pax {declared[:15]}", _pax(("size", declared)) + member("a", b"x" * 40)


def _extensions() -> Iterator[tuple[str, bytes]]:
    sparse = struct.pack(">41s", b"") + b"%011o\0%011o\0" % (0, 0)
    large = b"\x80" + (10**13).to_bytes(11, "big")
    yield (
        "sparse/GNU",
        member("a", kind=b"S", magic=b"ustar  \0", tail=sparse.ljust(138, b"\0") + large),
    )
    maps = {
        "0.0": [("GNU.sparse.size", "10000000000000"), ("GNU.sparse.numblocks", "0")],
        "0.1": [("GNU.sparse.size", "10000000000000"), ("GNU.sparse.map", "0,1")],
        "1.0": [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")],
    }
    for version, records in maps.items():
        content = _pax(*records, ("GNU.sparse.realsize", "10000000000000"))
        yield f"sparse/{version}", content + member("a", b"1000000000\n" * 50)
    yield "sparse/for all", _pax(("GNU.sparse.major", "1"), kind=b"g")
    yield "header/one name for all", _pax(("path", "outside"), kind=b"g")
    yield "header/one size for all", _pax(("size", "5"), kind=b"g")
    for kind in (b"x", b"g", b"L"):
        label = kind.decode()
        yield f"header/{label} of 10 TB", member("large", kind=kind, size=10**13)
        yield f"header/{label} of a megabyte", member("large", b"1 a=b\n" * 180_000, kind)
    for label, content in {
        "no number": b"a path=b\n",
        "zero": b"0 path=b\n",
        "too long": b"999 path=b\n",
        "too short": b"3 path=b\n",
        "no value": b"8 pathb\n",
        "huge": b"9" * 5000 + b" path=b\n",
    }.items():
        yield f"header/{label}", member("PaxHeader", content, b"x") + member("a", b"x")
    yield "header/two paths", _pax(("path", "a"), ("path", "b")) + member("a", b"x")
    yield "header/20,000 in a row", member("././@LongLink", b"a\0", b"L") * 20_000
    yield "header/checksum", member("a", b"x", checksum=1)


def _doubles() -> Iterator[tuple[str, bytes]]:
    yield "double/file", member("saved_model.pb", b"other")
    yield "double/spelled otherwise", member(".//./saved_model.pb", b"other")
    yield "double/folder", member("saved_model.pb/", kind=b"5")
    yield "double/below a file", member("saved_model.pb/inside", b"x")
    yield "double/file for a folder", member("variables", b"x")
    yield "double/of its own", member("a", b"x") * 2


def _bombs() -> Iterator[tuple[str, bytes]]:
    """Small files that are large when inflated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(member("variables/variables.data", size=2**34)) + packer.flush(
        zlib.Z_FULL_FLUSH
    )
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    yield "bomb/one member of 16 GB", start + block + again * 2000
    many = b"".join(member(f"files/{n}", size=0) for n in range(12_000))
    yield "bomb/12,000 members", _packed(_MODEL + many)
    folders = b"".join(member(f"{n}/" * 15, kind=b"5") for n in range(11_000))
    yield "bomb/folders", _packed(folders + _MODEL)
    half = gzip.compress(member("half", bytes(2**27)), 9, mtime=0)
    more = gzip.compress(member("more", bytes(2**27)), 9, mtime=0)
    yield "bomb/concatenated", half + more + _packed(_MODEL)
    yield "bomb/after the end", honest() + gzip.compress(bytes(2**24), mtime=0)


def _damaged(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    whole = honest()
    for length in sorted(chance.sample(range(len(whole)), 20)):
        yield f"cut/{length}", whole[:length]
    plain = member("./", kind=b"5") + _MODEL
    for length in sorted(chance.sample(range(len(plain)), 20)):
        yield f"cut tar/{length}", plain[:length]
        yield f"cut inside/{length}", _packed(plain[:length], b"")
    yield "other/nothing", b""
    yield "other/empty archive", _packed(b"")
    yield "other/no module", _packed(member("readme", b"x"))
    yield "other/two modules", _packed(_MODEL + member("again/saved_model.pb"))
    yield "other/zip", b"PK\3\4" + chance.randbytes(500)
    yield "other/xz", b"\xfd7zXZ\0" + chance.randbytes(500)
    yield "other/web page", b"<!DOCTYPE html><html>Sign in</html>" * 30
    yield "other/packed twice", gzip.compress(whole, mtime=0)
    yield "other/garbage behind", whole + b"garbage"
    for number in range(10):
        yield f"other/chance {number}", chance.randbytes(2000)
        yield f"other/packed chance {number}", gzip.compress(chance.randbytes(2000), mtime=0)
