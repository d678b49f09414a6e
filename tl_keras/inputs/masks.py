"""Padding masks, which Keras' layers attach to the values that they belong to."""

from typing import Any

from tl_keras.utils.compat import attached_mask


def mask_of(values: Any) -> Any:
    """Return the mask `(batch, positions)` that came with values, True where they count, or None.

    `keras.layers.Embedding(mask_zero=True)` and `keras.layers.Masking` make these.
    """
    return attached_mask(values)
