"""What is checked about a batch of images that a model is called with."""

from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.errors import InputError, describe


def check_array(images: Any, image_shape: tuple[int | None, ...]) -> Any:
    """Return a batch of images as an array or a tensor.

    Args:
        images: Array or tensor `(batch, *image_shape)`, or a list of such images.
        image_shape: Shape of one image that the model takes.

    Raises:
        InputError: If it is something else.
    """
    sides = ", ".join(str(side) for side in ("batch", *image_shape))
    expected = f"images: expected an array of numbers ({sides})"
    if isinstance(images, (list, tuple)):
        try:
            images = np.asarray(images)
        except ValueError as error:
            raise InputError(
                f"{expected}, got {describe(images)} whose items differ in shape. Resize the "
                "images to one size first."
            ) from error
    if not hasattr(images, "shape") or not hasattr(images, "dtype") or _is_text(images):
        raise InputError(
            f"{expected}, got {describe(images)}. Read image files with tl.data.decode_image."
        )
    shape = tf.TensorShape(images.shape)
    if not shape.is_compatible_with((None, *image_shape)):
        alone = shape.is_compatible_with(image_shape)
        remedy = "Pass one image as x[None]." if alone else "Resize the images to this size."
        raise InputError(f"{expected}, got shape {tuple(shape)}. {remedy}")
    if shape[0] == 0:
        raise InputError(f"{expected}, got none. Pass at least one image.")
    return images


def _is_text(images: Any) -> bool:
    if isinstance(images, np.ndarray):
        return images.dtype.kind in "OSU"
    return images.dtype == tf.string
