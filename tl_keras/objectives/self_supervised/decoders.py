"""Decoders: from the features of an image back to its pixels."""

import math
from collections.abc import Sequence

import keras

from tl_keras.utils.arguments import hidden_units, is_whole
from tl_keras.utils.errors import InputError, counted


def build_decoder(
    feature_shape: tuple[int | None, ...],
    output_shape: tuple[int, int, int],
    *,
    filters: Sequence[int] | None = None,
    seed: int = 0,
    name: str = "decoder",
) -> keras.Model:
    """Return a convolutional network from features to an image.

    Nearest-neighbour upsampling by 2 and a 3×3 convolution follow each other until the image's
    size is reached; what sticks out is cropped. Upsampling leaves none of the checkerboards of
    transposed convolutions.

    Args:
        feature_shape: `(height, width, channels)` or `(channels,)`.
        output_shape: `(height, width, channels)`.
        filters: Channels after each doubling, from the features to the image. By default they
            halve, from at most 256 down to at least 16.
        seed: Seed of the initial weights.
        name: Name of the network; its layers' names begin with it.

    Returns:
        A built network in float32 from `(batch, *feature_shape)` to images `(batch, *output_shape)`
        in 0 … 1.

    Raises:
        InputError: If a shape has another form, features are larger than the image, or there are
            too few or too many filters.
    """
    _check_output_shape(output_shape)
    filters = None if filters is None else hidden_units(filters, "filters")
    height, width, channels = output_shape
    start = _start(feature_shape, output_shape, filters)
    doublings = max(_doublings(start[0], height), _doublings(start[1], width))
    filters = _checked_filters(filters, start[2], doublings)
    inputs = x = keras.Input(feature_shape, dtype="float32", name=f"{name}_features")
    if len(feature_shape) == 1:
        x = _layer(keras.layers.Dense, math.prod(start), seed, f"{name}_dense")(x)
        x = keras.layers.Reshape(start, dtype="float32", name=f"{name}_reshape")(x)
    for index, count in enumerate(filters):
        x = keras.layers.UpSampling2D(dtype="float32", name=f"{name}_up{index}")(x)
        x = _convolution(count, "relu", seed + 1 + index, f"{name}_conv{index}")(x)
    crop = start[0] * 2**doublings - height, start[1] * 2**doublings - width
    if any(crop):
        sides = tuple((size // 2, size - size // 2) for size in crop)
        x = keras.layers.Cropping2D(sides, dtype="float32", name=f"{name}_crop")(x)
    x = _convolution(channels, "sigmoid", seed + 1 + doublings, f"{name}_image")(x)
    return keras.Model(inputs, x, name=name)


def _start(feature_shape, output_shape, filters) -> tuple[int, int, int]:
    """Return the shape of the smallest map of the decoder."""
    if not isinstance(feature_shape, (tuple, list)):
        raise _no_features(feature_shape)
    if len(feature_shape) == 1:
        count = 3 if filters is None else len(filters)
        sides = tuple(-(-side // 2**count) for side in output_shape[:2])
        return (*sides, filters[0] if filters else 64)
    if len(feature_shape) != 3 or None in feature_shape:
        raise _no_features(tuple(feature_shape))
    if feature_shape[0] > output_shape[0] or feature_shape[1] > output_shape[1]:
        raise InputError(
            f"model: the feature map {tuple(feature_shape)} is larger than the image "
            f"{tuple(output_shape)}, and there is nothing to decode."
        )
    return tuple(feature_shape)


def _check_output_shape(shape) -> None:
    sides = shape if isinstance(shape, (tuple, list)) else ()
    whole = [is_whole(side) and side > 0 for side in sides]
    if len(sides) != 3 or not all(whole):
        raise InputError(
            f"output_shape: expected (height, width, channels) in whole numbers, got {shape!r}."
        )


def _no_features(found) -> InputError:
    return InputError(
        "model: a decoder needs a feature map (height, width, channels) of known size or "
        f"vectors (channels,), but the backbone gives {found}."
    )


def _doublings(small: int, large: int) -> int:
    return math.ceil(math.log2(large / small))


def _checked_filters(filters, channels: int, doublings: int) -> list[int]:
    if filters is None:
        first = min(channels, 256)
        return [max(16, first >> (index + 1)) for index in range(doublings)]
    if len(filters) != doublings:
        raise InputError(
            f"filters: the decoder doubles the size {counted(doublings, 'time')} and needs as "
            f"many numbers of channels, got {list(filters)}. Leave filters out for a default."
        )
    return list(filters)


def _convolution(filters: int, activation: str, seed: int, name: str) -> keras.layers.Layer:
    return _layer(
        keras.layers.Conv2D,
        filters,
        seed,
        name,
        activation=activation,
        kernel_size=3,
        padding="same",
    )


def _layer(kind, units, seed, name, activation="relu", **arguments) -> keras.layers.Layer:
    return kind(
        units,
        activation=activation,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed % 2**31),
        dtype="float32",
        name=name,
        **arguments,
    )
