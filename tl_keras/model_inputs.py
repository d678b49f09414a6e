"""What is checked about examples before they reach a model: shape and range."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tl_keras.data.base import Examples
from tl_keras.errors import InputError
from tl_keras.image_batches import shape_remedy
from tl_keras.preprocessing import ImagePreprocessing

if TYPE_CHECKING:
    from tl_keras.transfer_model import TransferModel

LARGEST_OF_CENTRED = 200
"""Centred images end below this, and resized photographs, which undershoot 0, above."""


def check_examples(model: "TransferModel", examples: Examples, argument: str) -> None:
    """Raise `InputError` unless the examples have the shape that the model takes."""
    shape = examples.batches(None, 1).element_spec.shape[1:]
    if not shape.is_compatible_with(model.image_shape):
        raise InputError(
            f"{argument}: the model takes inputs of shape {model.image_shape}, got "
            f"{tuple(shape)}. {shape_remedy(tuple(shape), model.image_shape)}"
        )


def warn_of_scaled_images(model: "TransferModel", data: Mapping[str, Any]) -> None:
    """Warn once where a model that scales pixels itself gets images that were scaled before.

    Args:
        model: Takes the images.
        data: Argument → `DomainExamples`, or None.
    """
    if not _scales_pixels(model):
        return
    for argument, domains in data.items():
        for name, examples in (domains or {}).items():
            found = examples.value_range
            if found is not None and _is_scaled(*found):
                where = f"{argument}[{name!r}]" if domains.only is None else argument
                warnings.warn(
                    f"{where}: the model takes images of 0–255 and scales them itself, and all "
                    f"values are in {found[0]:.3g} … {found[1]:.3g}. Pass the images unscaled: "
                    "without division by 255 and without preprocess_input.",
                    stacklevel=3,
                )
                return


def _is_scaled(low: float, high: float) -> bool:
    """Return whether a range is none of pixels; images that are all black say nothing."""
    return 0 < high <= 1 or (low < 0 and high < LARGEST_OF_CENTRED)


def _scales_pixels(model: "TransferModel") -> bool:
    """Return whether the preprocessing, or the backbone inside, scales pixels of 0–255."""
    if len(model.image_shape) != 3:
        return False
    layers = [*model.preprocessing._flatten_layers(), *model.backbone._flatten_layers()]
    return any(map(_reads_pixels, layers))


def _reads_pixels(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, ImagePreprocessing):
        return bool(np.max(layer.mean) > 1 or np.max(layer.std) > 1)
    if isinstance(layer, keras.layers.Rescaling):
        return float(np.abs(layer.scale).max()) < 0.1
    if isinstance(layer, keras.layers.Normalization) and layer.input_mean is not None:
        return float(np.max(layer.input_mean)) > 1
    return False
