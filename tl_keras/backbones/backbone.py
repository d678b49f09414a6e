"""What every kind of backbone is to the rest of the library."""

import dataclasses

import keras

from tl_keras.preprocessing import ImagePreprocessing


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A pretrained network from preprocessed input to features, and how to feed it.

    Attributes:
        name: What errors, tables and run directories call it.
        network: Keras model or layer from `(batch, *input_shape)` to features
            `(batch, height, width, channels)`, `(batch, tokens, channels)` or `(batch, channels)`.
        preprocessing: From 0–255 images to the network's input.
        input_shape: `(height, width, channels)` of the images, or the network's own input shape.
    """

    name: str
    network: keras.layers.Layer
    preprocessing: ImagePreprocessing
    input_shape: tuple[int | None, ...]
