"""What every kind of backbone is to the rest of the library."""

import dataclasses

import keras

from tl_keras.inputs.base import Modality
from tl_keras.inputs.preprocessing import ImagePreprocessing
from tl_keras.utils.errors import InputError


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A pretrained network from preprocessed input to features, and how to feed it.

    Attributes:
        name: What errors, tables and run directories call it.
        network: Keras model or layer from `(batch, *input_shape)` to features
            `(batch, height, width, channels)`, `(batch, tokens, channels)` or `(batch, channels)`.
        preprocessing: From 0–255 images to the network's input; None where nothing states it.
        input_shape: `(height, width, channels)` of the images, or the network's own input shape.
        is_raw: Whether nothing in a network of the user's own seems to scale pixels.
        modality: What the network takes; None for images of the `input_shape`.
    """

    name: str
    network: keras.layers.Layer
    preprocessing: ImagePreprocessing | None
    input_shape: tuple[int | None, ...]
    is_raw: bool = False
    modality: Modality | None = None

    def stated_preprocessing(self) -> ImagePreprocessing:
        """Return the preprocessing.

        Raises:
            InputError: If nothing states it.
        """
        if self.preprocessing is None:
            raise InputError(
                f"preprocessing: nothing states how {self.name!r} takes pixels: it has no image "
                "converter and no preprocessor_config.json. Pass preprocessing=…, such as "
                "tl.preprocessing.imagenet_standardised(), to_minus_one_one(), or identity() for "
                "a network that takes 0–255."
            )
        return self.preprocessing
