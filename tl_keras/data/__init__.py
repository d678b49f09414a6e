"""Data to train on and to evaluate: image files, arrays and `tf.data.Dataset`."""

import importlib
from typing import TYPE_CHECKING, Any

from tl_keras.arrays import stack_domains

if TYPE_CHECKING:
    from tl_keras.data.examples import Examples, as_examples
    from tl_keras.data.files.folders import image_folder
    from tl_keras.data.files.image_files import ImageFolder
    from tl_keras.data.files.image_tables import image_table
    from tl_keras.data.files.table_examples import ImageTable
    from tl_keras.data.rows import Epochs, Part
    from tl_keras.inputs.decoding.images import (
        decode_and_resize,
        decode_batch,
        decode_image,
        resize_image,
    )
    from tl_keras.inputs.decoding.problems import Problem

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
    "Epochs": "data.rows",
    "Examples": "data.examples",
    "ImageFolder": "data.files.image_files",
    "ImageTable": "data.files.table_examples",
    "Part": "data.rows",
    "Problem": "inputs.decoding.problems",
    "as_examples": "data.examples",
    "decode_and_resize": "inputs.decoding.images",
    "decode_batch": "inputs.decoding.images",
    "decode_image": "inputs.decoding.images",
    "image_folder": "data.files.folders",
    "image_table": "data.files.image_tables",
    "resize_image": "inputs.decoding.images",
}


if not TYPE_CHECKING:  # Type checkers know the names, and find misspelt ones.

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used: arrays need no TensorFlow."""
        if name not in _NAMES:
            raise AttributeError(f"module 'tl_keras.data' has no attribute {name!r}")
        value = getattr(importlib.import_module(f"tl_keras.{_NAMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*globals(), *__all__})
