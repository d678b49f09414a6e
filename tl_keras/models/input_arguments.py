"""The arguments of `build_transfer_model` that are about what goes in."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tl_keras.backbones.backbone import Backbone
from tl_keras.backbones.weights import copy_of_layer
from tl_keras.inputs.base import Modality
from tl_keras.inputs.preprocessing import ImagePreprocessing, check_pixel_range
from tl_keras.utils.errors import InputError, warn_user


def preprocessing_of(backbone: Backbone, given: Any, pixel_range: Any) -> keras.layers.Layer:
    """Return the layer in front of a backbone.

    Args:
        backbone: From `resolve_backbone`.
        given: The user's own layer, which is copied, or None for the backbone's.
        pixel_range: Darkest and brightest value of the images, or None.

    Raises:
        InputError: If nothing states how the backbone takes pixels, the layer is none, or the
            range does not go with it.
    """
    _check_preprocessing(given)
    if given is not None:
        preprocessing = copy_of_layer(given)
    else:
        preprocessing = backbone.stated_preprocessing()
        if backbone.is_raw:
            warn_user(
                f"preprocessing: pixels 0–255 reach {backbone.name!r} as they are, and it has no "
                "Rescaling. Pass preprocessing=tl.preprocessing.… as it was trained with, or "
                "identity() if with these."
            )
    return (
        preprocessing if pixel_range is None else _with_range(preprocessing, pixel_range, backbone)
    )


def read_shape(shape: Any, modality: Any) -> tuple[int | None, ...] | None:
    """Return `input_shape` in plain numbers, or else the shape that a given modality has.

    Raises:
        InputError: If it is no shape, or the modality is none.
    """
    if modality is not None and not isinstance(modality, Modality):
        raise InputError(
            "modality: expected what goes in, such as tl.inputs.Features((128,), 'int32'), got "
            f"{modality!r}."
        )
    if shape is None:
        return None if modality is None else modality.shape
    sides = tuple(shape) if isinstance(shape, (Sequence, np.ndarray)) else ()
    fitting = (
        side is None or (isinstance(side, (int, np.integer)) and side >= 1) for side in sides
    )
    if not sides or not all(fitting):
        raise InputError(f"input_shape: expected (height, width, channels), got {shape!r}.")
    return tuple(side if side is None else int(side) for side in sides)


def _check_preprocessing(preprocessing):
    if preprocessing is not None and not isinstance(preprocessing, keras.layers.Layer):
        raise InputError(
            "preprocessing: expected a layer, such as tl.preprocessing.unit_range() or "
            "tl.preprocessing.ImagePreprocessing(mean, std), which is saved with the model, got "
            f"{preprocessing!r}."
        )


def _with_range(preprocessing, pixel_range, backbone):
    pixel_range = check_pixel_range(pixel_range)
    inside = getattr(backbone.network, "pixel_range", None)
    if inside == pixel_range:
        return preprocessing
    if inside is not None:
        raise InputError(
            f"pixel_range: the networks fused in {backbone.name!r} were built with "
            f"pixel_range={inside}, got {pixel_range}. Build them with this range, and fuse them "
            "again."
        )
    if not isinstance(preprocessing, ImagePreprocessing):
        raise InputError(
            "pixel_range: it goes with the backbone's own preprocessing or a "
            f"tl.preprocessing.ImagePreprocessing, got preprocessing={preprocessing.name!r}. Leave "
            "one of them out."
        )
    config = {**preprocessing.get_config(), "pixel_range": pixel_range}
    return ImagePreprocessing.from_config(config)
