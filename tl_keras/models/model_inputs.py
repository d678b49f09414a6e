"""What is checked about examples before they reach a model: shape and range."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tl_keras.data.base import Examples
from tl_keras.data.domains import DomainExamples
from tl_keras.inputs.image_batches import shape_remedy
from tl_keras.inputs.preprocessing import ImagePreprocessing
from tl_keras.utils.errors import InputError, warn_user

if TYPE_CHECKING:
    from tl_keras.models.transfer_model import TransferModel

LARGEST_OF_CENTRED = 200
"""Centred images end below this, and resized photographs, which undershoot 0, above."""
SMALLEST = 200
"""Centred images begin above minus this."""
OUTSIDE = 0.2
"""How far resized photographs may leave their range, as a share of it."""
FAR_BELOW = 0.25
"""Images that end below this share of the model's range were made for another one."""


def check_examples(model: "TransferModel", examples: Examples, argument: str) -> None:
    """Raise `InputError` unless the examples have the shape that the model takes."""
    check_pixel_ranges(model, examples, argument)
    shape = examples.spec.shape
    if not shape.is_compatible_with(model.image_shape):
        raise InputError(
            f"{argument}: the model takes inputs of shape {model.image_shape}, got "
            f"{tuple(shape)}. {size_remedy(model, examples, tuple(shape))}"
        )


def size_remedy(model: "TransferModel", examples: Examples, shape: tuple[int | None, ...]) -> str:
    """Say how images of another shape become the model's: files are read at its size."""
    files = examples.only if isinstance(examples, DomainExamples) else examples
    if getattr(files, "paths", None) and model.image_shape[-1:] == (3,):
        size = ", ".join(map(str, model.image_shape[:2]))
        return (
            f"Read the images with image_size=({size}), or build the model with "
            f"input_shape={shape}."
        )
    return shape_remedy(shape, model.image_shape)


def check_pixel_ranges(model: "TransferModel", examples: Examples, argument: str) -> None:
    """Raise `InputError` where images were read with another `pixel_range` than the model's."""
    if isinstance(examples, DomainExamples):
        for one in examples.values():
            check_pixel_ranges(model, one, argument)
    if examples.paths and examples.pixel_range != model.pixel_range:
        raise InputError(
            f"{argument}: the images were read with pixel_range={examples.pixel_range}, the model "
            f"was built with pixel_range={model.pixel_range}. Give both the same."
        )


def warn_of_scaled_images(model: "TransferModel", data: Mapping[str, Any]) -> None:
    """Warn once where a model that scales pixels itself gets images of another range.

    Args:
        model: Takes the images.
        data: Argument → `DomainExamples`, or None.
    """
    if not _scales_pixels(model):
        return
    for argument, domains in data.items():
        for name, examples in (domains or {}).items():
            found = _range_of(examples, model.pixel_range)
            text = None if found is None else _unlike_pixels(*found, model.pixel_range)
            if text is not None:
                where = f"{argument}[{name!r}]" if domains.only is None else argument
                warn_user(f"{where}: {text}")
                return


def _range_of(examples: Examples, pixel_range: Any) -> tuple[float, float] | None:
    """Return the range of values that is known; that of uint8 counts for models of more bits."""
    if examples.value_range is not None or not pixel_range or examples.paths:
        return examples.value_range
    is_uint8 = examples.spec.dtype == "uint8"
    return (0.0, 255.0) if is_uint8 else None


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


def _scales_pixels(model: "TransferModel") -> bool:
    """Return whether the preprocessing, or the backbone inside, scales pixels of 0–255."""
    if len(model.image_shape) != 3:
        return False
    layers = [*model.preprocessing._flatten_layers(), *model.backbone._flatten_layers()]
    return any(map(_reads_pixels, layers))


def _reads_pixels(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, ImagePreprocessing):
        return bool(np.max(layer.mean) > 1 or np.max(layer.std) > 1 or layer.pixel_range)
    if isinstance(layer, keras.layers.Rescaling):
        return float(np.abs(layer.scale).max()) < 0.1
    if isinstance(layer, keras.layers.Normalization) and layer.input_mean is not None:
        return float(np.max(layer.input_mean)) > 1
    return False
