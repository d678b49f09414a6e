"""Which modality a network or a saved model takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tl_keras.inputs.base import Modality
from tl_keras.inputs.features import Features
from tl_keras.inputs.images import Images


def modality_of_shape(shape: Sequence[int | None], dtype: str = "float32") -> Modality:
    """Return images for three axes of floats or bytes, and features for everything else."""
    are_images = len(shape) == 3 and (dtype == "uint8" or "float" in dtype)
    return Images(shape) if are_images else Features(shape, dtype)


def modality_of_config(config: dict[str, Any], custom_objects: Mapping | None = None) -> Modality:
    """Take the modality out of a model's configuration, of which older ones have a shape only."""
    if "image_shape" in config:
        return modality_of_shape(tuple(config.pop("image_shape")))
    return keras.saving.deserialize_keras_object(config.pop("modality"), custom_objects)
