"""A layer of the user's own as a head."""

import types
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tl_keras.models.heads import Head, HeadSpec
from tl_keras.models.pooling import GlobalPooling
from tl_keras.utils.compat import mask_of
from tl_keras.utils.errors import InputError

CLOSED = ("softmax", "sigmoid")


@keras.saving.register_keras_serializable("tl_keras")
class LayerHead(keras.layers.Layer):
    """Any Keras layer or model from a backbone's output to logits, as the head of one task.

    Args:
        layer: From `(batch, …, channels)` to logits `(batch, units)`. It is used, not copied.
        units: Number of outputs.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        features: The backbone's output.

    Returns:
        float32 logits `(batch, units)`.

    Raises:
        InputError: If the layer ends in softmax or sigmoid, or gives outputs of another shape.
    """

    heads: Mapping[str, Any] = types.MappingProxyType({})

    def __init__(self, layer: keras.layers.Layer, units: int, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        closing = getattr(_last_of(layer), "activation", None)
        name = getattr(closing, "__name__", None)
        if name in CLOSED:
            raise InputError(
                f"head: {layer.name!r} ends in {name}, expected logits: the model "
                "closes them itself (classifier_activation). Leave the last activation out."
            )
        self.layer = layer
        self.units = int(units)
        self.supports_masking = True
        self.pooling = GlobalPooling(dtype="float32", name="pooling")

    def build(self, input_shape):
        """Build the layer, and check what it gives."""
        if not self.layer.built:
            self.layer.build(input_shape)
        found = tuple(self.layer.compute_output_shape(input_shape))
        if found[1:] != (self.units,):
            raise InputError(
                f"head: {self.layer.name!r} makes outputs of shape {found} of the backbone's "
                f"{tuple(input_shape)}, expected (batch, {self.units}), a logit for each output. "
                "Pool or flatten first, or change num_classes."
            )

    def pool(self, features):
        """Return the average over positions `(batch, channels)`, which is not what it reads."""
        return self.pooling(ops.cast(features, "float32"), mask=mask_of(features))

    def compute_mask(self, inputs, previous_mask=None):
        """Return None: logits have no positions."""
        del inputs, previous_mask

    def embed(self, features, training=None):
        """Return the average over positions."""
        return self.pool(features)

    def call(self, features, training=None):
        """Compute logits; layers inside see `training`, too."""
        return ops.cast(self.layer(features), "float32")

    def compute_output_shape(self, input_shape):
        """Return `(batch, units)`."""
        return (input_shape[0], self.units)

    def get_config(self):
        """Return what `from_config` needs to build the same layer."""
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer, "units": self.units}

    @classmethod
    def from_config(cls, config):
        """Build the layer from `get_config`'s answer, with fresh weights."""
        return cls(**{**config, "layer": keras.saving.deserialize_keras_object(config["layer"])})


def _last_of(layer: keras.layers.Layer) -> keras.layers.Layer:
    inner = getattr(layer, "layers", None)
    return inner[-1] if inner else layer


def make_head(spec: HeadSpec, units: int | None, name: str) -> keras.layers.Layer:
    """Return the layer that a spec describes, or holds."""
    if spec.layer is None:
        return Head(spec, units, name=name)
    if units is None:
        raise InputError("num_classes: a head of your own needs its number of outputs. Pass it.")
    return LayerHead(spec.layer, units, name=name)


def check_own_layer(spec: HeadSpec, units: int | None, key: str) -> None:
    """Raise `InputError` for a layer of the user's own without units, or as one of several heads.

    Args:
        spec: The head.
        units: Number of outputs, or None.
        key: What follows `head` in errors: the task's name in brackets, where there are several.
    """
    if spec.layer is not None and (key or units is None):
        raise InputError(
            f"head{key}: a layer of your own is the head of a single task with num_classes=… given."
            " Name a head of the package, or pass num_classes."
        )
