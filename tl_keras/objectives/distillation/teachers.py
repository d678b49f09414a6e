"""Teachers: networks that never change and take the same images as the model that learns."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_keras.inputs.base import shapes
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives.objective import Setup
from tl_keras.utils.errors import InputError, warn_user


def resolve_models(teachers: Any, argument: str = "teachers") -> list[keras.Model]:
    """Return one model or several as a list.

    Raises:
        InputError: If there is none, or something is no Keras model.
    """
    several = [teachers] if isinstance(teachers, keras.Model) else teachers
    good = isinstance(several, Sequence) and not isinstance(several, str) and len(several) > 0
    if not good or not all(isinstance(one, keras.Model) for one in several):
        raise InputError(
            f"{argument}: expected a Keras model that takes the same images, or a list of them, "
            f"got {teachers!r}."
        )
    return list(several)


def check_images(model: keras.Model, setup: Setup, argument: str) -> None:
    """Raise `InputError` unless a teacher takes the images that the model takes.

    Warns where a model learns from images of a `pixel_range`, of which the teacher says nothing.
    """
    own = setup.model.pixel_range
    if isinstance(model, TransferModel):
        if model.pixel_range != own:
            raise InputError(
                f"{argument}: {model.name!r} takes pixel_range={model.pixel_range}, and the model "
                f"that learns {own}. A teacher reads the same images: build both with the same."
            )
    elif own is not None:
        warn_user(
            f"{argument}: {model.name!r} gets the images as they are, {own[0]:g}–{own[1]:g} by the "
            "model's pixel_range. If it takes 0–255, put a keras.layers.Rescaling in front of it."
        )
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return
    shape = tf.TensorShape(inputs[0].shape[1:])
    takes = setup.model.modality.shape
    if len(inputs) != 1 or takes is None or not shape.is_compatible_with(takes):
        raise InputError(
            f"{argument}: {model.name!r} takes {[tuple(one.shape[1:]) for one in inputs]}, and the "
            f"model that learns {shapes(setup.model.modality.spec)}. A teacher reads the same "
            f"{setup.model.modality.plural}{setup.model.modality.values}: put what changes their "
            "shape, such as keras.layers.Resizing, in front of it, in a keras.Model of its own."
        )


def output_shape(function: Callable, setup: Setup) -> tuple[int | None, ...]:
    """Return the shape of what a teacher gives, less the batch."""
    traced = tf.function(function, autograph=False).get_concrete_function(
        setup.model.modality.batch_spec
    )
    return tuple(traced.outputs[0].shape[1:])


def logits_function(model: keras.Model, outputs: str) -> Callable[[Any], Any]:
    """Return a function of images to a teacher's logits, float32.

    Args:
        model: A `TransferModel`, whose logits are taken whatever its activation, or another model.
        outputs: What another model gives, `"logits"` or `"probabilities"`.
    """

    def logits(images):
        if isinstance(model, TransferModel):
            return tf.cast(model.forward(images, False).logits, tf.float32)
        values = tf.cast(model(images, training=False), tf.float32)
        return tf.math.log(tf.maximum(values, 1e-7)) if outputs == "probabilities" else values

    return logits


def map_function(model: keras.Model) -> Callable[[Any], Any]:
    """Return a function of images to a feature map, float32.

    Args:
        model: A `TransferModel`, whose backbone's output is taken, or another model.
    """

    def feature_map(images):
        if isinstance(model, TransferModel):
            return tf.cast(model.feature_map(images, False), tf.float32)
        return tf.cast(model(images, training=False), tf.float32)

    return feature_map
