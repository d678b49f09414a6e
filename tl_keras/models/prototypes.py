"""Prototypes: a classifier made of class means, without training."""

import dataclasses
from typing import Any

import keras
import numpy as np

from tl_keras.models.heads import CosineClassifier, Head
from tl_keras.models.passes import outputs_of
from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.arguments import number
from tl_keras.utils.errors import InputError

CONFIDENCE = 10.0
"""Mean distance of two prototypes in logits, where no scale is given."""


def class_means(features: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return `μ_c = Σ yᵢ_c xᵢ / Σ yᵢ_c` of every class, `(size, channels)`.

    Args:
        features: `(n, channels)`.
        y: One-hot or soft labels `(n, size)`; every class has some.
    """
    y = np.asarray(y, np.float64)
    return y.T @ np.asarray(features, np.float64) / y.sum(axis=0)[:, None]


def nearest_mean_classifier(
    means: np.ndarray, scale: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel `(channels, size)` and bias `(size,)` of the nearest class mean.

    `−s·‖x − μ_c‖² = 2s·xᵀμ_c − s·‖μ_c‖² + (what all classes share)`: a linear classifier.

    Args:
        means: `(size, channels)`.
        scale: s > 0; by default such that two prototypes are 10 apart, in logits and on average.
    """
    means = np.asarray(means, np.float64)
    squares = np.square(means).sum(axis=1)
    if scale is None:
        distances = squares[:, None] + squares[None, :] - 2 * means @ means.T
        mean = distances.sum() / max(1, len(means) * (len(means) - 1))
        scale = CONFIDENCE / mean if mean > 0 else 1.0
    return 2 * scale * means.T, -scale * squares


def unit_rows(values: np.ndarray) -> np.ndarray:
    """Return rows divided by their length; rows of zeros stay."""
    values = np.asarray(values, np.float64)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def set_prototypes(
    model: TransferModel, data: Any, *, scale: float | None = None, batch_size: int = 32
) -> np.ndarray:
    """Set the last layer of the head from the class means of features; nothing is trained.

    For a handful of labels per class, and as the start of a training: the features of the classes'
    examples are averaged, and the nearest mean wins (linear heads: by Euclidean distance; cosine
    heads: by angle). With an MLP head these are features after the hidden layers, which should
    have been trained.

    Args:
        model: With one task and a `"linear"`, `"cosine"`, `"mlp"`, … head. Changed in place.
        data: Examples of every class; those without a label (−1, NaN) are left out.
        scale: Factor on squared distances, or on the cosine, > 0: how sure the predictions are. By
            default prototypes are 10 apart in logits; a cosine head keeps the scale it has.
        batch_size: Examples at a time.

    Returns:
        The class means `(size, channels)`; of unit vectors for a cosine head.

    Raises:
        InputError: If the model has no such head, a class has no example, or the scale is not
            above 0.

    Snell, Swersky, Zemel: *Prototypical Networks for Few-shot Learning*, NeurIPS 2017. Cosine:
    Qi, Brown, Lowe: *Low-Shot Learning with Imprinted Weights*, CVPR 2018.

    Example:
        >>> model = tl.build_transfer_model("EfficientNetLite0", 5, head="cosine")  # doctest: +SKIP
        >>> tl.set_prototypes(model, (five_images, [0, 1, 2, 3, 4]))  # doctest: +SKIP
    """
    layer, spec = _last_layer(model)
    if scale is not None:
        scale = number(scale, "scale", above=0.0)
    partly = dataclasses.replace(spec, partly=True)
    found = outputs_of(model, data, partly, batch_size=batch_size)
    labelled = ~np.isnan(found.targets).any(axis=1)
    features, y = found.features[labelled], found.targets[labelled]
    missing = [spec.output_names[index] for index in np.flatnonzero(y.sum(axis=0) == 0)]
    if missing:
        raise InputError(
            f"data: a prototype needs an example, and there is none of the classes {missing[:20]}."
        )
    if isinstance(layer, CosineClassifier):
        means = class_means(unit_rows(features), y)
        layer.kernel.assign(unit_rows(means).T)
        if scale is not None:
            layer.scale.assign(scale)
        return means
    means = class_means(features, y)
    kernel, bias = nearest_mean_classifier(means, scale)
    layer.kernel.assign(kernel)
    layer.bias.assign(bias)
    return means


def _last_layer(model: TransferModel) -> tuple[keras.layers.Layer, TargetSpec]:
    """Return the classifier, and what it predicts."""
    if not isinstance(model, TransferModel):
        raise InputError(
            f"model: expected one made by build_transfer_model, got {type(model).__name__}."
        )
    spec = model.targets
    if not isinstance(spec, TargetSpec) or not spec.task.one_class:
        raise InputError(
            "model: prototypes need a head with one class per example. Build the model with "
            "num_classes=… and head='linear' or 'cosine'."
        )
    layer = model.head.stack[-1] if isinstance(model.head, Head) and model.head.stack else None
    if not isinstance(layer, (CosineClassifier, keras.layers.Dense)):
        raise InputError(
            f"model: the head {type(model.head).__name__} has no classifier to set. Use "
            "head='linear' or 'cosine'."
        )
    return layer, spec
