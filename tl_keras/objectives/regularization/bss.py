"""Batch spectral shrinkage: the directions of the features that hardly matter are let go."""

from typing import Any

import tensorflow as tf

from tl_keras.objectives.batch import Batch, pooled
from tl_keras.objectives.objective import Objective
from tl_keras.utils.arguments import whole


def smallest_singular_values(features, count: int):
    """Return the sum of the squares of the smallest singular values, a scalar.

    Args:
        features: `(b, d)`; it has as many singular values as its smaller side.
        count: How many, ≥ 1; all where there are fewer.
    """
    values = tf.linalg.svd(tf.cast(features, tf.float32), compute_uv=False)
    taken = tf.minimum(count, tf.shape(values)[0])
    return tf.reduce_sum(tf.square(values[tf.shape(values)[0] - taken :]))


class BSS(Objective):
    """Shrinks the smallest singular values of the batch's features: `Σ over the k smallest of σ²`.

    What was pretrained and does not help the new task sits in those directions. For full
    fine-tuning on few images, alone or beside `L2SP` or `DELTA`, which hold on to what was
    pretrained and with it to what does harm.

    The features are those that the classifier reads, of all domains together. They are those of
    one replica's share of the batch: with several replicas, the loss is the mean over the shares. A
    share of a single example counts nothing: its one singular value is all there is.

    Strength: 0.001 times the sum, as the authors and Transfer-Learning-Library have it, whose batch
    has 48 examples; the sum grows with the batch.

    Chen, Wang, Fu, Long, Wang: *Catastrophic Forgetting Meets Negative Transfer: Batch Spectral
    Shrinkage for Safe Transfer Learning*, NeurIPS 2019.

    Args:
        k: How many singular values, ≥ 1; the paper's choice is 1.
        weight: Strength, ≥ 0, or a function of progress.

    Raises:
        InputError: If an argument is out of range.
    """

    def __init__(self, k: int = 1, *, weight: Any = 1e-3):
        super().__init__(weight)
        self.k = whole(k, "k")

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the sum of squares of the smallest singular values."""
        everything = pooled(list(batch.values()))
        features = tf.boolean_mask(everything.features, everything.real)
        shrunk = tf.cond(
            tf.shape(features)[0] > 1,
            lambda: smallest_singular_values(features, self.k),
            lambda: tf.constant(0.0),
        )
        return {"loss": batch.per_batch(shrunk)}
