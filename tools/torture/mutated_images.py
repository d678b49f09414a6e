"""Image files with damage of every kind: bytes, chunks and fields of headers, from a seed."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

__all__ = ["cases", "declared_sizes", "sound_images"]

_HEADER = 64
"""Fields of headers lie in about so many first bytes."""


def cases(seed: int = 0, rounds: int = 14) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of damaged image files.

    Args:
        seed: Decides what the damage is.
        rounds: How often every kind of damage is done to every sound image; 14 give about 2,000
            files.
    """
    chosen = random.Random(seed)
    for image, content in sound_images(seed).items():
        for kind, damage in _DAMAGES.items():
            for number in range(rounds):
                yield f"{image}/{kind} {number}", damage(content, chosen)


def sound_images(seed: int = 0) -> dict[str, bytes]:
    """Return name → content of small image files of every format that is read.

    Args:
        seed: Decides the pixels.
    """
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 256, (5, 7, 4), np.uint8)
    rgba = Image.fromarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8)))
    rgb, palette = rgba.convert("RGB"), rgba.convert("RGB").quantize(20)
    deep = Image.fromarray(generator.integers(0, 65536, (20, 24)).astype(np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = {"save_all": True, "append_images": [rgb.rotate(180)]}
    return {
        "jpeg": _encode(rgb, "JPEG", exif=turned),
        "jpeg progressive": _encode(rgb, "JPEG", progressive=True),
        "jpeg restarts": _encode(rgb, "JPEG", restart_marker_blocks=4),
        "jpeg gray": _encode(rgb.convert("L"), "JPEG"),
        "jpeg cmyk": _encode(rgb.convert("CMYK"), "JPEG"),
        "png": _encode(rgb, "PNG", exif=turned),
        "png alpha": _encode(rgba, "PNG"),
        "png palette": _encode(palette, "PNG", transparency=3),
        "png 16 bits": _encode(deep, "PNG"),
        "bmp": _encode(rgb, "BMP"),
        "bmp palette": _encode(palette, "BMP"),
        "bmp 32 bits": _encode(rgba, "BMP"),
        "gif": _encode(palette, "GIF"),
        "gif animated": _encode(rgb, "GIF", **frames),
        "webp": _encode(rgb, "WEBP", exif=turned),
        "webp lossless": _encode(rgb, "WEBP", lossless=True),
        "webp alpha": _encode(rgba, "WEBP"),
        "webp animated": _encode(rgb, "WEBP", **frames),
    }


def declared_sizes() -> dict[str, bytes]:
    """Return name → content of files whose headers declare sizes that nothing should allocate."""
    one = Image.new("RGB", (8, 8))
    found = {}
    for side in (0, 60_000, 2**31 - 1):
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(9))), (b"IEND", b""))
        found[f"png {side}"] = b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*one) for one in chunks)
        content = bytearray(_encode(one, "BMP"))
        content[18:26] = struct.pack("<ii", side, side)
        found[f"bmp {side}"] = bytes(content)
    for side in (0, 65_500):
        content = bytearray(_encode(one, "JPEG"))
        start = content.index(b"\xff\xc0") + 5
        content[start : start + 4] = struct.pack(">HH", side, side)
        found[f"jpeg {side}"] = bytes(content)
        content = bytearray(_encode(one, "GIF"))
        content[6:10] = struct.pack("<HH", side, side)
        found[f"gif screen {side}"] = bytes(content)
        start = content.index(b",") + 5
        content[start : start + 4] = struct.pack("<HH", side, side)
        found[f"gif frame {side}"] = bytes(content)
    content = _encode(one, "GIF")
    for side in (0, 65_500):
        frame = bytearray(content[content.index(b",") : -1])
        frame[5:9] = struct.pack("<HH", side, side)
        found[f"gif later frames {side}"] = content[:-1] + bytes(frame) * 5 + b";"
    content = bytearray(_encode(one, "WEBP"))
    start = content.index(b"\x9d\x01\x2a") + 3
    content[start : start + 4] = struct.pack("<HH", 16_383, 16_383)
    found["webp 16383"] = bytes(content)
    return found


def _encode(image: Image.Image, image_format: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def _png_chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def _flip(content: bytes, chosen: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(chosen.choice((1, 1, 3, 10))):
        damaged[chosen.randrange(len(damaged))] ^= 1 << chosen.randrange(8)
    return bytes(damaged)


def _truncate(content: bytes, chosen: random.Random) -> bytes:
    return content[: chosen.choice((chosen.randrange(len(content)), -chosen.randrange(1, 20)))]


def _insert(content: bytes, chosen: random.Random) -> bytes:
    place = chosen.randrange(len(content) + 1)
    return content[:place] + chosen.randbytes(chosen.choice((1, 2, 30))) + content[place:]


def _remove(content: bytes, chosen: random.Random) -> bytes:
    place = chosen.randrange(len(content))
    return content[:place] + content[place + chosen.choice((1, 2, 30)) :]


def _clear(content: bytes, chosen: random.Random) -> bytes:
    place, length = chosen.randrange(len(content)), chosen.choice((4, 20, 200))
    return (content[:place] + bytes(length) + content[place + length :])[: len(content)]


def _change_field(content: bytes, chosen: random.Random) -> bytes:
    damaged = bytearray(content)
    place, width = chosen.randrange(min(_HEADER, len(content)) - 4), chosen.choice((1, 2, 4))
    value = chosen.choice((bytes(4), b"\xff" * 4, b"\1\0\0\0", b"\0\0\0\1", chosen.randbytes(4)))
    damaged[place : place + width] = value[:width]
    return bytes(damaged)


def _change_chunk(content: bytes, chosen: random.Random) -> bytes:
    """Swap, repeat or leave out parts of the file that its format counts as one."""
    parts = _parts(content)
    first, second = chosen.randrange(len(parts)), chosen.randrange(len(parts))
    way = chosen.choice(("swap", "repeat", "leave out"))
    if way == "swap":
        parts[first], parts[second] = parts[second], parts[first]
    elif way == "repeat":
        parts.insert(second, parts[first])
    else:
        del parts[first]
    return b"".join(parts)


def _mend_checksum(content: bytes, chosen: random.Random) -> bytes:
    """Change a byte inside a chunk; a PNG's checksum is made right again."""
    parts = _parts(content)
    which = chosen.randrange(len(parts))
    part = bytearray(parts[which])
    if part:
        is_chunk = content.startswith(b"\x89PNG") and which > 0 and len(part) > 12
        place = chosen.randrange(8, len(part) - 4) if is_chunk else chosen.randrange(len(part))
        part[place] = chosen.randrange(256)
        if is_chunk:
            part[-4:] = struct.pack(">I", zlib.crc32(part[4:-4]))
    return b"".join([*parts[:which], bytes(part), *parts[which + 1 :]])


_DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flipped": _flip,
    "truncated": _truncate,
    "inserted": _insert,
    "removed": _remove,
    "cleared": _clear,
    "field": _change_field,
    "chunk": _change_chunk,
    "byte of a chunk": _mend_checksum,
}


def _parts(content: bytes) -> list[bytes]:
    """Cut a sound file into its signature and its chunks or segments."""
    if content.startswith(b"\x89PNG"):
        return _cut(content, 8, lambda at: 12 + struct.unpack_from(">I", content, at)[0])
    if content.startswith(b"RIFF"):
        return _cut(
            content, 12, lambda at: 8 + -(-struct.unpack_from("<I", content, at + 4)[0] // 2) * 2
        )
    if content.startswith(b"\xff\xd8"):
        return _cut(content, 2, lambda at: _jpeg_segment(content, at))
    return _cut(content, 14, lambda at: 40)


def _cut(content: bytes, start: int, length_at: Callable[[int], int]) -> list[bytes]:
    parts = [content[:start]]
    while start < len(content):
        end = start + length_at(start)
        parts.append(content[start:end])
        start = end
    return parts


def _jpeg_segment(content: bytes, start: int) -> int:
    """Return the length of a segment; that of a scan with the entropy-coded bytes after it."""
    if content[start + 1] == 0xD9 or start + 4 > len(content):
        return len(content) - start
    end = start + 2 + struct.unpack_from(">H", content, start + 2)[0]
    if content[start + 1] == 0xDA:
        while content[end] != 0xFF or content[end + 1] in (0, *range(0xD0, 0xD8)):
            end += 1
    return end - start
