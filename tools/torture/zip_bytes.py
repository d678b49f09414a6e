"""A writer of zip archives in which every field can be a lie."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Entry", "zip_bytes"]


@dataclass(frozen=True)
class Entry:
    """One entry; fields that are None are what they should be.

    Attributes:
        name: As it stands in the directory.
        content: The bytes after its header, already compressed if `method` says so.
        method: 0 is uncompressed, 8 deflate.
        flags: General purpose bits.
        checksum: CRC-32 in the directory.
        size: Uncompressed bytes in the directory.
        stored: Bytes in the archive, in the directory.
        extra: Extra field in the directory.
        header: Where the directory says that the entry begins.
        local: Fields of the header before the content that differ: name, checksum, size, method.
    """

    name: str | bytes
    content: bytes
    method: int = 0
    flags: int = 0
    checksum: int | None = None
    size: int | None = None
    stored: int | None = None
    extra: bytes = b""
    header: int | None = None
    local: tuple[tuple[str, object], ...] = ()

    @property
    def raw_name(self) -> bytes:
        """The name in bytes."""
        return self.name if isinstance(self.name, bytes) else self.name.encode()


def zip_bytes(
    entries: Sequence[Entry], *, prefix: bytes = b"", wide: dict | None = None, **end: object
) -> bytes:
    """Return an archive.

    Args:
        entries: In order.
        prefix: What comes before the first entry.
        wide: Fields of a zip64 end record (`count`, `length`, `start`, `locator`), None for an
            archive without one; those not given are right.
        end: Fields of the end record: `count`, `length`, `start`, `disk`, `comment`.
    """
    parts, directory, position = [prefix], [], len(prefix)
    for entry in entries:
        local = _local(entry)
        directory.append(_central(entry, position))
        parts += [local, entry.content]
        position += len(local) + len(entry.content)
    body, listing = b"".join(parts), b"".join(directory)
    right = {"count": len(entries), "length": len(listing), "start": position}
    tail = b""
    if wide is not None:
        fields = right | {"locator": position + len(listing)} | wide
        numbers = (fields["count"], fields["count"], fields["length"], fields["start"])
        tail = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *numbers)
        tail += struct.pack("<4sLQL", b"PK\6\7", 0, fields["locator"], 1)
    fields = right | {"disk": 0, "comment": b""} | end
    tail += struct.pack(
        "<4s4H2LH",
        b"PK\5\6",
        fields["disk"],
        fields["disk"],
        *[fields["count"] & 0xFFFF] * 2,
        fields["length"],
        fields["start"],
        len(fields["comment"]),
    )
    return body + listing + tail + fields["comment"]


def _local(entry: Entry) -> bytes:
    fields = dict(entry.local)
    name = fields.get("name", entry.raw_name)
    return (
        struct.pack(
            "<4s5H3L2H",
            b"PK\3\4",
            20,
            entry.flags,
            fields.get("method", entry.method),
            0,
            0,
            fields.get("checksum", zlib.crc32(entry.content)),
            fields.get("size", len(entry.content)),
            fields.get("size", len(entry.content)),
            len(name),
            0,
        )
        + name
    )


def _central(entry: Entry, position: int) -> bytes:
    return (
        struct.pack(
            "<4s6H3L5H2L",
            b"PK\1\2",
            20,
            20,
            entry.flags,
            entry.method,
            0,
            0,
            zlib.crc32(entry.content) if entry.checksum is None else entry.checksum,
            len(entry.content) if entry.stored is None else entry.stored,
            len(entry.content) if entry.size is None else entry.size,
            len(entry.raw_name),
            len(entry.extra),
            0,
            0,
            0,
            0,
            position if entry.header is None else entry.header,
        )
        + entry.raw_name
        + entry.extra
    )
