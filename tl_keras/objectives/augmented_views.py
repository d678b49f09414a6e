"""Augmentation of the views that objectives ask for: defaults, and what is checked."""

from typing import Any

import keras

from tl_keras.data.augmentation.augment import LABEL_MIXING, resolve_augmentation
from tl_keras.data.augmentation.checks import check_augmentation
from tl_keras.inputs.base import shapes
from tl_keras.objectives.objective import Setup
from tl_keras.utils.errors import InputError

Layers = tuple[keras.layers.Layer, ...]

# Half precision, which a global policy may ask for, is too coarse for 0–255.
PIXELS = {"dtype": "float32"}
MOVING = {"fill_mode": "nearest", **PIXELS}


def contrastive_layers(channels: int) -> Layers:
    """Return crops, brightness and contrast, and for colour images colour jitter and grey.

    There are no flips: letters, digits and signs are not the same from the other side.
    """
    layers = keras.layers
    crop = (
        layers.RandomZoom((-0.5, 0.1), **MOVING),
        layers.RandomTranslation(0.15, 0.15, **MOVING),
        layers.RandomRotation(0.04, **MOVING),
    )
    light = (layers.RandomBrightness(0.2, **PIXELS), layers.RandomContrast(0.4, **PIXELS))
    if channels != 3:
        return (*crop, *light)
    colour = (layers.RandomSaturation(0.6, **PIXELS), layers.RandomGrayscale(0.2, **PIXELS))
    return (*crop, *light, *colour)


def strong_layers(channels: int) -> Layers:
    """Return strong changes that leave the class: moved, turned, darker, in part erased."""
    layers = keras.layers
    moved = (
        layers.RandomZoom((-0.2, 0.2), **MOVING),
        layers.RandomTranslation(0.15, 0.15, **MOVING),
        layers.RandomRotation(0.06, **MOVING),
        layers.RandomShear(0.2, 0.2, **MOVING),
    )
    light = (layers.RandomBrightness(0.3, **PIXELS), layers.RandomContrast(0.5, **PIXELS))
    colour = (layers.RandomSaturation(0.7, **PIXELS),) if channels == 3 else ()
    return (*moved, *light, *colour, layers.RandomErasing(scale=(0.02, 0.15), **PIXELS))


def resolve_view(augmentation: Any, argument: str) -> Layers | None:
    """Return an augmentation argument as layers; None stays None.

    Raises:
        InputError: If it holds something that is no layer, or one that mixes labels.
    """
    if augmentation is None:
        return None
    layers = resolve_augmentation(augmentation)
    for layer in layers:
        if isinstance(layer, LABEL_MIXING):
            raise InputError(
                f"{argument}: {type(layer).__name__} mixes the labels of images, and a view has "
                "none. Leave it out here."
            )
    return layers


def checked_view(layers: Layers, setup: Setup) -> Layers:
    """Return the layers of a view, having tried them on images of the model's shape.

    Raises:
        InputError: If the model does not take images, or a layer cannot be used.
    """
    require_images(setup, "a view")
    check_augmentation(layers, setup.model.modality.shape, None)
    return layers


def require_images(setup: Setup, what: str) -> None:
    """Raise `InputError` unless the model takes images of one size."""
    if not setup.model.modality.are_images:
        raise InputError(
            f"model: {what} needs images (height, width, channels) of one size, but the model "
            f"takes inputs of shape {shapes(setup.model.modality.spec)}. Build it with "
            "input_shape=(height, width, channels)."
        )
