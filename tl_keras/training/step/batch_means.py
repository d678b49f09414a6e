"""What is measured on a batch: losses and metrics, with the numbers of examples they are of."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tl_keras.objectives import Batch, Objective
from tl_keras.training.step.example_metrics import batch_metrics


def measured_on(
    objectives: Sequence[Objective],
    batch: Batch,
    losses: Mapping[str, Any],
    parts: int,
    whole: Batch | None = None,
) -> dict[str, tf.Tensor]:
    """Return name → `(2,)`: losses or metrics, and the numbers of examples that they are of.

    Both are one of `parts` that add up over replicas and slices. Metrics are measured on `whole`,
    the batch with labels that objectives do not see, if there is one.
    """
    every = tf.add_n([one.counts.examples for one in batch.values()])
    numbers = {}
    for objective in objectives:
        own = objective.examples_of(batch)
        if len(objectives) > 1 and "loss" in own:
            own[objective.name] = own.pop("loss")
        numbers |= own
    found = {name: (value, numbers.get(name, every)) for name, value in losses.items()}
    return {
        name: tf.stack([value, tf.cast(number, tf.float32) / parts])
        for name, (value, number) in (found | batch_metrics(whole or batch)).items()
    }
