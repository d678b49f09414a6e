"""Data to train on and to evaluate: image folders, arrays and `tf.data.Dataset`."""

from tl_keras.arrays import stack_domains
from tl_keras.data.decoding import decode_and_resize, decode_batch, decode_image, resize_image
from tl_keras.data.examples import Examples, as_examples
from tl_keras.data.image_files import ImageFolder
from tl_keras.data.image_folder import image_folder
from tl_keras.data.inspection import Problem
from tl_keras.data.rows import Epochs, Part

__all__ = [
    "Epochs",
    "Examples",
    "ImageFolder",
    "Part",
    "Problem",
    "as_examples",
    "decode_and_resize",
    "decode_batch",
    "decode_image",
    "image_folder",
    "resize_image",
    "stack_domains",
]
