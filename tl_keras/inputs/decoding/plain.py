"""Files of which one operation reads the pixels: most photographs, and plain PNGs.

The whole decoder is a graph of two thousand operations, which takes a second to prepare and a
millisecond a file. What it makes of plain files, the operation alone does.
"""

import tensorflow as tf

from tl_keras.inputs.decoding.graph_bytes import Tensor
from tl_keras.inputs.decoding.headers import is_jpeg
from tl_keras.inputs.decoding.images import resize_image
from tl_keras.inputs.decoding.stored_pixels import decode_rgb

CHANGED = "an image file is another than when it was checked; read the data again"

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_PNG_KINDS = (b"\x08\x00", b"\x08\x02")
"""Eight bits, gray or RGB: what a PNG says from its 24th byte on."""
_MARKS = (b"Exif\0\0", b"eXIf", b"tRNS")
"""Names of the data that turns images, and makes them transparent."""
_MARKED = r"\C*(?:Exif\x00\x00|eXIf|tRNS)\C*"


def is_plain(content: bytes) -> bool:
    """Return whether the content of a file is a JPEG or PNG that `decode_plain` reads.

    Nothing turns it or makes it transparent; a PNG is gray or RGB, of eight bits a channel. The
    names of what does are looked for in all of the content, so that some plain files are missed.
    """
    is_png = content.startswith(_PNG) and content[24:26] in _PNG_KINDS
    return (is_png or content.startswith(_JPEG)) and not any(one in content for one in _MARKS)


@tf.autograph.experimental.do_not_convert
def decode_plain(encoded: Tensor) -> Tensor:
    """Decode a plain file as `decode_image` does.

    Args:
        encoded: Its content, a scalar string tensor.

    Returns:
        uint8 `(h, w, 3)`.

    Raises:
        tf.errors.InvalidArgumentError: When run, if it is not plain, damaged or truncated, or has
            more than 178,956,970 pixels.
    """
    is_png = (tf.strings.substr(encoded, 0, len(_PNG)) == _PNG) & tf.reduce_any(
        tf.strings.substr(encoded, 24, 2) == tf.constant(_PNG_KINDS)
    )
    plain = (is_png | is_jpeg(encoded)) & ~tf.strings.regex_full_match(encoded, _MARKED)
    with tf.control_dependencies([tf.debugging.Assert(plain, [CHANGED])]):
        return tf.ensure_shape(decode_rgb(encoded), [None, None, 3])


@tf.autograph.experimental.do_not_convert
def decode_and_resize_plain(encoded: Tensor, size: tuple[int, int]) -> Tensor:
    """Decode a plain file and resize it, as `decode_and_resize` does; uint8 `(*size, 3)`."""
    return tf.ensure_shape(resize_image(decode_plain(encoded), size), [*size, 3])
