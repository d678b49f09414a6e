"""From the content of an image file to RGB pixels as they are stored."""

from collections.abc import Callable

import tensorflow as tf

from tl_keras.inputs.decoding.attempts import attempt
from tl_keras.inputs.decoding.graph_bytes import (
    Tensor,
    matches,
    read_bytes,
    read_integer,
    to_bytes,
)
from tl_keras.inputs.decoding.headers import is_jpeg

Operation = Callable[[Tensor], Tensor]
"""Decodes a file's content."""

PNG_DEPTH = 24
"""Where a PNG says how many bits a channel has."""


def stored_pixels(
    encoded: Tensor,
    pixel_range: tuple[float, float] | None,
    run: Callable[[Operation, Tensor], Tensor],
) -> Tensor:
    """Decode a file whose header is sound to RGB.

    Args:
        encoded: Its content.
        pixel_range: As for `decode_image`.
        run: Calls the operation that decodes, with the content.
    """

    def eight_bits() -> Tensor:
        rgb = tf.cond(
            is_jpeg(encoded),
            lambda: run(decode_rgb, encoded),
            lambda: _to_rgb(run(_decode_any, encoded), encoded),
        )
        rgb = tf.ensure_shape(rgb, [None, None, 3])
        return rgb if pixel_range is None else tf.cast(rgb, tf.float32)

    if pixel_range is None:
        return eight_bits()
    data = to_bytes(encoded)
    return tf.cond(
        matches(data, 0, b"\x89PNG") & matches(data, PNG_DEPTH, b"\x10"),
        lambda: _sixteen_bits_to_rgb(
            tf.cast(run(_decode_deep, encoded), tf.float32), pixel_range[1]
        ),
        eight_bits,
    )


def tried(operation: Operation, encoded: Tensor) -> Tensor:
    """Decode, to no pixels of three channels where that fails."""
    dtype = tf.uint16 if operation is _decode_deep else tf.uint8
    return attempt(operation, encoded, tf.zeros([0, 0, 3], dtype))


def decode_rgb(encoded: Tensor) -> Tensor:
    """Decode to RGB what has no transparency and at most eight bits a channel."""
    # With three channels TensorFlow's bound of 2²⁹ values is one of `LARGEST_PIXELS`.
    pixels = tf.io.decode_image(encoded, channels=3, dtype=tf.uint8, expand_animations=False)
    return tf.ensure_shape(pixels, [None, None, None])


def _decode_any(encoded: Tensor) -> Tensor:
    pixels = tf.io.decode_image(encoded, channels=0, dtype=tf.uint8, expand_animations=False)
    return tf.ensure_shape(pixels, [None, None, None])


def _decode_deep(encoded: Tensor) -> Tensor:
    pixels = tf.io.decode_png(encoded, channels=0, dtype=tf.uint16)
    return tf.ensure_shape(pixels, [None, None, None])


def _sixteen_bits_to_rgb(pixels: Tensor, white: float) -> Tensor:
    """Bring a PNG of 16-bit channels, as float32, to RGB with transparency on white."""
    channels = tf.shape(pixels)[-1]
    has_alpha = (channels == 2) | (channels == 4)
    colors = tf.cond(
        channels < 3, lambda: tf.repeat(pixels[..., :1], 3, axis=-1), lambda: pixels[..., :3]
    )
    alpha = tf.where(has_alpha, pixels[..., -1:] / 65535.0, 1.0)
    return tf.ensure_shape(colors * alpha + white * (1.0 - alpha), [None, None, 3])


def _to_rgb(pixels: Tensor, encoded: Tensor) -> Tensor:
    """Bring 1 to 4 decoded channels to RGB."""
    is_bmp = tf.strings.substr(encoded, 0, 2) == b"BM"

    def from_one() -> Tensor:
        return tf.cond(
            is_bmp,
            lambda: _look_up_bmp_palette(pixels, encoded),
            lambda: tf.repeat(pixels[..., :1], 3, axis=-1),
        )

    def from_four() -> Tensor:
        return tf.cond(
            is_bmp, lambda: pixels[..., :3], lambda: _on_white(pixels[..., :3], pixels[..., 3:4])
        )

    rgb = tf.switch_case(
        tf.shape(pixels)[-1] - 1,
        [
            from_one,
            lambda: _on_white(tf.repeat(pixels[..., :1], 3, axis=-1), pixels[..., 1:2]),
            lambda: pixels[..., :3],
            from_four,
        ],
    )
    return tf.ensure_shape(rgb, [None, None, 3])


def _on_white(colors: Tensor, alpha: Tensor) -> Tensor:
    """Composite on white: `(colour · alpha + 255 · (255 − alpha)) / 255`, rounded."""
    colors, alpha = tf.cast(colors, tf.int32), tf.cast(alpha, tf.int32)
    return tf.cast((colors * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def _look_up_bmp_palette(indices: Tensor, encoded: Tensor) -> Tensor:
    """Replace the palette indices of an 8-bit BMP by the colours, stored as B, G, R, 0."""
    data = to_bytes(encoded)
    start = 14 + read_integer(data, 14, 4, True)
    palette = tf.reshape(read_bytes(data, start, 4 * 256), [256, 4])[:, 2::-1]
    return tf.gather(tf.cast(palette, tf.uint8), tf.cast(indices[..., 0], tf.int32))
