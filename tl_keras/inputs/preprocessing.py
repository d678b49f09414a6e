"""From the pixels of a photograph to a backbone's input, as data that travels with the model."""

import numbers
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tl_keras.utils.arguments import number
from tl_keras.utils.errors import InputError


@keras.saving.register_keras_serializable("tl_keras")
class ImagePreprocessing(keras.layers.Layer):
    """Turns 0–255 RGB pixels into what a backbone was trained on: `(pixels − mean) / std`.

    Every `preprocess_input` of Keras Applications is one setting of these three values, so that a
    model which holds this layer takes raw images in training and in serving alike.

    Args:
        mean: Value subtracted from each channel, in pixel units and in the order that the backbone
            sees; one number for all channels or one per channel.
        std: Value each channel is divided by afterwards, in pixel units; same form.
        reverse_channels: Whether the backbone sees BGR instead of RGB.
        pixel_range: Darkest and brightest value of the images, such as `(0, 4095)` for 12 bits.
            Images are cut off there and brought to 0–255 first, without rounding. None for images
            of 8 bits.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        images: `(batch, height, width, channels)`, uint8 or float, 0–255 or in `pixel_range`.

    Returns:
        The preprocessed images in the layer's compute dtype, same shape; the arithmetic is done
        in float32.
    """

    def __init__(
        self,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        reverse_channels: bool = False,
        pixel_range: tuple[float, float] | None = None,
        **kwargs: Any,
    ):
        super().__init__(trainable=False, autocast=False, **kwargs)
        self.mean = _plain(mean)
        self.std = _plain(std)
        self.reverse_channels = bool(reverse_channels)
        self.pixel_range = check_pixel_range(pixel_range)

    @property
    def is_identity(self) -> bool:
        """Whether pixels pass unchanged because the backbone preprocesses them itself."""
        is_plain = self.mean == 0.0 and self.std == 1.0 and not self.reverse_channels
        return is_plain and self.pixel_range is None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Check that there is a mean and a std for each channel."""
        for name, value in (("mean", self.mean), ("std", self.std)):
            if isinstance(value, list) and len(value) not in (1, input_shape[-1] or len(value)):
                raise InputError(
                    f"preprocessing: its {name} has {len(value)} numbers for images of "
                    f"{input_shape[-1]} channels. Pass preprocessing=tl.preprocessing."
                    f"ImagePreprocessing(mean, std) with one number, or {input_shape[-1]}."
                )

    def call(self, images: Any) -> Any:
        """Preprocess a batch of images."""
        images = to_eight_bits(images, self.pixel_range)
        if self.reverse_channels:
            images = ops.flip(images, axis=-1)
        if not self.is_identity:
            mean = ops.convert_to_tensor(self.mean, "float32")
            std = ops.convert_to_tensor(self.std, "float32")
            images = (images - mean) / std
        return ops.cast(images, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape: preprocessing changes values only."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build the same layer."""
        config = {
            **super().get_config(),
            "mean": self.mean,
            "std": self.std,
            "reverse_channels": self.reverse_channels,
        }
        if self.pixel_range is not None:
            config["pixel_range"] = list(self.pixel_range)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ImagePreprocessing":
        """Build the layer from `get_config`'s answer."""
        config = {key: value for key, value in config.items() if key != "trainable"}
        return cls(**config)


def to_eight_bits(images: Any, pixel_range: tuple[float, float] | None) -> Any:
    """Return images of a range as float32 of 0–255, not rounded; what is outside is cut off.

    Args:
        images: Of any shape, in `pixel_range`.
        pixel_range: Darkest and brightest value; None for images of 0–255, which stay as they are.
    """
    images = ops.cast(images, "float32")
    if pixel_range is None:
        return images
    low, high = pixel_range
    return (ops.clip(images, low, high) - low) * (255.0 / (high - low))


def from_eight_bits(images: Any, pixel_range: tuple[float, float] | None) -> Any:
    """Return float32 images of 0–255 in a range again; nothing is cut off."""
    if pixel_range is None:
        return images
    low, high = pixel_range
    return low + images * ((high - low) / 255.0)


def pixel_range_of(preprocessing: Any, network: Any) -> tuple[float, float] | None:
    """Return darkest and brightest value of the images that two layers take; None for 8 bits.

    Args:
        preprocessing: What stands before the network.
        network: Fused networks have preprocessing of their own, inside.
    """
    own = getattr(preprocessing, "pixel_range", None)
    return own or getattr(network, "pixel_range", None)


def check_pixel_range(pixel_range: Any) -> tuple[float, float] | None:
    """Return a range of pixels as two floats, or None.

    Raises:
        InputError: If it is not two finite numbers, the smaller one first.
    """
    if pixel_range is None:
        return None
    values = list(pixel_range) if isinstance(pixel_range, (tuple, list)) else []
    if len(values) != 2 or not all(isinstance(value, numbers.Real) for value in values):
        raise InputError(
            "pixel_range: expected the darkest and the brightest value of the images, such as "
            f"(0, 4095), got {pixel_range!r}."
        )
    low = number(values[0], "pixel_range[0]")
    return low, number(values[1], "pixel_range[1]", above=low)


def _plain(value):
    if isinstance(value, (int, float)):
        return float(value)
    return [float(channel) for channel in value]


def identity() -> ImagePreprocessing:
    """Return preprocessing for backbones that take 0–255 pixels and normalise them inside."""
    return ImagePreprocessing(name="preprocessing")


def to_minus_one_one() -> ImagePreprocessing:
    """Return `x / 127.5 − 1`: MobileNet, Inception, Xception, NASNet, ResNetV2."""
    return ImagePreprocessing(mean=127.5, std=127.5, name="preprocessing")


def imagenet_standardised() -> ImagePreprocessing:
    """Return standardisation by ImageNet's channel statistics in RGB: DenseNet."""
    return ImagePreprocessing(
        mean=[0.485 * 255, 0.456 * 255, 0.406 * 255],
        std=[0.229 * 255, 0.224 * 255, 0.225 * 255],
        name="preprocessing",
    )


def imagenet_centred_bgr() -> ImagePreprocessing:
    """Return BGR channels less ImageNet's means, not scaled: VGG, ResNet."""
    return ImagePreprocessing(
        mean=[103.939, 116.779, 123.68], reverse_channels=True, name="preprocessing"
    )


def efficientnet_lite() -> ImagePreprocessing:
    """Return `(x − 127) / 128`: EfficientNet-Lite."""
    return ImagePreprocessing(mean=127.0, std=128.0, name="preprocessing")


def unit_range() -> ImagePreprocessing:
    """Return `x / 255`: the convention of TF Hub's image modules."""
    return ImagePreprocessing(std=255.0, name="preprocessing")
