"""What is an image, as far as its header tells: the one decision for all who read image files.

`tf.io.decode_image` would read some files wrongly or unsafely. They are refused before, by
operations that inspection, training and exported models share.
"""

import tensorflow as tf

from tl_keras.inputs.decoding.attempts import attempt
from tl_keras.inputs.decoding.graph_bytes import Tensor, read_bytes, read_integer, to_bytes
from tl_keras.inputs.decoding.problems import EXTENSIONS

LARGEST_PIXELS = 2**29 // 3
"""TensorFlow decodes up to 2²⁹ values."""

EMPTY = "empty: the file has 0 bytes"
NOT_AN_IMAGE = f"not an image: its content is none of {', '.join(EXTENSIONS)}"
TOO_LARGE = (
    f"too large: more than {LARGEST_PIXELS:,} pixels; save it smaller, for example after Pillow's "
    "image.thumbnail((4096, 4096)), or cut it into tiles"
)
ANIMATED_WEBP = "animated WebP: save its first frame"
UNSUPPORTED_BMP = (
    "cannot be decoded: BMP files with compression, fewer than 8 bits per pixel or another order "
    "of colours are not supported; save the image as PNG"
)
DAMAGED = "cannot be decoded: the file is damaged or truncated"
"""Of files with a sound header: only decoding tells."""

_RGB_MASKS = b"\0\0\xff\0\0\xff\0\0\xff\0\0\0"
_HEADER = 66
"""So many bytes hold every field that is looked at."""
_MOST_BLOCKS = 1000
_MOST_BLOCKS_OF_A_FRAME = 2**17
"""33 MB in blocks of full length."""

_BLOCKS_AT_A_TIME = 32


def refusal(encoded: Tensor) -> Tensor:
    """Return why a file is not an image that is read, as its header tells.

    Args:
        encoded: The content of the file, a scalar string tensor.

    Returns:
        Kind and detail, as `"kind: detail"`, a scalar string tensor; empty if the header is sound.
    """
    # Most files are JPEGs: nothing else is looked at in them.
    return tf.cond(is_jpeg(encoded), lambda: tf.constant(""), lambda: _refusal_of_others(encoded))


def _refusal_of_others(encoded: Tensor) -> Tensor:
    header = tf.cast(tf.io.decode_raw(encoded, tf.uint8, fixed_length=_HEADER), tf.int64)
    formats = [
        (_holds(header, 0, b"\x89PNG\r\n\x1a\n"), lambda: _png(header)),
        (_holds(header, 0, b"BM"), lambda: _bmp(header)),
        (_holds(header, 0, b"GIF8") & _holds(header, 5, b"a"), lambda: _gif(header, encoded)),
        (_holds(header, 0, b"RIFF") & _holds(header, 8, b"WEBP"), lambda: _webp(header, encoded)),
        (tf.strings.length(encoded) == 0, lambda: tf.constant(EMPTY)),
    ]
    return tf.case(formats, default=lambda: tf.constant(NOT_AN_IMAGE))


def is_jpeg(encoded: Tensor) -> Tensor:
    """Return whether a file begins as a JPEG, whose size TensorFlow limits when it decodes it."""
    return tf.strings.substr(encoded, 0, 3) == b"\xff\xd8\xff"


def reason_for_failure(encoded: Tensor) -> Tensor:
    """Return why a file with a sound header cannot be decoded, as `refusal` does."""

    def of_jpeg() -> Tensor:
        shape = attempt(tf.io.extract_jpeg_shape, encoded, tf.zeros([3], tf.int32))
        shape = tf.cast(shape, tf.int64)
        return tf.where(_is_too_large(shape[1], shape[0]), TOO_LARGE, DAMAGED)

    return tf.cond(is_jpeg(encoded), of_jpeg, lambda: tf.constant(DAMAGED))


def _first(*refusals: tuple[Tensor, str]) -> Tensor:
    """Return the text of the first condition that holds; empty if none does."""
    found = tf.constant("")
    for condition, text in reversed(refusals):
        found = tf.where(condition, text, found)
    return found


def _holds(header: Tensor, offset: int, signature: bytes) -> Tensor:
    expected = tf.constant(list(signature), tf.int64)
    return tf.reduce_all(header[offset : offset + len(signature)] == expected)


def _integer(header: Tensor, offset: int, width: int, big_endian: bool = False) -> Tensor:
    powers = [256**power for power in range(width)]
    weights = tf.constant(powers[::-1] if big_endian else powers, tf.int64)
    return tf.reduce_sum(header[offset : offset + width] * weights)


def _is_too_large(width: Tensor, height: Tensor) -> Tensor:
    # A product of two numbers of 32 bits may be more than int64 holds.
    return width > LARGEST_PIXELS // tf.maximum(height, 1)


def _png(header: Tensor) -> Tensor:
    width, height = _integer(header, 16, 4, True), _integer(header, 20, 4, True)
    return _first((_is_too_large(width, height), TOO_LARGE))


def _bmp(header: Tensor) -> Tensor:
    width, height = _integer(header, 18, 4), _integer(header, 22, 4)
    height = tf.minimum(height, 2**32 - height)  # A negative one means rows from top to bottom.
    bits, compression = _integer(header, 28, 2), _integer(header, 30, 4)
    is_plain = tf.reduce_any(bits == [8, 24, 32]) & (compression == 0)
    is_masked = (bits == 32) & (compression == 3) & _holds(header, 54, _RGB_MASKS)
    is_supported = (_integer(header, 14, 4) >= 40) & (is_plain | is_masked)
    return _first((~is_supported, UNSUPPORTED_BMP), (_is_too_large(width, height), TOO_LARGE))


def _gif(header: Tensor, encoded: Tensor) -> Tensor:
    """Look at the size of the screen and at that of the first frame."""
    data = to_bytes(encoded)
    frame = read_bytes(data, _first_frame(data, 13 + 3 * _colors(header[10])), 9)
    is_too_large = _is_too_large(_integer(header, 6, 2), _integer(header, 8, 2))
    is_too_large |= _is_too_large(_integer(frame, 5, 2), _integer(frame, 7, 2))
    return _first((is_too_large, TOO_LARGE))


def _first_frame(data: Tensor, start: Tensor) -> Tensor:
    """Skip a GIF's extensions, which are blocks of a length each, up to one of length 0."""

    def goes_on(offset: Tensor, inside: Tensor) -> Tensor:
        return inside | (read_bytes(data, offset, 1)[0] == 0x21)

    def step(offset: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        length = read_bytes(data, offset, 1)[0]
        return tf.where(inside, offset + 1 + length, offset + 2), ~inside | (length > 0)

    offset, _ = tf.while_loop(
        goes_on, step, (start, tf.constant(False)), maximum_iterations=_MOST_BLOCKS
    )
    return offset


def first_frame_alone(encoded: Tensor) -> Tensor:
    """Cut a GIF after its first frame, the only one that is read.

    TensorFlow unpacks all of them first, each of up to 4 GiB, from files of some megabytes.

    Args:
        encoded: The content of a file, a scalar string tensor; what is no GIF stays as it is.

    Returns:
        The content, as short as it may be; what ends inside of its first frame stays as it is.
    """
    is_gif = tf.strings.substr(encoded, 0, 4) == b"GIF8"
    return tf.cond(is_gif, lambda: _cut(encoded), lambda: encoded)


def _cut(encoded: Tensor) -> Tensor:
    data = to_bytes(encoded)
    frame = _first_frame(data, 13 + 3 * _colors(read_bytes(data, 10, 1)[0]))
    # A descriptor of ten bytes, its own colours, the length of codes, and blocks of a length each.
    start = frame + 11 + 3 * _colors(read_bytes(data, frame + 9, 1)[0])
    end = _end_of_blocks(data, start)
    size = tf.size(data, out_type=tf.int64)
    begin = tf.constant(0, tf.int64)
    alone = tf.strings.substr(encoded, begin, tf.minimum(end + 1, size)) + b";"
    # What has more blocks is cut inside of its frame, and damaged for that.
    return tf.where((read_bytes(data, frame, 1)[0] == 0x2C) & (end < size), alone, encoded)


def _end_of_blocks(data: Tensor, start: Tensor) -> Tensor:
    """Return where the block of length 0 is that ends a frame, or a place behind the data."""
    padded = tf.pad(data, [[0, 257]])  # No block reaches further, and there they end.

    def length(offset: Tensor) -> Tensor:
        return tf.cast(tf.gather(padded, offset), tf.int64)

    def step(offset: Tensor) -> tuple[Tensor]:
        for _ in range(_BLOCKS_AT_A_TIME):  # Turns of a loop take longer than what is in them.
            found = length(offset)
            offset += found + tf.minimum(found, 1)
        return (offset,)

    (end,) = tf.while_loop(
        lambda offset: length(offset) > 0,
        step,
        (tf.minimum(start, tf.size(data, out_type=tf.int64)),),
        maximum_iterations=_MOST_BLOCKS_OF_A_FRAME // _BLOCKS_AT_A_TIME,
    )
    return end


def _colors(flags: Tensor) -> Tensor:
    """Return how many colours a table has, by the byte that says whether there is one."""
    return tf.where(flags >= 128, tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8), 0)


def _webp(header: Tensor, encoded: Tensor) -> Tensor:
    has_canvas, is_lossless = _holds(header, 12, b"VP8X"), _holds(header, 12, b"VP8L")
    is_animated = has_canvas & (header[20] // 2 % 2 == 1)
    packed = _integer(header, 21, 4)
    width, height = (
        tf.where(
            has_canvas,
            _integer(header, 24 + 3 * side, 3) + 1,
            tf.where(
                is_lossless,
                packed // 2 ** (14 * side) % 2**14 + 1,
                _integer(header, 26 + 2 * side, 2) % 2**14,
            ),
        )
        for side in (0, 1)
    )
    return _first(
        (is_animated, ANIMATED_WEBP),
        (_is_too_large(width, height), TOO_LARGE),
        (~_is_whole_webp(to_bytes(encoded), 8 + _integer(header, 4, 4)), DAMAGED),
    )


def _is_whole_webp(data: Tensor, end: Tensor) -> Tensor:
    """Return whether the chunks of a WebP fill it to the end that its header declares."""

    def step(offset: Tensor) -> tuple[Tensor]:
        length = read_integer(data, offset + 4, 4, True)
        return (offset + 8 + length + length % 2,)

    (offset,) = tf.while_loop(
        lambda offset: offset < end,
        step,
        (tf.constant(12, tf.int64),),
        maximum_iterations=_MOST_BLOCKS,
    )
    return (offset == end) & (end <= tf.size(data, out_type=tf.int64))
