"""Backbones that the user already has: a `keras.Model` or a layer."""

from collections.abc import Iterator
from typing import Any

import keras

from tl_keras.backbones.backbone import Backbone
from tl_keras.backbones.classifier_tops import warn_of_classifier
from tl_keras.backbones.weights import copy_of_layer
from tl_keras.inputs.modalities import modality_of_shape
from tl_keras.inputs.several import Several
from tl_keras.utils.errors import InputError

SCALING = (
    keras.layers.Rescaling,
    keras.layers.Normalization,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
)


def model_backbone(
    network: keras.layers.Layer, *, input_shape: tuple[int | None, ...] | None = None
) -> Backbone:
    """Use a model or layer of the user's own as backbone.

    The model itself is used, not a copy: fine-tuning changes its weights. Pixels reach it
    unchanged unless `build_transfer_model` is given a `preprocessing`. A `TransferModel` lends
    its backbone and its preprocessing, and leaves its head behind.

    Args:
        network: Model from one input, or several, to features.
        input_shape: Shape of one input; needed where the network does not state it.

    Raises:
        InputError: If the input shape is unknown.
    """
    if hasattr(network, "backbone") and hasattr(network, "preprocessing"):
        return Backbone(
            network.backbone.name,
            network.backbone,
            copy_of_layer(network.preprocessing),
            tuple(input_shape or network.modality.shape or ()),
            modality=modality_of_shape(input_shape) if input_shape else network.modality,
        )
    own = getattr(network, "input_shape", None) if network.built else None
    if isinstance(own, (list, dict)) or (own and isinstance(own[0], (tuple, list))):
        return _of_several_inputs(network, input_shape)
    shape = _resolve_shape(network.name, own, input_shape)
    warn_of_classifier(network)
    is_raw = len(shape) == 3 and shape[-1] in (1, 3) and _reads_pixels_as_they_are(network)
    modality = modality_of_shape(shape, _input_dtype(network))
    return Backbone(
        network.name, network, modality.preprocessing(), shape, is_raw=is_raw, modality=modality
    )


def _of_several_inputs(network: keras.Model, input_shape: Any) -> Backbone:
    """Return a model of several inputs, which are called as their layers are."""
    if input_shape is not None:
        raise InputError(
            f"input_shape: {network.name!r} has several inputs of shapes of their own. Leave it "
            "out."
        )
    modality = Several(
        {
            one.name: modality_of_shape(tuple(one.shape[1:]), _stated_dtype(one))
            for one in network.inputs
        }
    )
    return Backbone(network.name, network, modality.preprocessing(), (), modality=modality)


def _input_dtype(network: keras.layers.Layer) -> str:
    """Return the type that a model states for its one input; float32 where it states none."""
    inputs = getattr(network, "inputs", None)
    return _stated_dtype(inputs[0]) if inputs else "float32"


def _stated_dtype(tensor: Any) -> str:
    stated = keras.backend.standardize_dtype(tensor.dtype)
    return "float32" if "float" in stated else stated


def _reads_pixels_as_they_are(network: keras.layers.Layer) -> bool:
    """Return whether the first weights of a model of Keras' layers see pixels that nothing scaled.

    Layers of the user's own, and operations that are no layers, may scale them.
    """
    for step in _steps(network):
        is_layer = isinstance(step, keras.layers.Layer)
        if isinstance(step, SCALING) or not is_layer:
            return False
        if not type(step).__module__.startswith("keras."):
            return False
        if step.weights:
            return hasattr(step, "kernel")
    return False


def _steps(network: keras.layers.Layer) -> Iterator[keras.Operation]:
    """Give the operations of a model in the order of computation, those of models in it too."""
    if not isinstance(network, keras.Model):
        yield network
        return
    for step in getattr(network, "operations", network.layers):
        if isinstance(step, keras.Model):
            yield from _steps(step)
        elif not isinstance(step, keras.layers.InputLayer):
            yield step


def _resolve_shape(name, own, given):
    if own is None and given is None:
        raise InputError(
            f"input_shape: the backbone {name!r} is not built, so its input shape is unknown. "
            "Pass input_shape=(height, width, channels)."
        )
    if own is None:
        return tuple(given)
    stated = tuple(own[1:])
    if given is None:
        default = (224, 224, 3) if len(stated) == 3 else stated
        return tuple(d if s is None else s for s, d in zip(stated, default, strict=True))
    fits = len(given) == len(stated) and all(
        s is None or s == g for s, g in zip(stated, given, strict=True)
    )
    if not fits:
        raise InputError(
            f"input_shape: the backbone {name!r} takes {stated}, got {tuple(given)}. "
            "Leave input_shape out, and bring the images into this form; for other channels, put "
            "a keras.layers.Conv2D(channels, 1) in front, in a keras.Model of your own."
        )
    return tuple(given)
