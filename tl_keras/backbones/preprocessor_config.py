"""Image preprocessing as Hugging Face states it: `preprocessor_config.json`."""

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from tl_keras.inputs.preprocessing import ImagePreprocessing
from tl_keras.utils.errors import InputError, first_line

FILE = "preprocessor_config.json"
_LONGEST_SIDE = 2**16


def read_preprocessor_config(preset: str) -> Mapping[str, Any] | None:
    """Return what the file of a preset says, or None where there is none.

    Args:
        preset: A local directory, or a handle that KerasHub knows, such as `hf://…`.

    Raises:
        InputError: If the file in a directory cannot be read.
    """
    path = os.path.join(preset, FILE)
    if not os.path.isdir(preset):
        return _fetched(preset)
    if not os.path.isfile(path):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"backbone: {path!r} cannot be read: {error}") from error
    if not isinstance(config, Mapping):
        raise InputError(f"backbone: {path!r} holds {type(config).__name__}, not a dict.")
    return config


def _fetched(preset: str) -> Mapping[str, Any] | None:
    try:
        from keras_hub.src.utils.preset_utils import load_json

        return load_json(preset, FILE)
    except Exception:
        return None


@contextlib.contextmanager
def _readable_errors() -> Iterator[None]:
    """Raise `InputError` in place of what values raise that are no numbers, or none to use."""
    try:
        yield
    except InputError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InputError(
            f"backbone: the preset's {FILE} holds values that cannot be used "
            f"({first_line(error)}). Correct it, or remove the file and pass "
            "input_shape= and preprocessing=."
        ) from error


@_readable_errors()
def preprocessing_of(config: Mapping[str, Any] | None) -> ImagePreprocessing | None:
    """Return preprocessing of 0–255 pixels, or None where the config does not determine it.

    Hugging Face computes `(x · rescale_factor − image_mean) / image_std`, without the factor if
    `do_rescale` is false and without the rest if `do_normalize` is; both are true by default, and
    the factor is 1 / 255. Here that is `(x − image_mean / factor) / (image_std / factor)`.
    """
    if not config or not {"image_mean", "do_normalize", "rescale_factor", "do_rescale"} & set(
        config
    ):
        return None
    factor = (
        float(config.get("rescale_factor") or 1 / 255) if config.get("do_rescale", True) else 1.0
    )
    reverse = bool(config.get("do_flip_channel_order", False))
    if not config.get("do_normalize", True):
        return ImagePreprocessing(std=1 / factor, reverse_channels=reverse, name="preprocessing")
    mean, std = config.get("image_mean"), config.get("image_std")
    if mean is None or std is None:
        return None
    std = _scaled(std, factor)
    if 0.0 in (std if isinstance(std, list) else [std]):
        raise ValueError("an image_std of 0")
    return ImagePreprocessing(
        mean=_scaled(mean, factor),
        std=std,
        reverse_channels=reverse,
        name="preprocessing",
    )


def _scaled(values: Any, factor: float) -> float | list[float]:
    several = isinstance(values, (list, tuple))
    scaled = [float(value) / factor for value in (values if several else [values])]
    if not scaled or not all(map(math.isfinite, scaled)):
        raise ValueError(f"{values!r}, divided by {factor}")
    return scaled if several else scaled[0]


@_readable_errors()
def image_size_of(config: Mapping[str, Any] | None) -> tuple[int, int] | None:
    """Return height and width of the images: of the crop where there is one."""
    config = config or {}
    crops = config.get("do_center_crop", False) and "crop_size" in config
    size = config.get("crop_size" if crops else "size")
    if isinstance(size, Mapping):
        side = size.get("shortest_edge")
        height, width = size.get("height", side), size.get("width", side)
    else:
        height, width = size if isinstance(size, (list, tuple)) else (size, size)
    if not (height and width):
        return None
    height, width = int(height), int(width)
    if not (0 < height <= _LONGEST_SIDE and 0 < width <= _LONGEST_SIDE):
        raise ValueError(f"images of {height} × {width} pixels")
    return height, width
