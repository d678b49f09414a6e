"""Read zip archives of uncompressed entries, as PyTorch writes them, and nothing else.

An archive describes itself in two places, a directory at its end and a header before each entry,
and readers differ in whom they believe. Here both have to agree, entries can't overlap, and every
length is compared with the file before it is used. So reading takes as much memory as the file
has bytes, whatever it declares. Layout: PKWARE's APPNOTE 6.3, sections 4.3 and 4.5.3.
"""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from tl_keras.backbones.torch_refusals import DamagedFile, RefusedFile
from tl_keras.utils.errors import shortened

__all__ = ["StoredZip"]

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LARGEST_DIRECTORY = 2**23
_LONGEST_NAME = 1024
_ENCRYPTED, _SIZES_FOLLOW, _UTF8 = 0x1, 0x8, 0x800
_ELSEWHERE = 0xFFFFFFFF


@dataclass(frozen=True)
class _Entry:
    """One file in the archive, as the directory describes it."""

    header: int
    size: int
    stored: int
    checksum: int
    flags: int
    method: int


class StoredZip:
    """A zip archive of uncompressed entries, opened for reading.

    Args:
        file: The archive.
        size: Its bytes.

    Raises:
        RefusedFile: If a name is there twice.
        DamagedFile: If the archive's parts contradict each other.
    """

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file = file
        start, length, count = self._find_directory(size)
        self._entries = self._read_directory(start, length, count)
        end = start
        for entry in sorted(self._entries.values(), key=lambda entry: entry.header, reverse=True):
            if entry.header + _LOCAL.size + entry.stored > end:
                raise DamagedFile("entries of the archive overlap or reach outside it")
            end = entry.header

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all entries."""
        return tuple(self._entries)

    def size(self, name: str) -> int:
        """Return the bytes of an entry."""
        return self._entry(name).size

    def read(self, name: str) -> np.ndarray:
        """Return an entry as an array of bytes that owns its memory.

        Raises:
            RefusedFile: If it's compressed or encrypted.
            DamagedFile: If it's missing, or its header or checksum is wrong.
        """
        entry = self._entry(name)
        fields = _LOCAL.unpack(self._exactly(entry.header, _LOCAL.size))
        signature, _, flags, method, _, _, checksum, stored, size, name_length, extra_length = (
            fields
        )
        raw = self._exactly(entry.header + _LOCAL.size, name_length)
        if signature != b"PK\3\4" or method or raw != name.encode():
            raise DamagedFile("the header of an entry contradicts the archive's directory")
        if not flags & _SIZES_FOLLOW and (checksum, stored, size) != (
            entry.checksum,
            *(entry.size if field != _ELSEWHERE else field for field in (stored, size)),
        ):
            raise DamagedFile("the header of an entry contradicts the archive's directory")
        content = np.empty(entry.size, np.uint8)
        self._file.seek(entry.header + _LOCAL.size + name_length + extra_length)
        if (
            self._file.readinto(content.data) != entry.size
            or zlib.crc32(content.data) != entry.checksum
        ):
            raise DamagedFile("an entry of the archive doesn't have its checksum")
        return content

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise DamagedFile(f"the archive has no entry {shortened(name)}")
        entry = self._entries[name]
        if entry.flags & _ENCRYPTED:
            raise RefusedFile(f"the encrypted entry {shortened(name)}")
        if entry.method:
            raise RefusedFile(f"the compressed entry {shortened(name)}")
        if entry.flags & ~(_SIZES_FOLLOW | _UTF8):
            raise RefusedFile(f"the entry {shortened(name)} with flags {entry.flags:#x}")
        if entry.size != entry.stored:
            raise DamagedFile(f"the entry {shortened(name)} has two sizes")
        return entry

    def _exactly(self, start: int, length: int) -> bytes:
        self._file.seek(start)
        content = self._file.read(length)
        if len(content) != length:
            raise DamagedFile("the archive ends too early")
        return content

    def _find_directory(self, size: int) -> tuple[int, int, int]:
        """Return start, length and number of entries of the directory at the archive's end."""
        end = size - _END.size
        if end < 0:
            raise DamagedFile("the archive ends too early")
        fields = _END.unpack(self._exactly(end, _END.size))
        signature, disk, first, here, count, length, start, comment = fields
        locator = end - _LOCATOR.size
        if locator >= 0 and self._exactly(locator, 4) == b"PK\6\7":
            end = locator - _END_64.size
            if end < 0:
                raise DamagedFile("the archive ends too early")
            fields = _END_64.unpack(self._exactly(end, _END_64.size))
            wide, _, _, _, disk, first, here, count, length, start = fields
            if (
                wide != b"PK\6\6"
                or _LOCATOR.unpack(self._exactly(locator, _LOCATOR.size))[2] != end
            ):
                raise DamagedFile("the archive's directory isn't where its end says")
        if signature != b"PK\5\6" or comment or disk or first or here != count:
            raise DamagedFile("the archive ends too early")
        if start + length != end:
            raise DamagedFile("the archive's directory isn't where its end says")
        if length > _LARGEST_DIRECTORY:
            raise RefusedFile(f"a directory of {length:,} bytes")
        return start, length, count

    def _read_directory(self, start: int, length: int, count: int) -> dict[str, _Entry]:
        directory = self._exactly(start, length)
        entries: dict[str, _Entry] = {}
        position = 0
        while position < length:
            if position + _CENTRAL.size > length:
                raise DamagedFile("the archive's directory ends too early")
            fields = _CENTRAL.unpack_from(directory, position)
            signature, _, _, flags, method, _, _, checksum, stored, size = fields[:10]
            name_length, extra_length, comment_length, header = *fields[10:13], fields[16]
            if signature != b"PK\1\2":
                raise DamagedFile("the archive's directory is garbled")
            position += _CENTRAL.size
            name = _decode(directory[position : position + name_length])
            position += name_length
            extra = directory[position : position + extra_length]
            position += extra_length + comment_length
            size, stored, header = _widen(extra, [size, stored, header])
            if name in entries:
                raise RefusedFile(f"two entries {shortened(name)}")
            entries[name] = _Entry(header, size, stored, checksum, flags, method)
        if position != length or len(entries) != count:
            raise DamagedFile("the archive's directory is garbled")
        return entries


def _decode(name: bytes) -> str:
    if len(name) > _LONGEST_NAME:
        raise RefusedFile(f"an entry with a name of {len(name):,} bytes")
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise DamagedFile("an entry has a name that is not UTF-8") from None


def _widen(extra: bytes, fields: list[int]) -> list[int]:
    """Replace the fields that say "elsewhere" by their 64 bits in the extra field 1."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if position + 4 + length > len(extra):
            raise DamagedFile("the archive's directory is garbled")
        if kind == 1:
            wide = iter(struct.unpack_from(f"<{length // 8}Q", extra, position + 4))
            fields = [next(wide, _ELSEWHERE) if f == _ELSEWHERE else f for f in fields]
        position += 4 + length
    return fields
