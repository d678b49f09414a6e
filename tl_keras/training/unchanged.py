"""Trying something on a model that is left exactly as it was."""

import contextlib
from collections.abc import Iterator

from tl_keras.backbones.saved_model import SavedModelBackbone
from tl_keras.models.transfer_model import TransferModel
from tl_keras.utils.compat import flatten_layers, set_own_trainable


@contextlib.contextmanager
def unchanged(model: TransferModel) -> Iterator[None]:
    """Give the model back its weights, random states and flags, however the block ends."""
    layers = list(flatten_layers(model))
    flags = [(layer, layer.trainable) for layer in layers]
    modes = [(la, la.inference_only) for la in layers if isinstance(la, SavedModelBackbone)]
    variables = [(variable, variable.trainable, variable.numpy()) for variable in model.variables]
    try:
        yield
    finally:
        for layer, trainable in flags:
            set_own_trainable(layer, trainable)
        for layer, inference_only in modes:
            layer.inference_only = inference_only
        for variable, trainable, value in variables:
            variable.trainable = trainable
            variable.assign(value)
