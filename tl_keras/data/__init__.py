"""Data to train on and to evaluate: image files, arrays and `tf.data.Dataset`."""

import importlib
from typing import TYPE_CHECKING

from tl_keras.arrays import stack_domains

if TYPE_CHECKING:
    from tl_keras.data.decoding import decode_and_resize, decode_batch, decode_image, resize_image
    from tl_keras.data.examples import Examples, as_examples
    from tl_keras.data.folders import image_folder
    from tl_keras.data.image_files import ImageFolder
    from tl_keras.data.image_tables import image_table
    from tl_keras.data.problems import Problem
    from tl_keras.data.rows import Epochs, Part
    from tl_keras.data.table_examples import ImageTable

__all__ = [
    "Epochs",
    "Examples",
    "ImageFolder",
    "ImageTable",
    "Part",
    "Problem",
    "as_examples",
    "decode_and_resize",
    "decode_batch",
    "decode_image",
    "image_folder",
    "image_table",
    "resize_image",
    "stack_domains",
]
_NAMES = {
    "Epochs": "rows",
    "Examples": "examples",
    "ImageFolder": "image_files",
    "ImageTable": "table_examples",
    "Part": "rows",
    "Problem": "problems",
    "as_examples": "examples",
    "decode_and_resize": "decoding",
    "decode_batch": "decoding",
    "decode_image": "decoding",
    "image_folder": "folders",
    "image_table": "image_tables",
    "resize_image": "decoding",
}


def __getattr__(name: str):
    """Import a public name when it is first used: arrays need no TensorFlow."""
    if name not in _NAMES:
        raise AttributeError(f"module 'tl_keras.data' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tl_keras.data.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*globals(), *__all__})
