"""One pass of a model over examples: features, logits and labels as arrays."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tl_keras.data.examples import as_examples
from tl_keras.data.read_errors import elements_of
from tl_keras.models.model_inputs import check_examples
from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError
from tl_keras.utils.tracing import PerBatch


class Outputs(NamedTuple):
    """What a model gives for examples.

    Attributes:
        features: What the classifier reads, float32 `(n, channels)`.
        logits: The head's outputs `(n, size)`, or task name → that; the features without a head.
        targets: Encoded labels `(n, size)`, or None where the data has none or none were asked for.
    """

    features: np.ndarray
    logits: Any
    targets: Any


def compiled_forward(model: TransferModel) -> Callable[[Any], Any]:
    """Return the function from images to features and logits in inference mode, compiled."""

    def forward(images):
        passed = model.forward(images)
        return passed.features, passed.logits

    return PerBatch(forward, model.modality.batch_spec)


def outputs_of(
    model: TransferModel,
    data: Any,
    spec: TargetSpec | dict[str, TargetSpec] | None = None,
    *,
    argument: str = "data",
    batch_size: int = 32,
    forward: Callable[[Any], Any] | None = None,
) -> Outputs:
    """Run a model over examples once, in order.

    Args:
        model: Made by `build_transfer_model`.
        data: What `as_examples` takes.
        spec: What labels are encoded for; None leaves them out.
        argument: Name that errors use for the data.
        batch_size: Examples at a time.
        forward: From `compiled_forward`, to save compiling it again.

    Raises:
        InputError: If the data cannot be read or is of another shape, or there are no labels
            although a spec asks for them.
    """
    examples = as_examples(data, argument, wanted=model.modality.spec)
    batches = examples.batches(spec, batch_size)
    labelled = spec is not None
    if labelled and not examples.has_labels:
        what = model.modality.plural
        raise InputError(f"{argument}: expected examples with labels, got {what} only.")
    check_examples(model, examples, argument)
    forward = compiled_forward(model) if forward is None else forward
    outputs, targets = collect(batches, forward, labelled=labelled, argument=argument)
    features, logits = outputs
    return Outputs(features, logits, targets)


def collect(
    batches: Iterable[Any],
    forward: Callable[[Any], Any],
    *,
    labelled: bool,
    argument: str = "data",
) -> tuple[Any, Any]:
    """Run a function over batches, and join what it gives.

    Args:
        batches: At least one batch of examples, or of `(examples, encoded labels)`.
        forward: From a batch of examples to a structure of tensors `(batch, …)`.
        labelled: Whether batches have labels.
        argument: Name that errors use for the data.

    Returns:
        The structure of arrays `(n, …)`, and the labels, arrays `(n, size)`, or None.

    Raises:
        InputError: If there is no batch, or one cannot be read.
    """
    parts = []
    for element in elements_of(batches, argument):
        x, y = element if labelled else (element, ())
        parts.append(tf.nest.map_structure(np.asarray, (forward(x), y)))
    if not parts:
        raise InputError(f"{argument}: expected at least one example, got none.")
    outputs, targets = tf.nest.map_structure(lambda *several: np.concatenate(several), *parts)
    return outputs, targets if labelled else None
