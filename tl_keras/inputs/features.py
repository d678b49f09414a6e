"""Features: numbers of any shape, which reach the network as they are."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tl_keras.inputs import preprocessing
from tl_keras.inputs.base import Modality


@keras.saving.register_keras_serializable("tl_keras")
class Features(Modality):
    """Vectors, sequences or maps of numbers; integers stay integers.

    Args:
        shape: Of one example, without the batch axis; None for a side of any length.
        dtype: Name of the type that the network takes, such as `"float32"` or `"int32"`.
    """

    singular: ClassVar[str] = "array of features"
    plural: ClassVar[str] = "arrays of features"

    def __init__(self, shape: Sequence[int | None], dtype: str = "float32"):
        self._shape = tuple(shape)
        self._dtype = tf.as_dtype(dtype)

    @property
    def spec(self) -> tf.TensorSpec:
        """Shape and type of one example."""
        return tf.TensorSpec(self._shape, self._dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the shape and the type."""
        return {"shape": list(self._shape), "dtype": self._dtype.name}

    def described(self) -> dict[str, Any]:
        """Return the shape, under the key that it always had where the type is float32."""
        if self._dtype == tf.float32:
            return {"image_shape": self._shape}
        return super().described()

    def preprocessing(self) -> keras.layers.Layer:
        """Return a layer that changes nothing; floats get the type that the network computes in."""
        return preprocessing.identity() if self._dtype.is_floating else super().preprocessing()
