"""Read the plain files of a tar archive in order, and refuse everything else that tar can hold.

Sparse files, links, devices, sizes that one header declares and another overrides: a SavedModel
needs none of them, and readers disagree about them. Layout: POSIX.1-2001, `pax`, "ustar
Interchange Format" and "pax Header Block"; the GNU manual, "GNU tar Extensions".
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tl_keras.utils.errors import printable, shortened

__all__ = ["Damaged", "Member", "Refused", "members"]

BLOCK = 512
_MOST_MEMBERS = 2_000
_MOST_HEADERS = 3 * _MOST_MEMBERS
_LONGEST_HEADER = 2**16
_LONGEST_NAME = 1000
_DEEPEST = 16
_FILES, _FOLDER, _LONG_NAME, _LOCAL, _GLOBAL = (b"0", b"\0", b"7"), b"5", b"L", b"x", b"g"
_OTHERS = {
    b"1": "a link",
    b"2": "a link",
    b"K": "a link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"S": "a sparse file",
}


class Refused(Exception):
    """The archive holds what a SavedModel has no need of; the text is what follows "because"."""


class Damaged(Exception):
    """The archive ends too early or makes no sense; the text says where."""


@dataclass(frozen=True)
class Member:
    """A file or folder in the archive.

    Attributes:
        name: As the archive spells it.
        parts: The names of the folders and of the file, the archive's root being empty.
        size: Bytes of its content, which come next; 0 for a folder.
        is_folder: Whether it's a folder.
    """

    name: str
    parts: tuple[str, ...]
    size: int
    is_folder: bool


def members(take: Callable[[int], bytes]) -> Iterator[Member]:
    """Yield the members; whoever takes one has to `take` its content before the next.

    Args:
        take: Returns the next bytes of the archive, fewer only at its end.

    Raises:
        Refused: If there is anything but files and folders inside the archive's own folder.
        Damaged: If a header makes no sense.
    """
    name: str | None = None
    size: int | None = None
    seen: set[tuple[str, ...]] = set()
    for _ in range(_MOST_HEADERS):
        header = take(BLOCK)
        if not header.strip(b"\0"):
            if len(header) < BLOCK or name is not None:
                raise Damaged("it ends too early")
            return
        if len(header) < BLOCK or not _is_sound(header):
            raise Damaged("a header in it is garbled")
        kind, declared = header[156:157], _number(header[124:136])
        if kind in (_LONG_NAME, _LOCAL, _GLOBAL):
            content = _extension(take, declared)
            if kind == _LONG_NAME:
                name = _decode(content.rstrip(b"\0"))
            else:
                fields = _pax_fields(content)
                if kind == _GLOBAL and fields.keys() & {b"path", b"size"}:
                    raise Refused("it names all its members alike")
                name = _decode(fields[b"path"]) if b"path" in fields else name
                size = _decimal(fields[b"size"]) if b"size" in fields else size
            continue
        member = _member(header, kind, declared, name, size)
        seen.update(member.parts[:count] for count in range(1, len(member.parts) + 1))
        if len(seen) > _MOST_MEMBERS:
            break
        yield member
        name = size = None
    raise Refused(f"it has more than {_MOST_MEMBERS:,} files and folders")


def _member(
    header: bytes, kind: bytes, declared: int, name: str | None, size: int | None
) -> Member:
    name = _short_name(header) if name is None else name
    if kind not in (*_FILES, _FOLDER):
        what = _OTHERS.get(kind, "of an unknown kind")
        raise Refused(f"its member {shortened(name)} is {what}; a SavedModel has plain files only")
    if size not in (None, declared):
        raise Refused(f"its member {shortened(name)} has two sizes")
    is_folder = kind == _FOLDER or (kind == b"\0" and name.endswith("/"))
    if is_folder and declared:
        raise Refused(f"its member {shortened(name)} is a folder with content")
    return Member(name, _parts(name, is_folder), declared, is_folder)


def _parts(name: str, is_folder: bool) -> tuple[str, ...]:
    """Split a name, and refuse one that leads out of the archive's folder or can't be shown."""
    if len(name) > _LONGEST_NAME or printable(name) != name:
        raise Refused(f"its member {shortened(name)} has a name that is not one of a file")
    parts = name.replace("\\", "/").split("/")
    if (not parts[0] and len(parts) > 1) or ".." in parts or ":" in parts[0]:
        raise Refused(f"its member {shortened(name)} would be written outside its folder")
    kept = tuple(part for part in parts if part not in ("", "."))
    if not kept and not is_folder:
        raise Refused(f"its member {shortened(name)} has a name that is not one of a file")
    if len(kept) > _DEEPEST:
        raise Refused(f"its member {shortened(name)} lies more than {_DEEPEST} folders deep")
    return kept


def _is_sound(header: bytes) -> bool:
    """Compare the checksum: the sum of all bytes, its own eight taken as spaces."""
    try:
        return _number(header[148:156]) == sum(header) - sum(header[148:156]) + 8 * ord(" ")
    except Damaged:
        return False


def _number(field: bytes) -> int:
    """Return an octal number, or a binary one, which GNU's first bit marks."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0")[0].strip()
    if digits.strip(b"01234567"):
        raise Damaged("a number in it is garbled")
    return int(digits or b"0", 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise Damaged("a number in it is garbled")
    return int(digits)


def _extension(take: Callable[[int], bytes], size: int) -> bytes:
    """Return the content of a header about the next member."""
    if size > _LONGEST_HEADER:
        raise Refused(f"a header in it has {size:,} bytes")
    content = take(size + -size % BLOCK)
    if len(content) < size:
        raise Damaged("it ends too early")
    return content[:size]


def _pax_fields(content: bytes) -> dict[bytes, bytes]:
    """Return the fields of records `LENGTH KEY=VALUE`, where the length counts all of a record."""
    fields: dict[bytes, bytes] = {}
    while content:
        length = _decimal(content.split(b" ", 1)[0])
        record, content = content[:length], content[length:]
        key, separator, value = record.partition(b" ")[2].removesuffix(b"\n").partition(b"=")
        if not separator or len(record) < length:
            raise Damaged("a header in it is garbled")
        if key.startswith(b"GNU.sparse"):
            raise Refused("it holds a sparse file; a SavedModel has plain files only")
        if key in fields:
            raise Refused("a header in it says two things")
        fields[key] = value
    return fields


def _short_name(header: bytes) -> str:
    name = header[:100].split(b"\0")[0]
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].split(b"\0")[0]
        name = prefix + b"/" + name if prefix else name
    return _decode(name)


def _decode(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
