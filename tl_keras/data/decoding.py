"""The one image decoder: used while training and inside the exported serving signature.

Everything is TensorFlow ops, so a SavedModel that contains the decoder loads with plain
TensorFlow, and a picture gives the same pixels in training and in production.
"""

import tensorflow as tf

from tl_keras.data.graph_bytes import matches, read_bytes, read_integer, to_bytes
from tl_keras.data.orientation import apply_orientation, exif_orientation

_PNG_DEPTH = 24
"""Where a PNG says how many bits a channel has."""


@tf.autograph.experimental.do_not_convert
def decode_image(encoded: tf.Tensor, pixel_range: tuple[float, float] | None = None) -> tf.Tensor:
    """Decode the content of an image file to upright RGB pixels.

    Reads JPEG, PNG, BMP, GIF and WebP, whatever the file's name says:

    * grayscale is repeated over the three channels, palettes are looked up, CMYK is converted;
    * transparency (PNG and WebP) is composited on white; the alpha bytes of a BMP are ignored;
    * 16-bit channels keep their upper 8 bits, or all of them where a `pixel_range` is given;
    * of an animated GIF the first frame is taken;
    * the EXIF orientation is applied.

    Args:
        encoded: A scalar string tensor.
        pixel_range: Darkest and brightest value of the images; with one, values come as the file
            has them, whatever its depth. None for 8 bits.

    Returns:
        uint8 `(h, w, 3)`; float32 with a `pixel_range`.

    Raises:
        tf.errors.InvalidArgumentError: When run, if the content is no such image, is truncated,
            or is an animated WebP or a BMP with compression or fewer than 8 bits per pixel.

    Example:
        >>> png = tf.io.encode_png(tf.fill([2, 3, 1], tf.constant(7, tf.uint8)))
        >>> decode_image(png).shape.as_list()
        [2, 3, 3]
    """
    return apply_orientation(_decode_as_stored(encoded, pixel_range), exif_orientation(encoded))


def resize_image(image: tf.Tensor, size: tuple[int, int] | tf.Tensor) -> tf.Tensor:
    """Resize to exactly `size` with an anti-aliased bilinear filter; proportions may change.

    Args:
        image: Pixels `(h, w, c)`, uint8, or float32 of any range.
        size: Height and width in pixels.

    Returns:
        uint8 `(size[0], size[1], c)`, rounded; float32 for float32.
    """
    resized = tf.image.resize(image, size, method="bilinear", antialias=True)
    if image.dtype == tf.float32:
        return resized
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)


@tf.autograph.experimental.do_not_convert
def decode_and_resize(
    encoded: tf.Tensor, size: tuple[int, int], pixel_range: tuple[float, float] | None = None
) -> tf.Tensor:
    """Decode a file's content and resize it, as `decode_image` and `resize_image` do.

    A photograph is turned upright after it was made smaller, which for large ones saves most of
    the time.

    Args:
        encoded: A scalar string tensor.
        size: Height and width in pixels.
        pixel_range: As for `decode_image`.

    Returns:
        uint8 `(size[0], size[1], 3)`; float32 with a `pixel_range`.
    """
    orientation = exif_orientation(encoded)
    stored_size = tf.where(orientation >= 5, size[::-1], size)
    image = resize_image(_decode_as_stored(encoded, pixel_range), stored_size)
    return tf.ensure_shape(apply_orientation(image, orientation), [*size, 3])


def decode_batch(
    encoded: tf.Tensor, size: tuple[int, int], pixel_range: tuple[float, float] | None = None
) -> tf.Tensor:
    """Decode and resize several files' contents, as a serving signature does.

    Args:
        encoded: String tensor `(n,)`.
        size: Height and width in pixels.
        pixel_range: As for `decode_image`.

    Returns:
        uint8 `(n, size[0], size[1], 3)`; float32 with a `pixel_range`.
    """
    return tf.map_fn(
        lambda content: decode_and_resize(content, size, pixel_range),
        encoded,
        fn_output_signature=tf.TensorSpec([*size, 3], pixel_type(pixel_range)),
    )


def pixel_type(pixel_range: tuple[float, float] | None) -> tf.DType:
    """Return the type of decoded pixels."""
    return tf.uint8 if pixel_range is None else tf.float32


def is_sixteen_bit(content: bytes) -> bool:
    """Return whether the content of a file is a PNG with channels of 16 bits."""
    return content[:4] == b"\x89PNG" and content[_PNG_DEPTH : _PNG_DEPTH + 1] == b"\x10"


def _decode_as_stored(
    encoded: tf.Tensor, pixel_range: tuple[float, float] | None = None
) -> tf.Tensor:
    """Decode to RGB without a look at the orientation."""
    if pixel_range is not None:
        data = to_bytes(encoded)
        return tf.cond(
            matches(data, 0, b"\x89PNG") & matches(data, _PNG_DEPTH, b"\x10"),
            lambda: _decode_sixteen_bits(encoded, pixel_range[1]),
            lambda: tf.cast(_decode_as_stored(encoded), tf.float32),
        )
    with tf.control_dependencies(_refusals(encoded)):
        encoded = tf.identity(encoded)
    pixels = tf.io.decode_image(encoded, channels=0, dtype=tf.uint8, expand_animations=False)
    return _to_rgb(tf.ensure_shape(pixels, [None, None, None]), encoded)


def _decode_sixteen_bits(encoded: tf.Tensor, white: float) -> tf.Tensor:
    """Decode a PNG of 16-bit channels to RGB, float32, with transparency on white."""
    pixels = tf.io.decode_png(encoded, channels=0, dtype=tf.uint16)
    pixels = tf.cast(tf.ensure_shape(pixels, [None, None, None]), tf.float32)
    channels = tf.shape(pixels)[-1]
    has_alpha = (channels == 2) | (channels == 4)
    colors = tf.cond(
        channels < 3, lambda: tf.repeat(pixels[..., :1], 3, axis=-1), lambda: pixels[..., :3]
    )
    alpha = tf.where(has_alpha, pixels[..., -1:] / 65535.0, 1.0)
    return tf.ensure_shape(colors * alpha + white * (1.0 - alpha), [None, None, 3])


def _refusals(encoded: tf.Tensor) -> list[tf.Operation]:
    """Check for the files that `tf.io.decode_image` would read wrongly or unsafely."""
    data = to_bytes(encoded)
    is_animated_webp = (
        matches(data, 0, b"RIFF")
        & matches(data, 8, b"WEBPVP8X")
        & (tf.bitwise.bitwise_and(read_integer(data, 20, 1, True), 2) > 0)
    )
    bits = read_integer(data, 28, 2, True)
    is_plain_bmp = (read_integer(data, 14, 4, True) >= 40) & (
        (bits > 8) | ((bits == 8) & (read_integer(data, 30, 4, True) == 0))
    )
    messages = {
        "The image file is empty.": tf.strings.length(encoded) > 0,
        "Animated WebP files are not supported; save the first frame.": ~is_animated_webp,
        "BMP files with compression or fewer than 8 bits per pixel are not supported; save the "
        "image as PNG.": is_plain_bmp | ~matches(data, 0, b"BM"),
    }
    checks = [tf.debugging.Assert(condition, [text]) for text, condition in messages.items()]
    return [check for check in checks if check is not None]


def _to_rgb(pixels: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
    """Bring 1 to 4 decoded channels to RGB."""
    is_bmp = tf.strings.substr(encoded, 0, 2) == b"BM"

    def from_one() -> tf.Tensor:
        return tf.cond(
            is_bmp,
            lambda: _look_up_bmp_palette(pixels, encoded),
            lambda: tf.repeat(pixels[..., :1], 3, axis=-1),
        )

    def from_four() -> tf.Tensor:
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


def _on_white(colors: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Composite on white: `(colour · alpha + 255 · (255 − alpha)) / 255`, rounded."""
    colors, alpha = tf.cast(colors, tf.int32), tf.cast(alpha, tf.int32)
    return tf.cast((colors * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def _look_up_bmp_palette(indices: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
    """Replace the palette indices of an 8-bit BMP by the colours, stored as B, G, R, 0."""
    data = to_bytes(encoded)
    start = 14 + read_integer(data, 14, 4, True)
    palette = tf.reshape(read_bytes(data, start, 4 * 256), [256, 4])[:, 2::-1]
    return tf.gather(tf.cast(palette, tf.uint8), tf.cast(indices[..., 0], tf.int32))
