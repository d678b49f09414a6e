"""Augmentation of training batches: a pure function of a batch and a seed.

Keras' layers draw from `SeedGenerator`s that count their calls, so that a picture depends on how
many pictures came before it. Here every generator starts each batch from a state made from the
batch's seed: a resumed run sees the pictures that it would have seen, whatever the number of
threads, and no variable changes.
"""

from typing import Any

import keras
import tensorflow as tf

from tl_keras.data.augmentation.aug_mix import aug_mix
from tl_keras.data.augmentation.random_states import folded, random_states, reseeded
from tl_keras.inputs.preprocessing import from_eight_bits, to_eight_bits
from tl_keras.utils.errors import InputError
from tl_keras.utils.errors import describe as describe_value

LABEL_MIXING = (keras.layers.MixUp, keras.layers.CutMix)
_WRAPPERS = (keras.Sequential, keras.layers.Pipeline)
# Epochs count from 0: −1 keeps these random numbers apart from those of the order of examples.
_STREAM = -1


def resolve_augmentation(augmentation: Any) -> tuple[keras.layers.Layer, ...]:
    """Return the layers that an `augmentation` argument stands for, in the order they apply.

    Args:
        augmentation: None, a Keras layer or a sequence of Keras layers. The layers inside of
            `keras.Sequential` and `keras.layers.Pipeline` are taken one by one.

    Returns:
        The layers themselves, not copies; empty for None.

    Raises:
        InputError: If something is no layer, or has weights to train.

    Example:
        >>> layers = keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomZoom(0.1)])
        >>> [type(layer).__name__ for layer in resolve_augmentation(layers)]
        ['RandomFlip', 'RandomZoom']
    """
    if augmentation is None:
        return ()
    if isinstance(augmentation, _WRAPPERS):
        return resolve_augmentation(list(augmentation.layers))
    if isinstance(augmentation, (list, tuple)):
        return tuple(layer for item in augmentation for layer in resolve_augmentation(item))
    if isinstance(augmentation, keras.layers.Layer):
        require_nothing_to_train(augmentation)
        return (augmentation,)
    expected = (
        "augmentation: expected None, a Keras layer or a sequence of them, such as "
        "[keras.layers.RandomFlip('horizontal'), keras.layers.MixUp()]"
    )
    if isinstance(augmentation, type):
        raise InputError(
            f"{expected}, got the class {augmentation.__name__}. Make a layer of it: "
            f"{augmentation.__name__}(…)."
        )
    remedy = " Put a function into a subclass of keras.layers.Layer." * callable(augmentation)
    raise InputError(f"{expected}, got {describe_value(augmentation)}.{remedy}")


def require_nothing_to_train(layer: keras.layers.Layer) -> None:
    """Raise `InputError` where a layer has trainable weights, which augmentation leaves alone."""
    if layer.trainable_weights:
        count = len(layer.trainable_weights)
        raise InputError(
            f"augmentation: {type(layer).__name__} {layer.name!r} has {count} trainable weights, "
            "but augmentation runs in the input pipeline, where nothing trains. Put the layer "
            "into the model, or set its trainable to False."
        )


def batch_seed(seed: int, epoch: Any, batch: Any, part: Any = 0) -> tf.Tensor:
    """Return the seed of one batch of a run.

    Args:
        seed: Seed of the run.
        epoch: Number of the epoch, from 0 over the whole run; an integer or scalar tensor.
        batch: Number of the batch in its epoch, likewise.
        part: Number of the replica whose share of the batch it is, likewise.

    Returns:
        int64 `(2,)`.
    """
    pair = tf.constant([seed, _STREAM], tf.int64)
    for number in (epoch, batch, part):
        pair = folded(pair, number)
    return pair


@tf.autograph.experimental.do_not_convert
def augment(
    layers: tuple[keras.layers.Layer, ...],
    x: Any,
    y: Any,
    seed: tf.Tensor,
    pixel_range: tuple[float, float] | None = None,
) -> tuple[tf.Tensor, Any]:
    """Augment a batch, as a function of the arguments and nothing else.

    The same arguments give bit-equal results, eagerly and in `tf.data`, in any number of threads
    and with other layers of the same configuration; the layers' own `seed` plays no part. Within
    the batch, every image is augmented by itself where Keras' layer does so. The layers see images
    of 0–255, whatever range they have outside.

    Args:
        layers: From `resolve_augmentation`; `MixUp` and `CutMix` mix the targets too.
        x: Images `(b, h, w, c)`, 0–255 or in `pixel_range`; `b` may be 0.
        y: Targets `(b, size)` as `TargetSpec.encode` gives them; anything if no layer mixes.
        seed: Integers `(2,)`, such as `batch_seed` gives.
        pixel_range: Darkest and brightest value of the images as their model takes them. Where
            there are layers, what is outside is cut off, as the model would do.

    Returns:
        Images float32 `(b, h, w, c)` in the range that they came in, and the targets. An empty
        batch stays empty.

    Raises:
        InputError: If a layer changes variables other than its own random state.
    """
    count = tf.shape(x)[0]
    x = _never_empty(tf.cast(x, tf.float32), count)
    if layers:
        x = to_eight_bits(x, pixel_range)
    for position, layer in enumerate(layers):
        own_seed = folded(tf.cast(seed, tf.int64), position)
        x, y = _apply(layer, x, y, own_seed, count)
        x = tf.cast(x, tf.float32)
    if layers:
        x = from_eight_bits(x, pixel_range)
    return x[:count], y


def describe(layers: tuple[keras.layers.Layer, ...]) -> list[dict[str, Any]]:
    """Return the layers as data that can be written as JSON: equal for equal augmentation.

    Keras' automatic names, random seeds and notes on building are left out, because they differ
    between processes and change nothing here.
    """
    described = []
    for layer in layers:
        data = dict(keras.saving.serialize_keras_object(layer))
        data.pop("build_config", None)
        data["config"] = {
            key: value for key, value in data["config"].items() if key not in ("name", "seed")
        }
        described.append(data)
    return described


def _apply(layer, x, y, seed, count):
    if isinstance(layer, keras.layers.AugMix):
        return aug_mix(layer, x, seed), y
    mixes = isinstance(layer, LABEL_MIXING)
    with reseeded(layer, random_states(layer, seed)):
        if not mixes:
            return layer(x, training=True), y
        mixed = layer({"images": x, "labels": _never_empty(y, count)}, training=True)
    labels = tf.cast(mixed["labels"], y.dtype)
    return mixed["images"], tf.ensure_shape(labels[:count], y.shape)


def _never_empty(tensor: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Append a row of zeros to an empty batch, on which some of Keras' layers fail."""
    missing = tf.maximum(1 - count, 0)
    rows = tf.zeros(tf.concat([[missing], tf.shape(tensor)[1:]], axis=0), tensor.dtype)
    filled = tf.concat([tensor, rows], axis=0)
    return tf.ensure_shape(filled, [None, *tensor.shape[1:]])
