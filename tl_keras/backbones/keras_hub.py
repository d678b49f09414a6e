"""Backbones out of KerasHub presets."""

from tl_keras.backbones.backbone import Backbone
from tl_keras.backbones.preprocessor_config import (
    image_size_of,
    preprocessing_of,
    read_preprocessor_config,
)
from tl_keras.inputs import preprocessing
from tl_keras.utils.errors import InputError

PREFIX = "keras_hub:"


def keras_hub_backbone(
    spec: str, *, weights: str | None, input_shape: tuple[int | None, ...] | None
) -> Backbone:
    """Build an image backbone from `keras_hub:PRESET`.

    The preset's image converter says how its pixels were scaled, or, in a directory or repository
    of Hugging Face, `preprocessor_config.json`; that scaling becomes the preprocessing layer.

    Args:
        spec: `keras_hub:` and a preset's name, handle or directory.
        weights: `"imagenet"` for the preset's weights, None for random ones.
        input_shape: `(height, width, channels)`, or None for the size stated there, else 224.

    Returns:
        The backbone; its preprocessing is None where nothing states it.

    Raises:
        InputError: If KerasHub is not installed, the preset cannot be loaded, or it is not an
            image backbone.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise InputError(
            f'backbone: {spec!r} needs KerasHub. Install it with: pip install "tl_keras[keras-hub]"'
        ) from error
    preset = spec.removeprefix(PREFIX)
    try:
        network = keras_hub.models.Backbone.from_preset(preset, load_weights=weights is not None)
    except Exception as error:
        raise InputError(
            f"backbone: KerasHub could not load the preset {preset!r}: {str(error).splitlines()[0]}"
        ) from error
    own = network.input_shape
    if not isinstance(own, tuple) or len(own) != 4:
        raise InputError(
            f"backbone: the KerasHub preset {preset!r} takes {own}, not images. Only image "
            "backbones are supported."
        )
    converter = _image_converter(keras_hub, preset)
    config = read_preprocessor_config(preset) if converter is None else None
    if input_shape is None:
        size = getattr(converter, "image_size", None) or image_size_of(config) or (224, 224)
        input_shape = tuple(o or s for o, s in zip(own[1:], (*size, 3), strict=True))
    if own[-1] not in (None, input_shape[-1]):
        raise InputError(
            f"input_shape: the KerasHub preset {preset!r} takes {own[-1]} channels, got "
            f"{tuple(input_shape)}. Use input_shape={(*input_shape[:-1], own[-1])}, or a backbone "
            "of Keras Applications, whose weights are adapted to any number of channels."
        )
    scaling = preprocessing_of(config) if converter is None else _converted(converter)
    return Backbone(preset, network, scaling, tuple(input_shape))


def _image_converter(keras_hub, preset: str):
    try:
        return keras_hub.layers.ImageConverter.from_preset(preset)
    except Exception:
        return None


def _converted(converter) -> preprocessing.ImagePreprocessing:
    """Return `x · scale + offset` of a KerasHub converter as `(x − mean) / std`."""
    if converter.scale is None and converter.offset is None:
        return preprocessing.identity()
    scale = _as_list(1.0 if converter.scale is None else converter.scale)
    offset = _as_list(0.0 if converter.offset is None else converter.offset)
    width = max(len(scale), len(offset))
    scale, offset = scale * (width // len(scale)), offset * (width // len(offset))
    return preprocessing.ImagePreprocessing(
        mean=[-o / s for s, o in zip(scale, offset, strict=True)],
        std=[1.0 / s for s in scale],
        name="preprocessing",
    )


def _as_list(value) -> list[float]:
    return [float(v) for v in value] if isinstance(value, (list, tuple)) else [float(value)]
