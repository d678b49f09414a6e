"""How images of one shape become images of another, in words."""

from typing import Any

import tensorflow as tf


def shape_remedy(shape: tuple[int | None, ...], image_shape: tuple[int | None, ...]) -> str:
    """Say how images of one shape become images of the shape that a model takes.

    Args:
        shape: Shape of one image that came.
        image_shape: Shape of one image that the model takes, of another shape.
    """
    if len(image_shape) != 3:
        return f"Build the model with inputs of shape {shape}, or pass what it takes."
    *size, channels = image_shape
    steps = []
    if len(shape) == 3 and shape[-1] not in (1, 3, 4, channels) and shape[0] in (1, 3, 4):
        steps.append("move the channels to the end: x = np.moveaxis(x, 1, -1)")
        shape = (*shape[1:], shape[0])
    elif len(shape) == 2 or (len(shape) == 3 and _fits(shape[1:], size) and shape[-1] != channels):
        # A batched dataset of gray images looks like one image of unknown height.
        steps.append("gray images lack the axis of channels: x = x[..., np.newaxis]")
        shape = (*shape[-2:], 1)
    if len(shape) != 3:
        return f"Expected images of {len(image_shape)} axes each."
    if shape[-1] == 1 and channels == 3:
        steps.append("repeat gray for red, green and blue: x = np.repeat(x, 3, axis=-1)")
    elif shape[-1] == 4 and channels == 3:
        steps.append("leave the alpha channel out: x = x[..., :3]")
    elif channels == 1 and shape[-1] == 3:
        steps.append("make them gray: x = x.mean(axis=-1, keepdims=True)")
    elif shape[-1] != channels:
        steps.append(f"build the model with input_shape={shape}")
        size = shape[:2]
    if not _fits(shape[:2], size):
        size = f"({', '.join(map(str, size))})"
        built = (*shape[:2], channels)
        steps.append(
            f"resize the images: x = tf.image.resize(x, {size}), or build the model with "
            f"input_shape={built}"
        )
    text = "; ".join(steps) or "resize the images to one size"
    return f"{text[0].upper()}{text[1:]}."


def _fits(size: Any, wanted: Any) -> bool:
    return tf.TensorShape(size).is_compatible_with(wanted)
