"""Losses of single examples, from logits."""

import keras


def softmax_cross_entropy(y, logits, label_smoothing: float = 0.0):
    """Return `−Σ ỹ log softmax(logits)` per example, with `ỹ = (1−ε)·y + ε/size`.

    Args:
        y: One-hot or soft targets `(batch, size)`, rows that sum to 1.
        logits: `(batch, size)`.
        label_smoothing: `ε`, 0 … 1 (Szegedy et al., CVPR 2016).
    """
    return keras.losses.categorical_crossentropy(
        y, logits, from_logits=True, label_smoothing=label_smoothing
    )


def sigmoid_cross_entropy(y, logits, label_smoothing: float = 0.0):
    """Return the mean binary cross-entropy over labels per example, targets pulled towards ½."""
    return keras.losses.binary_crossentropy(
        y, logits, from_logits=True, label_smoothing=label_smoothing
    )


def squared_error(y, values):
    """Return the mean squared error over outputs per example."""
    return keras.losses.mean_squared_error(y, values)
