"""What is checked about a batch of images that a model is called with."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.utils.errors import InputError, describe


def check_predicted(x: Any, image_shape: tuple[int | None, ...]) -> None:
    """Check what `model.predict` gets: arrays, and that labels beside images are no text.

    Args:
        x: Array, tensor or table of images, or data in batches, of which only the first batch
            of a `PyDataset` is looked at.
        image_shape: Shape of one image that the model takes.

    Raises:
        InputError: If it is something else, has images of another shape or text beside them, is
            empty or not finite.
    """
    other = "For lists of images and for data with labels call tl.predict(model, data)."
    if isinstance(x, keras.utils.PyDataset):
        batch = x[0] if x.num_batches != 0 else None
        labels = tf.nest.flatten(batch[1:]) if isinstance(batch, (tuple, list)) else []
        if any(np.asarray(part).dtype.kind in "OSU" for part in labels):
            raise InputError(f"x: expected batches of images, got labels that are text. {other}")
        _check_batches(batch, image_shape)
        return
    if isinstance(x, tf.data.Dataset):
        _check_batches(x.element_spec if x.cardinality() != 0 else None, image_shape)
        return
    if hasattr(x, "__next__"):
        return
    if isinstance(x, (tuple, list, dict)):
        raise InputError(f"x: expected one array of images, got {describe(x)}. {other}")
    if not hasattr(x, "dtype") and hasattr(x, "__array__"):
        x = np.asarray(x)
    check_array(x, image_shape, "x")
    if "complex" in str(x.dtype):
        raise InputError(f"x: expected real numbers, got {x.dtype}. Pass e.g. np.abs(x).")
    if isinstance(x, np.ndarray) and x.dtype.kind == "f" and not np.isfinite(x).all():
        raise InputError("x: expected finite numbers, got NaN or infinity. Remove or fix these.")


def _check_batches(batch: Any, image_shape: tuple[int | None, ...]) -> None:
    """Check data in batches by the first one, or by what all are; None where there is none."""
    if batch is None:
        raise InputError("x: expected at least one batch of images, got none.")
    images = batch[0] if isinstance(batch, (tuple, list)) else batch
    if not hasattr(images, "shape"):
        return
    shape = tf.TensorShape(images.shape)
    if shape.is_compatible_with((None, *image_shape)):
        return
    if shape.is_compatible_with(image_shape):
        remedy = "Put them together first: x = x.batch(32)."
    else:
        remedy = shape_remedy(tuple(shape)[1:], image_shape)
    sides = ", ".join(str(side) for side in ("batch", *image_shape))
    raise InputError(f"x: expected batches of images ({sides}), got {tuple(shape)}. {remedy}")


def check_array(images: Any, image_shape: tuple[int | None, ...], argument: str = "images") -> Any:
    """Return a batch of images as an array or a tensor.

    Args:
        images: Array or tensor `(batch, *image_shape)`, or a list of such images.
        image_shape: Shape of one image that the model takes.
        argument: Name that errors use.

    Raises:
        InputError: If it is something else.
    """
    sides = ", ".join(str(side) for side in ("batch", *image_shape))
    expected = f"{argument}: expected an array of numbers ({sides})"
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
        remedy = shape_remedy(tuple(shape)[1:], image_shape)
        remedy = "Pass one image as x[None]." if alone else remedy
        raise InputError(f"{expected}, got shape {tuple(shape)}. {remedy}")
    if shape[0] == 0:
        raise InputError(f"{expected}, got none. Pass at least one image.")
    return images


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


def _is_text(images: Any) -> bool:
    if isinstance(images, np.ndarray):
        return images.dtype.kind in "OSU"
    return images.dtype == tf.string
