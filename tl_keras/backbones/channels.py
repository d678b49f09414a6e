"""Backbones of three channels for images with another number of them."""

from collections.abc import Callable

import keras
import numpy as np

from tl_keras.backbones.weights import finalize_normalization
from tl_keras.inputs.preprocessing import ImagePreprocessing
from tl_keras.utils.errors import InputError


def preprocessing_for(layer: ImagePreprocessing, channels: int) -> ImagePreprocessing:
    """Return preprocessing by statistics of red, green and blue for any number of channels.

    One channel has the mean of the three statistics; several have them in turn, in the order of the
    images: red, green, blue, red, ….
    """
    if channels == 3:
        return layer
    config = layer.get_config()
    config["reverse_channels"] = False
    for name in ("mean", "std"):
        config[name] = _for_channels(config[name], channels, layer.reverse_channels)
    return ImagePreprocessing.from_config(config)


def _for_channels(value, channels: int, reverse: bool):
    if not isinstance(value, list):
        return value
    value = value[::-1] if reverse else value
    if channels == 1:
        return float(np.mean(value))
    return [value[index % 3] for index in range(channels)]


def stem_kernel(kernel: np.ndarray, channels: int, *, reverse: bool = False) -> np.ndarray:
    """Return the kernel of a first convolution for another number of channels.

    For one channel the sum over the three, which is what a gray image in three equal channels
    gives; for several the three in turn, times `3 / channels`, so that outputs keep their size. So
    does Wightman: *PyTorch Image Models*, 2019.

    Args:
        kernel: `(height, width, 3, filters)`.
        channels: Number of channels, ≥ 1.
        reverse: Whether the kernel's channels are blue, green, red.

    Returns:
        `(height, width, channels, filters)`, for images in the order red, green, blue, ….
    """
    kernel = kernel[:, :, ::-1] if reverse else kernel
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    return kernel[:, :, [index % 3 for index in range(channels)]] * (3 / channels)


def copy_with_stem(source: keras.Model, network: keras.Model, *, reverse: bool) -> None:
    """Set all weights from the same network for three channels, the stem's by `stem_kernel`.

    Args:
        source: Takes three channels.
        network: Takes another number of them.
        reverse: Whether the source sees blue, green, red.

    Raises:
        InputError: If they differ in more than one convolution.
    """
    channels = network.input_shape[-1]
    values = [weight.numpy() for weight in source.weights]
    shapes = [tuple(weight.shape) for weight in network.weights]
    differing = [i for i, value in enumerate(values) if shapes[i : i + 1] != [value.shape]]
    if len(values) != len(shapes) or len(differing) != 1 or values[differing[0]].ndim != 4:
        raise InputError(
            f"input_shape: the weights of {network.name!r} take 3 channels, got {channels}, and "
            "more than its first convolution depends on them. Use images of 3 channels (repeat a "
            "gray one three times), or weights=None."
        )
    (stem,) = differing
    values[stem] = stem_kernel(values[stem], channels, reverse=reverse)
    network.set_weights(values)
    finalize_normalization(network)


def build_for_channels(
    build: Callable[[str | None, tuple], keras.Model],
    weights: str | None,
    shape: tuple[int | None, ...],
    *,
    reverse: bool = False,
) -> keras.Model:
    """Build a network, with weights of three channels also where images have another number.

    Args:
        build: Function of weights and image shape to the network.
        weights: `"imagenet"`, None, or the path of a weights file for this or three channels.
        shape: `(height, width, channels)`.
        reverse: Whether the weights are for blue, green, red.
    """
    if weights is None or shape[-1] == 3:
        return build(weights, shape)
    if weights != "imagenet":
        try:
            return build(weights, shape)
        except InputError:
            pass  # They may be for three channels.
    source, network = build(weights, (*shape[:2], 3)), build(None, shape)
    copy_with_stem(source, network, reverse=reverse)
    return network
