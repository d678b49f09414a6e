"""What is measured on a batch: the objectives' losses and the metrics, with what they are of."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tl_keras.objectives import Batch, Objective
from tl_keras.training.step.example_metrics import batch_metrics
from tl_keras.utils.errors import InputError


def weighted_losses(
    objectives: Sequence[Objective], batch: Batch, *, never_nothing: bool = False
) -> dict[str, tf.Tensor]:
    """Return the weighted sum as `"loss"`, and every part by name.

    Args:
        objectives: Their losses are weighted by the batch's progress.
        batch: What they read.
        never_nothing: Whether all weigh 1 where the weights of all are 0.

    Raises:
        InputError: If an objective returns no `"loss"`.
    """
    total, parts = tf.constant(0.0), {}
    weights = [tf.cast(one.weight_at(batch.progress), tf.float32) for one in objectives]
    if never_nothing:
        nothing = tf.reduce_all(tf.equal(tf.stack(weights), 0.0))
        weights = [tf.where(nothing, 1.0, weight) for weight in weights]
    for objective, weight in zip(objectives, weights, strict=True):
        found = dict(objective.losses(batch))
        if "loss" not in found:
            raise InputError(
                f"objectives: {type(objective).__name__} returns no 'loss', got {sorted(found)}. "
                "losses() gives a dict with the key 'loss'."
            )
        loss = tf.cast(found.pop("loss"), tf.float32)
        total += weight * loss
        if len(objectives) > 1:
            parts[objective.name] = loss
        parts |= {name: tf.cast(value, tf.float32) for name, value in found.items()}
    return {"loss": total, **parts}


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
