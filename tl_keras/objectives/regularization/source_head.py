"""The classifier of the task that a backbone was pretrained for, beside the new head."""

from typing import Any

import keras
import tensorflow as tf

from tl_keras.utils.errors import InputError


def check_source_head(source_head: Any) -> None:
    """Raise `InputError` unless it is a layer with weights."""
    if not isinstance(source_head, keras.layers.Layer) or not source_head.weights:
        raise InputError(
            "source_head: expected the trained layer from pooled features to the source task's "
            "logits, such as keras.applications.ResNet50().get_layer('predictions'), got "
            f"{source_head!r}."
        )


def copy_of_head(source_head: keras.layers.Layer, channels: int, name: str) -> keras.layers.Layer:
    """Return a layer with the same weights, which gives logits.

    Args:
        source_head: From pooled features `(b, channels)` to logits. The activation of a Dense
            layer is left out; anything else must not end in one.
        channels: Of the backbone.
        name: Of the copy.

    Raises:
        InputError: If it reads another number of channels.
    """
    config = {**source_head.get_config(), "name": name}
    if isinstance(source_head, keras.layers.Dense):
        config["activation"] = "linear"
    copy = type(source_head).from_config(config)
    try:
        if not copy.built:
            copy.build((None, channels))
        copy.set_weights(source_head.get_weights())
        copy(tf.zeros((1, channels)))
    except ValueError as error:
        raise InputError(
            f"source_head: it does not read the backbone's {channels} channels: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return copy


def averaged(feature_map):
    """Return the average over positions, float32 `(b, channels)`; vectors pass through."""
    positions = list(range(1, feature_map.shape.rank - 1))
    feature_map = tf.cast(feature_map, tf.float32)
    return tf.reduce_mean(feature_map, axis=positions) if positions else feature_map
