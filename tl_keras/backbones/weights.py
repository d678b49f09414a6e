"""Loading weights from files, checked."""

import os
import warnings

import keras
import numpy as np

from tl_keras.backbones.keras_files import load_keras_file
from tl_keras.utils.compat import flatten_layers
from tl_keras.utils.errors import InputError, first_line
from tl_keras.utils.regular_files import require_regular


def load_weights_file(network: keras.Model, path: str | os.PathLike) -> None:
    """Load `.weights.h5`, `.h5` or the weights of a `.keras` file into a network.

    Keras skips objects that it does not find in a file of another nesting, at times all of them;
    here a file that leaves a variable untouched which it should have set is an error.

    Args:
        network: The built network.
        path: The weights file.

    Raises:
        InputError: If the file is missing, unreadable, or does not fit the network.
    """
    path = os.fspath(path)
    require_regular(path, "weights")
    if not os.path.isfile(path):
        raise InputError(
            f"weights: expected 'imagenet', None or the path of a weights file, got {path!r}, "
            "which is no file."
        )
    before = [variable.numpy() for variable in network.weights]
    try:
        if path.endswith(".keras"):
            copy_weights(load_keras_file(path, "weights"), network)
        else:
            with warnings.catch_warnings():
                # One for each layer of a file of another structure, which is refused below.
                warnings.filterwarnings("ignore", "Skipping nested container")
                network.load_weights(path)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"weights: {path!r} does not fit {network.name!r}: {_reason(error)}. Expected "
            "weights of this network alone, without a top, as network.save_weights("
            "'name.weights.h5') writes them; a whole model is passed as the backbone instead."
        ) from error
    finalize_normalization(network)
    kernels = [index for index, value in enumerate(before) if value.ndim > 1]
    after = [variable.numpy() for variable in network.weights]
    loaded = [index for index in kernels if not np.array_equal(before[index], after[index])]
    if kernels and len(loaded) < 0.9 * len(kernels):
        raise InputError(
            f"weights: {path!r} set only {len(loaded)} of the {len(kernels)} kernels of "
            f"{network.name!r}. It was saved from a model of another structure."
        )


def _reason(error: Exception) -> str:
    """Return what Keras found, without the layers that it quotes."""
    return first_line(error).partition(" Example error")[0].rstrip(".: ")


def copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Copy all weights from one network to another of the same structure.

    Raises:
        InputError: If the variables differ in number or shape.
    """
    shapes = [tuple(v.shape) for v in source.weights], [tuple(v.shape) for v in target.weights]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"weights: {source.name!r} has {len(shapes[0])} variables that do not match the "
            f"{len(shapes[1])} of {target.name!r} in number and shape."
        )
    for from_, to in zip(source.weights, target.weights, strict=True):
        to.assign(from_.numpy())
    finalize_normalization(target)


def copy_of_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Return a layer of the same settings and, where it has been built, the same weights."""
    copy = type(layer).from_config(layer.get_config())
    if not layer.weights:
        return copy
    if not copy.built:
        copy.build_from_config(layer.get_build_config())
    copy_weights(layer, copy)
    return copy


def finalize_normalization(network: keras.layers.Layer) -> None:
    """Make Normalization layers use the statistics that were just written into their variables.

    Keras computes constants from the statistics when it builds or loads the layer, but not when
    weights are set, so that a copied EfficientNet would normalise by stale values.
    """
    for layer in flatten_layers(network):
        if (
            isinstance(layer, keras.layers.Normalization)
            and layer.built
            and layer.input_mean is None
        ):
            layer.finalize_state()
