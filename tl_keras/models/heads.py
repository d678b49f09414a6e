"""Heads: what stands on a backbone. The layers; `head_specs` describes them as data."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tl_keras.models.head_specs import (
    NAMED_HEADS,
    HeadSpec,
    Pooling,
    attention,
    cosine,
    gem,
    linear,
    mlp,
    multi_label,
    regression,
    resolve_head,
)
from tl_keras.models.pooling import AttentionPooling, GeneralizedMeanPooling, GlobalPooling
from tl_keras.models.regression_layers import CenteredDense
from tl_keras.utils.compat import mask_of

__all__ = [
    "NAMED_HEADS",
    "CosineClassifier",
    "Head",
    "HeadSpec",
    "TaskHeads",
    "attention",
    "cosine",
    "gem",
    "linear",
    "mlp",
    "multi_label",
    "regression",
    "resolve_head",
]


@keras.saving.register_keras_serializable("tl_keras")
class CosineClassifier(keras.layers.Layer):
    """Scaled cosine similarity of the features to one learned vector per class.

    `logits = s · x̂ · ŵ` with unit vectors `x̂`, `ŵ` and a learned scale `s`. Gidaris, Komodakis:
    *Dynamic Few-Shot Visual Learning without Forgetting*, CVPR 2018.

    Args:
        units: Number of classes.
        scale: Initial `s`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        features: `(batch, channels)`.

    Returns:
        Logits `(batch, units)` within `±s`.
    """

    def __init__(self, units: int, scale: float = 16.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = int(units)
        self.initial_scale = float(scale)

    def build(self, input_shape: Any) -> None:
        """Create the class vectors and the scale."""
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], self.units), initializer="glorot_uniform"
        )
        self.scale = self.add_weight(
            name="scale", shape=(), initializer=keras.initializers.Constant(self.initial_scale)
        )

    def call(self, features: Any) -> Any:
        """Compute logits."""
        features = ops.normalize(features, axis=-1, epsilon=1e-6)
        kernel = ops.normalize(self.kernel, axis=0, epsilon=1e-6)
        return self.scale * ops.matmul(features, kernel)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return `(batch, units)`."""
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build the same layer."""
        return {**super().get_config(), "units": self.units, "scale": self.initial_scale}


def _pooling_layer(pooling: Pooling) -> keras.layers.Layer:
    if pooling == "gem":
        return GeneralizedMeanPooling(dtype="float32", name="pooling")
    if pooling == "attention":
        return AttentionPooling(dtype="float32", name="pooling")
    return GlobalPooling(pooling, dtype="float32", name="pooling")


_LAST = {"cosine": CosineClassifier, "centered": CenteredDense, "dense": keras.layers.Dense}


def _last_of(spec: HeadSpec) -> str:
    return "centered" if spec.task.standardized and spec.classifier == "dense" else spec.classifier


@keras.saving.register_keras_serializable("tl_keras")
class Head(keras.layers.Layer):
    """The layer that a `HeadSpec` describes: features in, float32 logits out.

    It computes in float32 under every precision policy: a float16 softmax loses small
    probabilities. The logits of a regression are its values in standard units; the model brings
    them to the user's (`TargetScale`).

    Args:
        spec: The head as data.
        units: Number of outputs, or None for a head that only pools (a feature extractor).
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        features: The backbone's output, `(batch, …, channels)`.

    Returns:
        Logits `(batch, units)`, or pooled features `(batch, channels)` without `units`.
    """

    def __init__(self, spec: HeadSpec, units: int | None, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.spec = spec
        self.units = None if units is None else int(units)
        self.supports_masking = True
        self.pooling = _pooling_layer(spec.pooling)
        self.stack = []
        if self.units is None:
            return
        for index, width in enumerate(spec.hidden_units):
            self.stack.append(self._dropout(index))
            self.stack.append(
                keras.layers.Dense(
                    width, activation="relu", dtype="float32", name=f"hidden_{index}"
                )
            )
        self.stack.append(self._dropout(len(spec.hidden_units)))
        self.stack.append(_LAST[_last_of(spec)](self.units, dtype="float32", name="logits"))

    def _dropout(self, index: int) -> keras.layers.Layer:
        return keras.layers.Dropout(self.spec.dropout, dtype="float32", name=f"dropout_{index}")

    def build(self, input_shape: Any) -> None:
        """Build pooling and classifier."""
        self.pooling.build(input_shape)
        shape = self.pooling.compute_output_shape(input_shape)
        for layer in self.stack:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def pool(self, features: Any) -> Any:
        """Return one float32 vector `(batch, channels)` per example."""
        return self.pooling(ops.cast(features, "float32"), mask=mask_of(features))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """Return None: vectors have no positions."""
        del inputs, previous_mask

    def embed(self, features: Any, training: bool | None = None) -> Any:
        """Return what the classifier reads, `(batch, channels)`: pooled, after hidden layers."""
        embedded = self.pool(features)
        for layer in self.stack[:-1]:
            embedded = (
                layer(embedded, training=training)
                if isinstance(layer, keras.layers.Dropout)
                else layer(embedded)
            )
        return embedded

    def classify(self, embedded: Any) -> Any:
        """Return the logits of what `embed` gave."""
        return self.stack[-1](embedded) if self.stack else embedded

    def call(self, features: Any, training: bool | None = None) -> Any:
        """Pool and classify."""
        return self.classify(self.embed(features, training=training))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return `(batch, units)`, or `(batch, channels)` without units."""
        return (input_shape[0], input_shape[-1] if self.units is None else self.units)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build the same layer."""
        return {
            **super().get_config(),
            "spec": self.spec.config(),
            "units": self.units,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Head":
        """Build the layer from `get_config`'s answer."""
        return cls(**{**config, "spec": HeadSpec.from_config(config["spec"])})


@keras.saving.register_keras_serializable("tl_keras")
class TaskHeads(keras.layers.Layer):
    """Several named heads on one backbone, for several tasks at once.

    Args:
        heads: Task name → `Head`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        features: The backbone's output, `(batch, …, channels)`.

    Returns:
        Task name → logits `(batch, units of the task)`.
    """

    def __init__(self, heads: Mapping[str, Head], **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.heads = dict(heads)
        self.supports_masking = True
        self.pooling = GlobalPooling(dtype="float32", name="pooling")

    def build(self, input_shape: Any) -> None:
        """Build every head."""
        for head in self.heads.values():
            head.build(input_shape)

    def pool(self, features: Any) -> Any:
        """Return the average over positions `(batch, channels)`, whatever the tasks' pooling."""
        return self.pooling(ops.cast(features, "float32"), mask=mask_of(features))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """Return None: vectors have no positions."""
        del inputs, previous_mask

    def embed(self, features: Any, training: bool | None = None) -> Any:
        """Return the average over positions, which all tasks share."""
        return self.pool(features)

    def call(self, features: Any, training: bool | None = None) -> Any:
        """Compute the logits of every task."""
        return {name: head(features, training=training) for name, head in self.heads.items()}

    def compute_output_shape(self, input_shape: Any) -> dict[str, Any]:
        """Return task name → `(batch, units)`."""
        return {name: head.compute_output_shape(input_shape) for name, head in self.heads.items()}

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build the same layer."""
        heads = {name: head.get_config() for name, head in self.heads.items()}
        return {**super().get_config(), "heads": heads}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "TaskHeads":
        """Build the layer from `get_config`'s answer."""
        heads = {name: Head.from_config(head) for name, head in config["heads"].items()}
        return cls(**{**config, "heads": heads})
