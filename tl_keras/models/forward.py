"""What one forward pass of a model gives."""

from typing import Any, NamedTuple

import keras

from tl_keras.models.heads import Head


class Forward(NamedTuple):
    """What one forward pass gives.

    Attributes:
        feature_map: The backbone's output, `(batch, …, channels)`.
        logits: The head's output `(batch, size)`, or task name → that; of a regression the values
            in standard units; pooled features `(batch, channels)` for a model without a head.
        features: What the classifier reads, float32 `(batch, channels)`: pooled, and after the
            hidden layers of an MLP head.
    """

    feature_map: Any
    logits: Any
    features: Any


def pass_of_head(head: keras.layers.Layer, feature_map: Any, training: bool) -> Forward:
    """Run a head on a backbone's output."""
    if not isinstance(head, Head):
        # Heads of several tasks share pooled features; a layer of the user's own reads the map.
        shared = getattr(head, "embed", lambda features, training: features)
        logits = head(feature_map, training=training)
        return Forward(feature_map, logits, shared(feature_map, training=training))
    features = head.embed(feature_map, training=training)
    return Forward(feature_map, head.classify(features), features)
