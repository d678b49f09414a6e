"""What goes into a model: modalities, preprocessing, decoding, checks of shapes and ranges."""

from tl_keras.inputs.base import Modality
from tl_keras.inputs.features import Features
from tl_keras.inputs.images import Images
from tl_keras.inputs.several import Several

__all__ = ["Features", "Images", "Modality", "Several"]
