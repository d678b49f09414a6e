"""Frozen layers run once: the backbone's output for all examples, while nothing in it trains."""

import math

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tl_keras.data.arrays import ArrayExamples
from tl_keras.errors import InputError
from tl_keras.heads import Head
from tl_keras.pooling import GlobalPooling
from tl_keras.transfer_model import TransferModel

MEMORY_LIMIT = 2 * 2**30


def pools_without_weights(model: TransferModel) -> bool:
    """Return whether the head sees only averages or maxima, the same for every task."""
    heads = [model.head] if isinstance(model.head, Head) else list(model.head.heads.values())
    modes = {
        head.pooling.mode if isinstance(head.pooling, GlobalPooling) else None for head in heads
    }
    own = model.head.pooling
    return modes == {own.mode} if isinstance(own, GlobalPooling) else False


def bytes_needed(model: TransferModel, count: int) -> int:
    """Return the memory that the features of `count` examples take."""
    shape = model.backbone.compute_output_shape((1, *model.image_shape))
    values = shape[-1] if pools_without_weights(model) else math.prod(shape[1:])
    return 4 * count * values


def compute_features(
    model: TransferModel, batches: tf.data.Dataset, count: int, *, verbose: bool
) -> ArrayExamples:
    """Run the backbone once over `(images, y)` batches.

    Args:
        model: Its backbone must be frozen, so that it is a fixed function.
        batches: Unshuffled batches.
        count: Number of examples, for the progress bar.
        verbose: Whether to show the bar.

    Returns:
        Features `(n, channels)` where the head only averages, else `(n, …, channels)`, with their
        encoded targets.
    """
    pooled = pools_without_weights(model)

    @tf.function(reduce_retracing=True)
    def run(images):
        features = model.feature_map(images)
        return model.head.pool(features) if pooled else tf.cast(features, tf.float32)

    features, y = [], []
    with tqdm(total=count, desc="features", unit="img", disable=not verbose, leave=False) as bar:
        for images, targets in batches:
            features.append(run(images).numpy())
            y.append(tf.nest.map_structure(lambda tensor: tensor.numpy(), targets))
            bar.update(len(features[-1]))
    features = np.concatenate(features)
    broken = ~np.isfinite(features.reshape(len(features), -1)).all(axis=1)
    if broken.any():
        raise InputError(
            f"model: the backbone {model.backbone.name!r} gives NaN or infinity for "
            f"{int(broken.sum())} of {len(features)} images. Its weights may be broken, or its "
            "preprocessing not the one that it was trained with."
        )
    return ArrayExamples(
        features,
        tf.nest.map_structure(lambda *parts: np.concatenate(parts), *y),
    )
