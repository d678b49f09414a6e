"""Images: `(height, width, channels)`, 0–255 or in a range of their own."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tl_keras.inputs import preprocessing as scaling
from tl_keras.inputs.base import Modality
from tl_keras.inputs.decoding.images import decode_images_in
from tl_keras.inputs.image_batches import shape_remedy
from tl_keras.utils.errors import InputError

LARGEST_OF_CENTRED = 200
"""Centred images end below this, and resized photographs, which undershoot 0, above."""
SMALLEST = 200
"""Centred images begin above minus this."""
OUTSIDE = 0.2
"""How far resized photographs may leave their range, as a share of it."""
FAR_BELOW = 0.25
"""Images that end below this share of the model's range were made for another one."""


@keras.saving.register_keras_serializable("tl_keras")
class Images(Modality):
    """Images of one size or of any.

    Args:
        shape: `(height, width, channels)`; None for a side of any length.
        pixel_range: Darkest and brightest value; None for 0–255.
    """

    name: ClassVar[str] = "images"
    singular: ClassVar[str] = "image"
    plural: ClassVar[str] = "images"
    values: ClassVar[str] = ", 0–255 or in its pixel_range"
    raw_signature: ClassVar[str] = "serve_bytes"
    one_shape: ClassVar[str] = "Resize the images to one size first."
    as_numbers: ClassVar[str] = "Read image files with tl.data.decode_image."

    def __init__(
        self,
        shape: Sequence[int | None],
        pixel_range: tuple[float, float] | None = None,
    ):
        self._shape = tuple(shape)
        self.pixel_range = scaling.check_pixel_range(pixel_range)
        self.are_images = len(self._shape) == 3 and None not in self._shape
        if self.are_images and self._shape[-1] in (1, 3):
            self.raw_name = "image_bytes"

    @property
    def spec(self) -> tf.TensorSpec:
        """Shape and type of one image in an export; training takes uint8, too."""
        return tf.TensorSpec(self._shape, tf.float32)

    def get_config(self) -> dict[str, Any]:
        """Return the shape and the range."""
        config: dict[str, Any] = {"shape": list(self._shape)}
        return config if self.pixel_range is None else config | {"pixel_range": self.pixel_range}

    def described(self) -> dict[str, Any]:
        """Return the shape; the range is the preprocessing's."""
        return {"image_shape": self._shape}

    def preprocessing(self) -> keras.layers.Layer:
        """Return the layer that leaves pixels as they are."""
        return scaling.identity()

    def reading(self, preprocessing: Any, network: Any) -> "Images":
        """Return images of the range that the layers take."""
        return Images(self._shape, scaling.pixel_range_of(preprocessing, network))

    def remedy(self, spec: Any, *, files: bool = False) -> str:
        """Say how images of another shape become the model's: files are read at its size."""
        if not isinstance(spec, tf.TensorSpec):
            return "Pass one array of images."
        shape = tuple(spec.shape)
        if files and self._shape[-1:] == (3,):
            size = ", ".join(map(str, self._shape[:2]))
            return (
                f"Read the images with image_size=({size}), or build the model with "
                f"input_shape={shape}."
            )
        return shape_remedy(shape, self._shape)

    def check_reading(self, examples: Any, argument: str) -> None:
        """Raise `InputError` where files were read with another `pixel_range` than the model's."""
        if examples.paths and examples.pixel_range != self.pixel_range:
            raise InputError(
                f"{argument}: the images were read with pixel_range={examples.pixel_range}, the "
                f"model was built with pixel_range={self.pixel_range}. Give both the same."
            )

    def doubt(self, examples: Any, layers: Callable[[], Sequence[Any]]) -> str | None:
        """Say that images were scaled, or are of another range, where the model scales them."""
        if len(self._shape) != 3 or not any(map(_reads_pixels, layers())):
            return None
        found: tuple[float, float] | None = examples.value_range
        if found is None and self.pixel_range and not examples.paths:
            found = (0.0, 255.0) if examples.spec.dtype == tf.uint8 else None
        return None if found is None else _unlike_pixels(*found, self.pixel_range)

    def from_raw(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return images decoded as in training, and why files are none; see `Modality.from_raw`."""
        height, width, channels = self._shape
        if height is None or width is None:
            raise InputError(
                f"input_shape: files are decoded to one size, the model takes {self._shape}. Build "
                "it with a height and a width."
            )
        images, error = decode_images_in(raw, (height, width), self.pixel_range)
        if channels == 1:
            images = tf.image.rgb_to_grayscale(images)
        return tf.cast(images, tf.float32), error


def _unlike_pixels(low: float, high: float, pixel_range: tuple[float, float] | None) -> str | None:
    """Say what is wrong with a range of values; images that are all black say nothing."""
    short = [f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}" for value in (low, high)]
    found = f"values are in {' … '.join(short)}"
    darkest, brightest = pixel_range or (0.0, 255.0)
    is_scaled = 0 < high <= 1 or (low < 0 and high < LARGEST_OF_CENTRED and low >= -SMALLEST)
    if is_scaled and not pixel_range:
        return (
            f"the model takes images of 0–255 and scales them itself, and all {found}. Pass the "
            "images unscaled: without division by 255 and without preprocess_input."
        )
    margin = OUTSIDE * (brightest - darkest)
    if low < darkest - margin or high > brightest + margin:
        return (
            f"the model takes images of {darkest:g}–{brightest:g}, and {found}. Build it with "
            "pixel_range=(darkest, brightest) of the images, such as (0, 4095) for 12 bits."
        )
    if pixel_range and 0 < high - darkest < FAR_BELOW * (brightest - darkest):
        return (
            f"the model takes images of {darkest:g}–{brightest:g}, and all {found}. Pass them in "
            "the range that the model was built with."
        )
    return None


def _reads_pixels(layer: keras.layers.Layer) -> bool:
    """Return whether a layer scales pixels of 0–255."""
    if isinstance(layer, scaling.ImagePreprocessing):
        return bool(np.max(layer.mean) > 1 or np.max(layer.std) > 1 or layer.pixel_range)
    if isinstance(layer, keras.layers.Rescaling):
        return float(np.abs(layer.scale).max()) < 0.1
    if isinstance(layer, keras.layers.Normalization) and layer.input_mean is not None:
        return float(np.max(layer.input_mean)) > 1
    return False
