"""One pass over examples, through one model or several at once."""

import sys
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tqdm.auto import tqdm

from tl_keras.data.examples import Examples
from tl_keras.models.model_inputs import check_examples
from tl_keras.models.passes import collect
from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.by_task import by_task, in_form_of
from tl_keras.utils.errors import InputError
from tl_keras.utils.terminal import can_redraw
from tl_keras.utils.tracing import PerBatch

PROGRESS_AFTER_SECONDS = 5.0


def predict(
    models: Sequence[TransferModel],
    examples: Examples,
    spec: TargetSpec | dict[str, TargetSpec],
    batch_size: int,
    progress: bool = True,
) -> tuple[Any, list[Any]]:
    """Read the examples once and give each batch to every model.

    All models see the same examples in the same order even if the data are shuffled at each
    pass. A model is traced once: its batch dimension is open, so the last, smaller batch costs
    no second trace. Models built with `classifier_activation=None` get their softmax or sigmoid
    here, so that the outputs are probabilities.

    Args:
        models: Models of the same modality, with the same targets.
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
    if not examples.has_labels:
        raise InputError(
            "data: expected examples with labels, got inputs alone. Pass (x, y), a dataset of "
            "(x, y) pairs or an image folder; for predictions without labels call model.predict."
        )
    for model in models:
        check_examples(model, examples, "data")
    batches = examples.batches(spec, batch_size)
    forward = PerBatch(
        lambda x: [_predictions(model, x) for model in models], examples.element_spec()
    )
    total = int(batches.cardinality())
    bar = tqdm(
        batches,
        total=total if total >= 0 else None,
        desc="evaluate",
        unit="batch",
        delay=PROGRESS_AFTER_SECONDS,
        leave=False,
        disable=not (progress and can_redraw(sys.stderr)),
    )
    outputs, targets = collect(bar, forward, labelled=True)
    return targets, outputs


def _predictions(model: TransferModel, batch: tf.Tensor) -> Any:
    """Return the model's outputs, with the missing softmax or sigmoid if it gives logits."""
    outputs, activation = by_task(model(batch, training=False)), by_task(model.activation)
    closed = {
        task: spec.task.close(tf.cast(outputs[task], tf.float32), activation[task])
        for task, spec in by_task(model.targets).items()
    }
    return in_form_of(model.targets, closed)
