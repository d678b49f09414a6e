"""The one image decoder: used while training and inside the exported serving signature.

Everything is TensorFlow ops, so a SavedModel that contains the decoder loads with plain
TensorFlow, and a picture gives the same pixels in training and in production.
"""

import tensorflow as tf

from tl_keras.inputs.decoding.headers import first_frame_alone, reason_for_failure, refusal
from tl_keras.inputs.decoding.orientation import apply_orientation, exif_orientation
from tl_keras.inputs.decoding.stored_pixels import PNG_DEPTH, stored_pixels, tried


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
            or is an animated WebP or a BMP with compression or fewer than 8 bits per pixel, or has
            more than 178,956,970 pixels.

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
    return _finish(_decode_as_stored(encoded, pixel_range), encoded, size)


@tf.autograph.experimental.do_not_convert
def decode_or_refuse(
    encoded: tf.Tensor, size: tuple[int, int], pixel_range: tuple[float, float] | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode and resize as `decode_and_resize` does, without an error for what is not an image.

    Args:
        encoded: A scalar string tensor.
        size: Height and width in pixels.
        pixel_range: As for `decode_image`.

    Returns:
        The pixels, of the type and shape that `decode_and_resize` gives, zeros where it would
        raise an error; and why it would, a scalar string tensor: empty if it would not.
    """
    stored, reason = _try_to_decode(encoded, pixel_range)
    pixels = tf.cond(
        reason == "",
        lambda: _finish(stored, encoded, size),
        lambda: tf.zeros([*size, 3], pixel_type(pixel_range)),
    )
    return pixels, reason


@tf.autograph.experimental.do_not_convert
def decode_image_or_refuse(
    encoded: tf.Tensor, pixel_range: tuple[float, float] | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode as `decode_image` does, without an error for what is not an image.

    Returns:
        The pixels, none where there would be an error, and the reason, as `decode_or_refuse` gives
        it.
    """
    stored, reason = _try_to_decode(encoded, pixel_range)
    upright = tf.cond(
        reason == "", lambda: apply_orientation(stored, exif_orientation(encoded)), lambda: stored
    )
    return upright, reason


def decode_batch(
    encoded: tf.Tensor, size: tuple[int, int], pixel_range: tuple[float, float] | None = None
) -> tf.Tensor:
    """Decode and resize several files' contents.

    Args:
        encoded: String tensor `(n,)`.
        size: Height and width in pixels.
        pixel_range: As for `decode_image`.

    Returns:
        uint8 `(n, size[0], size[1], 3)`; float32 with a `pixel_range`.

    Raises:
        tf.errors.InvalidArgumentError: When run, if one of them is not an image.
    """
    return tf.map_fn(
        lambda content: decode_and_resize(content, size, pixel_range),
        encoded,
        fn_output_signature=tf.TensorSpec([*size, 3], pixel_type(pixel_range)),
    )


def decode_images_in(
    encoded: tf.Tensor, size: tuple[int, int], pixel_range: tuple[float, float] | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode the images among several files' contents, as a serving signature does.

    Args:
        encoded: String tensor `(n,)`.
        size: Height and width in pixels.
        pixel_range: As for `decode_image`.

    Returns:
        Pixels as `decode_batch` gives them, zeros where a file is not an image; and why it is not
        one, string `(n,)`, empty where it is.
    """
    return tf.map_fn(
        lambda content: decode_or_refuse(content, size, pixel_range),
        encoded,
        fn_output_signature=(
            tf.TensorSpec([*size, 3], pixel_type(pixel_range)),
            tf.TensorSpec([], tf.string),
        ),
    )


def pixel_type(pixel_range: tuple[float, float] | None) -> tf.DType:
    """Return the type of decoded pixels."""
    return tf.uint8 if pixel_range is None else tf.float32


def is_sixteen_bit(content: bytes) -> bool:
    """Return whether the content of a file is a PNG with channels of 16 bits."""
    return content[:4] == b"\x89PNG" and content[PNG_DEPTH : PNG_DEPTH + 1] == b"\x10"


def _decode_as_stored(
    encoded: tf.Tensor, pixel_range: tuple[float, float] | None = None
) -> tf.Tensor:
    """Decode to RGB without a look at the orientation; fail where the file is not an image."""
    reason = refusal(encoded)
    with tf.control_dependencies([tf.debugging.Assert(reason == "", [reason])]):
        encoded = first_frame_alone(encoded)
    return stored_pixels(encoded, pixel_range, lambda operation, content: operation(content))


def _try_to_decode(
    encoded: tf.Tensor, pixel_range: tuple[float, float] | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode to RGB without a look at the orientation; to no pixels and a reason on failure."""
    refused = refusal(encoded)
    stored = tf.cond(
        refused == "",
        lambda: stored_pixels(first_frame_alone(encoded), pixel_range, tried),
        lambda: tf.zeros([0, 0, 3], pixel_type(pixel_range)),
    )
    is_explained = (tf.size(stored) > 0) | (refused != "")
    return stored, tf.cond(is_explained, lambda: refused, lambda: reason_for_failure(encoded))


def _finish(stored: tf.Tensor, encoded: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Resize pixels and turn them upright."""
    orientation = exif_orientation(encoded)
    image = resize_image(stored, tf.where(orientation >= 5, size[::-1], size))
    return tf.ensure_shape(apply_orientation(image, orientation), [*size, 3])
