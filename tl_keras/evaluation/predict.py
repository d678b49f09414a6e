"""One pass over examples, through one model or several at once."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from tl_keras.data.examples import Examples
from tl_keras.errors import InputError
from tl_keras.targets import TargetSpec

PROGRESS_AFTER_SECONDS = 5.0


def predict(
    models: Sequence[keras.Model],
    examples: Examples,
    spec: TargetSpec | dict[str, TargetSpec],
    batch_size: int,
    progress: bool = True,
) -> tuple[Any, list[Any]]:
    """Read the examples once and give each batch to every model.

    All models see the same examples in the same order even if the data are shuffled at each
    pass. A model is traced once: its batch dimension is open, so the last, smaller batch costs
    no second trace.

    Args:
        models: Models of images, with the same targets.
        examples: What to predict.
        spec: The targets of the models.
        batch_size: Examples in a batch.
        progress: Show a bar once the pass has taken 5 seconds.

    Returns:
        The encoded targets `(n, size)` and for each model its outputs `(n, size)`, each a dict by
        task if `spec` is one.

    Raises:
        InputError: If the data have no labels or no examples.
    """
    batches = examples.batches(spec, batch_size)
    element = batches.element_spec
    if not (isinstance(element, tuple) and len(element) == 2):
        raise InputError(
            "data: expected examples with labels, got inputs alone. Pass (x, y), a dataset of "
            "(x, y) pairs or an image folder; for predictions without labels call model.predict."
        )
    forward = _forward(models, element[0])
    total = int(batches.cardinality())
    bar = tqdm(
        batches,
        total=total if total >= 0 else None,
        desc="evaluate",
        unit="batch",
        delay=PROGRESS_AFTER_SECONDS,
        leave=False,
        disable=not progress,
    )
    targets, outputs = [], []
    for x, y in bar:
        targets.append(tf.nest.map_structure(lambda tensor: tensor.numpy(), y))
        outputs.append(tf.nest.map_structure(lambda tensor: tensor.numpy(), forward(x)))
    if not targets:
        raise InputError("data: expected at least one example, got none.")
    return _concatenate(targets), [_concatenate(list(of)) for of in zip(*outputs, strict=True)]


def _forward(models: Sequence[keras.Model], x: tf.TensorSpec) -> Any:
    """Return one graph function from a batch to the outputs of all models."""
    signature = tf.nest.map_structure(
        lambda part: tf.TensorSpec([None, *part.shape[1:]], part.dtype), x
    )

    @tf.function(input_signature=[signature])
    def forward(batch):
        return [model(batch, training=False) for model in models]

    return forward


def _concatenate(batches: list[Any]) -> Any:
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)
