"""Recognising a whole classifier that was named as a backbone."""

from collections.abc import Sequence

import keras

from tl_keras.utils.errors import warn_user

PUBLISHED = (1000, 1001, 10450, 11221, 11821, 21841, 21843)
"""Numbers of classes that published ImageNet classifiers have."""
_ENDS = ("softmax", "sigmoid")


def warn_of_classifier(network: keras.layers.Layer) -> None:
    """Warn if a model ends in classes, so that its features would be their scores.

    That is a softmax or sigmoid on vectors, or a dense layer to as many outputs as published
    classifiers have classes.
    """
    last, before = _last_layers(network)
    shape = getattr(getattr(last, "output", None), "shape", ())
    if last is None or len(shape) != 2:
        return
    activation = getattr(getattr(last, "activation", None), "__name__", "")
    is_scores = activation in _ENDS or isinstance(last, keras.layers.Softmax)
    units = shape[-1]
    if not is_scores and not (isinstance(last, keras.layers.Dense) and units in PUBLISHED):
        return
    if hasattr(network, "backbone"):
        remedy = "Pass its .backbone"
    else:
        remedy = f"Build it with include_top=False, or pass keras.Model(m.input, {before})"
    _warn(network.name, units, remedy)


def warn_of_classes(name: str, shape: Sequence[int | None], output: str | int | None) -> None:
    """Warn if the output of a SavedModel looks like classes.

    Args:
        name: What the user named it by.
        shape: Of the output, with the batch.
        output: Its name, or its number where it has none, or None.
    """
    named = str(output or "").lower() in (
        "logits",
        "probabilities",
        "predictions",
        "scores",
        "probs",
    )
    if len(shape) == 2 and (shape[-1] in PUBLISHED or named):
        _warn(name, shape[-1], "Use the feature vector of the same module, or its other output")


def _warn(name: str, classes: int | None, remedy: str) -> None:
    warn_user(
        f"backbone: {name!r} is a whole classifier: its features would be the scores of its "
        f"{classes} classes. {remedy}."
    )


def _last_layers(network: keras.layers.Layer) -> tuple[keras.layers.Layer | None, str]:
    """Return the layer that gives the output, and in code what it reads."""
    code, layers = "m", None
    while isinstance(network, keras.Model) and getattr(network, "layers", None):
        layers = network.layers
        network, code = layers[-1], f"{code}.layers[-1]"
    if layers is None:
        return None, ""
    position = -2
    while -position < len(layers) and _adds_nothing(layers[position + 1], layers[position]):
        position -= 1
    return network, f"{code.removesuffix('.layers[-1]')}.layers[{position}].output"


def _adds_nothing(last: keras.layers.Layer, before: keras.layers.Layer) -> bool:
    """Return whether the layer before belongs to the classifier too: logits or dropout."""
    is_activation = isinstance(last, (keras.layers.Activation, keras.layers.Softmax))
    return isinstance(before, keras.layers.Dropout) or (
        is_activation and isinstance(before, keras.layers.Dense)
    )
