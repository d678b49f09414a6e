"""What one forward pass of a model gives."""

from typing import Any, NamedTuple


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
