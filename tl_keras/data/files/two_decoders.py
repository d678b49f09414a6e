"""Whether Pillow and the decoder that training uses read the same image."""

import contextlib
import threading
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tl_keras.inputs.decoding.images import decode_image_or_refuse
from tl_keras.inputs.decoding.plain import is_plain
from tl_keras.inputs.decoding.stored_pixels import decode_rgb

_LARGEST_MEAN_DIFFERENCE = 8.0
_SAMPLES = 64
"""About so many pixels are compared along each side."""
_ORIENTATION = 0x0112
_AS_STORED = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels, -1),
}
"""EXIF orientation → from upright pixels to a view of them as they are in the file."""

LARGE_PIXELS = 2**25
_one_large_image = threading.Semaphore()


def room_for(pixels: int) -> contextlib.AbstractContextManager:
    """Return what to hold while an image is decoded: large ones are decoded one at a time."""
    return _one_large_image if pixels > LARGE_PIXELS else contextlib.nullcontext()


class PillowsView:
    """What Pillow reads of an image: its shape and about 64 × 64 pixels.

    Args:
        image: An image whose pixels have not been read yet.

    Attributes:
        shape: Height and width, upright.

    Raises:
        Exception: Whatever Pillow raises.
    """

    def __init__(self, image: Image.Image):
        image.load()
        if 0 in image.size:
            raise ValueError(f"the image is {image.width} × {image.height} pixels")
        self._orientation = image.getexif().get(_ORIENTATION, 1)
        stored = (image.height, image.width)
        self.shape = stored[::-1] if self._orientation in (5, 6, 7, 8) else stored
        self._steps = [max(1, length // _SAMPLES) for length in stored]
        # Pillow cuts 16-bit values off at 255 when it converts them: they are not compared.
        self._sample = None if image.mode.startswith("I") else self._sampled(image)

    def is_shown_by(self, pixels: np.ndarray) -> str:
        """Compare with upright pixels that another decoder read.

        Args:
            pixels: uint8 `(h, w, 3)`.

        Returns:
            What differs; empty if nothing does.
        """
        if pixels.shape[:2] != self.shape:
            return f"TensorFlow reads {pixels.shape[:2]} pixels, Pillow {self.shape}"
        if self._sample is None:
            return ""
        stored = _AS_STORED.get(self._orientation, np.asarray)(pixels)
        sample = stored[:: self._steps[0], :: self._steps[1]].astype(np.int16)
        difference = np.abs(sample - self._sample).mean()
        if difference > _LARGEST_MEAN_DIFFERENCE:
            return f"TensorFlow and Pillow differ by {difference:.0f} of 255 on average"
        return ""

    def _sampled(self, image: Image.Image) -> np.ndarray:
        """Return pixels at every step as RGB, transparency on white, without copying the rest."""
        # A GIF's and a BMP's transparency is ignored, as in `decode_image`.
        is_transparent = image.format in ("PNG", "WEBP") and (
            image.mode in ("RGBA", "LA", "PA")
            or (image.mode == "P" and "transparency" in image.info)
        )
        down, right = self._steps
        if (down, right) != (1, 1):
            size = (-(-image.width // right), -(-image.height // down))
            # A pixel's centre, at half, is taken to the centre of the pixel at the same step.
            places = (right, 0, 0.5 - 0.5 * right, 0, down, 0.5 - 0.5 * down)
            image = image.transform(size, Image.Transform.AFFINE, places)
        if is_transparent:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return np.asarray(image.convert("RGB"))


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _decode(content: tf.Tensor) -> tuple[Any, Any]:
    return decode_image_or_refuse(content)


def decoded(content: bytes) -> tuple[np.ndarray, str]:
    """Return the pixels that training and exported models read.

    Args:
        content: What is in a file.

    Returns:
        uint8 `(h, w, 3)`; and why the file is not an image, as `"kind: detail"`, or "".
    """
    if is_plain(content):
        try:
            return decode_rgb(tf.constant(content)).numpy(), ""
        except tf.errors.OpError:
            pass  # The whole decoder says why.
    pixels, reason = _decode(tf.constant(content))
    return pixels.numpy(), reason.numpy().decode()
