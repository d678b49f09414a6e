"""What of a forward pass an objective compares between domains, by name."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tl_keras.objectives.batch import DomainBatch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.utils.errors import InputError, did_you_mean

OUTPUTS = ("feature_map", "features", "logits", "probabilities")
"""`feature_map` is averaged over its positions."""


def checked_outputs(layers: Any) -> tuple[str, ...]:
    """Return names of outputs as a tuple.

    Raises:
        InputError: If there are none or one is unknown.
    """
    several = (layers,) if isinstance(layers, str) else layers
    if not isinstance(several, Sequence) or not several:
        raise InputError(f"layers: expected some of {OUTPUTS}, got {layers!r}.")
    for name in several:
        if name not in OUTPUTS:
            raise InputError(
                f"layers: expected some of {OUTPUTS}, got {name!r}."
                f"{did_you_mean(str(name), OUTPUTS)}"
            )
    return tuple(several)


def require_outputs(layers: Sequence[str], setup: Setup, objective: Objective) -> None:
    """Raise `InputError` unless the model has these outputs."""
    if "probabilities" in layers:
        setup.require_classes(objective)
    if "logits" in layers and isinstance(setup.model.targets, Mapping):
        raise InputError(
            f"layers: {type(objective).__name__} cannot compare the logits of several tasks. Use "
            "layers=('features',)."
        )


def map_reading(layers: Sequence[str]) -> str:
    """Return how outputs read the feature map, for `Objective.reads_feature_map`."""
    return "averaged" if "feature_map" in layers else ""


def layer_output(domain: DomainBatch, layer: str) -> tf.Tensor:
    """Return an output of a pass as float32 `(b, d)`."""
    if layer == "feature_map":
        value = tf.cast(domain.feature_map, tf.float32)
        positions = list(range(1, value.shape.rank - 1))
        return tf.reduce_mean(value, axis=positions) if positions else value
    if layer == "probabilities":
        return tf.nn.softmax(tf.cast(domain.logits, tf.float32))
    return tf.cast(domain.features if layer == "features" else domain.logits, tf.float32)
