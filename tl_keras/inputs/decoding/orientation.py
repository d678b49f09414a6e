"""EXIF orientation of JPEG, PNG and WebP files, read and applied with TensorFlow ops only.

Ops only, because the same code runs in the input pipeline and in an exported serving signature,
which has to load where no Python code of this package is.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tl_keras.inputs.decoding.graph_bytes import (
    Tensor,
    matches,
    read_bytes,
    read_integer,
    to_bytes,
)

_EXIF_PREFIX = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112
_MOST_SEGMENTS = 1000
_MOST_ENTRIES = 1000
_NOWHERE = np.int64(-1)

# A step looks at the segment at an offset and returns where EXIF data starts (−1: not here) and
# the offset of the next segment (−1: there is none).
_Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def exif_orientation(encoded: Tensor) -> Tensor:
    """Read the EXIF orientation of an encoded image.

    Args:
        encoded: The content of a file, a scalar string tensor.

    Returns:
        A number from 1 to 8 as an int32 scalar; 1 (upright) where the file says nothing.
    """
    data = to_bytes(encoded)
    start = tf.case(
        [
            (matches(data, 0, b"\xff\xd8"), lambda: _walk(data, 2, _jpeg_step)),
            (matches(data, 0, b"\x89PNG"), lambda: _walk(data, 8, _png_step)),
            (
                matches(data, 0, b"RIFF") & matches(data, 8, b"WEBP"),
                lambda: _walk(data, 12, _webp_step),
            ),
        ],
        default=lambda: tf.constant(_NOWHERE),
    )
    return tf.cond(
        start >= 0, lambda: _orientation_in_tiff(data, start), lambda: tf.constant(1, tf.int32)
    )


def apply_orientation(image: Tensor, orientation: Tensor) -> Tensor:
    """Turn an image upright.

    Args:
        image: Pixels `(h, w, c)` as stored.
        orientation: EXIF orientation, an int32 scalar from 1 to 8.

    Returns:
        Pixels `(h, w, c)`, or `(w, h, c)` for orientations 5 to 8.
    """

    def is_any_of(*values: int) -> Tensor:
        return tf.reduce_any(orientation == tf.constant(values, tf.int32))

    def keep(pixels: Tensor) -> Tensor:
        return tf.identity(pixels)

    channels = image.shape[-1]
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: keep(image))
    image = tf.cond(is_any_of(2, 3, 6, 7), lambda: image[:, ::-1], lambda: keep(image))
    image = tf.cond(is_any_of(3, 4, 7, 8), lambda: image[::-1], lambda: keep(image))
    return tf.ensure_shape(image, [None, None, channels])


def _walk(data: Tensor, start: int, step: _Step) -> Tensor:
    """Go from segment to segment until one holds EXIF data; −1 if none does."""
    size = tf.size(data, out_type=tf.int64)

    def unfinished(found: Tensor, offset: Tensor) -> Tensor:
        return (found < 0) & (offset >= 0) & (offset < size)

    found, _ = tf.while_loop(
        unfinished,
        lambda found, offset: step(data, offset),
        (tf.constant(_NOWHERE), tf.constant(start, tf.int64)),
        maximum_iterations=_MOST_SEGMENTS,
    )
    return found


def _jpeg_step(data: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    head = read_bytes(data, offset, 2)
    length = read_integer(data, offset + 2, 2, False)
    is_fill = (head[0] == 0xFF) & (head[1] == 0xFF)
    is_segment = (head[0] == 0xFF) & (head[1] != 0xDA) & (length >= 2)
    is_exif = is_segment & (head[1] == 0xE1) & matches(data, offset + 4, _EXIF_PREFIX)
    following = tf.where(is_segment, offset + 2 + length, _NOWHERE)
    return tf.where(is_exif, offset + 10, _NOWHERE), tf.where(is_fill, offset + 1, following)


def _png_step(data: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    length = read_integer(data, offset, 4, False)
    found = tf.where(matches(data, offset + 4, b"eXIf"), offset + 8, _NOWHERE)
    return found, tf.where(matches(data, offset + 4, b"IEND"), _NOWHERE, offset + 12 + length)


def _webp_step(data: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    length = read_integer(data, offset + 4, 4, True)
    content = tf.where(matches(data, offset + 8, _EXIF_PREFIX), offset + 14, offset + 8)
    return tf.where(
        matches(data, offset, b"EXIF"), content, _NOWHERE
    ), offset + 8 + length + length % 2


def _orientation_in_tiff(data: Tensor, start: Tensor) -> Tensor:
    """Look up the orientation in the first directory of the TIFF structure at `start`."""
    little_endian = matches(data, start, b"II*\0")
    is_tiff = little_endian | matches(data, start, b"MM\0*")
    directory = start + read_integer(data, start + 4, 4, little_endian)
    count = tf.minimum(read_integer(data, directory, 2, little_endian), _MOST_ENTRIES)
    entries = tf.reshape(read_bytes(data, directory + 2, count * 12), [-1, 12])

    def short(column: int) -> Tensor:
        first, second = entries[:, column], entries[:, column + 1]
        return tf.where(little_endian, first + 256 * second, second + 256 * first)

    # One number of the type SHORT, as the standard has it.
    is_one_short = (short(2) == 3) & (short(4) + short(6) == 1)
    is_orientation = (short(0) == _ORIENTATION_TAG) & (short(8) >= 1) & (short(8) <= 8)
    is_orientation &= is_tiff & is_one_short
    values = tf.concat([tf.boolean_mask(short(8), is_orientation), np.array([1], np.int64)], axis=0)
    return tf.cast(values[0], tf.int32)
