"""What can be wrong with augmentation, found before training starts."""

import keras
import numpy as np
import tensorflow as tf

from tl_keras.data.augmentation.augment import (
    LABEL_MIXING,
    augment,
    batch_seed,
    require_nothing_to_train,
)
from tl_keras.data.base import Specs
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.compat import flatten_layers
from tl_keras.utils.errors import InputError

_TRIAL_IMAGES = 4
_TRIAL_SIZE = 64
_REPETITIONS = 2
_SCALED_BELOW = 10.0


def check_augmentation(
    layers: tuple[keras.layers.Layer, ...],
    input_shape: tuple[int | None, ...] | None,
    targets: Specs,
    data_shape: tuple[int | None, ...] | None = None,
) -> None:
    """Check that augmentation layers fit a model, on a few images of noise.

    Args:
        layers: From `resolve_augmentation`.
        input_shape: `(h, w, c)` that the model takes; None where it takes any size; no tuple for a
            model of several inputs.
        targets: What the model predicts.
        data_shape: `(h, w, c)` of the training images, if it is another one.

    Raises:
        InputError: If a layer mixes targets that cannot be mixed, expects other pixel values than
            0–255 or channels first, computes in half precision, fails, rescales the images or
            changes their size to one that the model does not take, trains, or draws random
            numbers that no seed reaches.
    """
    if not layers:
        return
    if input_shape is None:
        raise InputError(
            "augmentation: it changes one tensor, and the model has several inputs. Leave it out."
        )
    for layer in layers:
        _check_mixing(layer, targets)
        for inner in flatten_layers(layer):
            _check_pixels(inner)
    shape = tuple(size or _TRIAL_SIZE for size in (data_shape or input_shape))
    x, y = _trial_batch(shape, targets)
    expected = input_shape
    if None in input_shape:
        expected = tuple(a or b for a, b in zip(input_shape, shape, strict=True))
    for position, layer in enumerate(layers):
        images, labels = _tried(layer, x, y)
        require_nothing_to_train(layer)
        _check_range(layer, images)
        _check_repeatable(layer, x, y, images)
        last = position == len(layers) - 1
        if last and images.shape != (len(x), *expected):
            raise InputError(
                f"augmentation: {_named(layer)} gives images of shape {images.shape[1:]}, but the "
                f"model takes {tuple(input_shape)}. Let the layers end at that size, for example "
                f"with keras.layers.Resizing{tuple(expected[:2])} as the last one."
            )
        x, y = images, labels


def _check_mixing(layer: keras.layers.Layer, targets: Specs) -> None:
    if not isinstance(layer, LABEL_MIXING):
        return
    name = type(layer).__name__
    if not isinstance(targets, TargetSpec):
        has = f"has the tasks {sorted(targets)}" if targets else "has no head"
        raise InputError(
            f"augmentation: {name} mixes the labels of one task, but the model {has}. Leave "
            f"{name} out."
        )
    if isinstance(layer, keras.layers.CutMix) and not targets.task.has_classes:
        raise InputError(
            "augmentation: CutMix pastes a part of another image and mixes labels by area, which "
            "means nothing for the values of a regression head. Use MixUp, or leave it out."
        )


def _check_pixels(layer: keras.layers.Layer) -> None:
    value_range = getattr(layer, "value_range", None)
    if value_range is not None and tuple(float(bound) for bound in value_range) != (0.0, 255.0):
        raise InputError(
            f"augmentation: {_named(layer)} has value_range={tuple(value_range)}, but images are "
            "0–255 here, whatever pixel_range the model has; it scales them itself. Make the layer "
            "with value_range=(0, 255)."
        )
    if layer.compute_dtype in ("float16", "bfloat16"):
        raise InputError(
            f"augmentation: {_named(layer)} computes in {layer.compute_dtype}, which is slow in "
            "the input pipeline and too coarse for pixels. Make the layer with dtype='float32'."
        )
    if getattr(layer, "data_format", None) == "channels_first":
        raise InputError(
            f"augmentation: {_named(layer)} has data_format='channels_first', but images are "
            "(height, width, channels) here. Make the layer with data_format='channels_last'."
        )


def _trial_batch(shape: tuple[int, ...], targets: Specs) -> tuple[np.ndarray, tf.Tensor | None]:
    x = np.random.default_rng(0).uniform(0, 255, (_TRIAL_IMAGES, *shape)).astype(np.float32)
    if not isinstance(targets, TargetSpec):
        return x, None
    y = np.eye(targets.size, dtype=np.float32)[np.arange(_TRIAL_IMAGES) % targets.size]
    return x, tf.constant(y)


def _tried(layer: keras.layers.Layer, x: np.ndarray, y: tf.Tensor | None):
    try:
        images, labels = augment((layer,), x, y, batch_seed(0, 0, 0))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"augmentation: {_named(layer)} cannot be applied to images of shape {x.shape[1:]}; it "
            f"ends in {type(error).__name__}: {error}"
        ) from error
    return images.numpy(), labels


def _check_range(layer: keras.layers.Layer, images: np.ndarray) -> None:
    if not np.isfinite(images).all():
        raise InputError(f"augmentation: {_named(layer)} gives NaN or infinity for plain noise.")
    if 0 < np.abs(images).max() < _SCALED_BELOW:
        raise InputError(
            f"augmentation: {_named(layer)} turns images of 0–255 into values from "
            f"{images.min():.3g} to {images.max():.3g}, but the model takes 0–255 and scales them "
            "itself. Leave layers that rescale out."
        )


def _check_repeatable(layer: keras.layers.Layer, x, y, images: np.ndarray) -> None:
    """Call the layer again, with the global random states as they now happen to be."""
    again = [_tried(layer, x, y)[0] for _ in range(_REPETITIONS)]
    if not all(np.array_equal(pictures, images) for pictures in again):
        raise InputError(
            f"augmentation: {_named(layer)} gives other pictures for the same seed, because it "
            "draws random numbers outside of keras.random; a resumed run would see other "
            "pictures. In its __init__, set self.generator = keras.random.SeedGenerator(), and "
            "pass seed=self.generator to keras.random."
        )


def _named(layer: keras.layers.Layer) -> str:
    return f"{type(layer).__name__} {layer.name!r}"
