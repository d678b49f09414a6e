"""Running means of losses and metrics over an epoch, kept on the device until somebody looks."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Totals(NamedTuple):
    """Sums over the steps so far.

    Attributes:
        counts: float64 `(4,)`: steps, steps before the first loss that was not finite, examples,
            replicas that were asked to stop.
        sums: float64 `(k,)`: sum over the examples of each named value; a scalar 0 at the start.
    """

    counts: tf.Tensor
    sums: tf.Tensor

    @classmethod
    def zero(cls) -> "Totals":
        """Return the totals of no steps."""
        return cls(tf.zeros([4], tf.float64), tf.zeros([], tf.float64))

    @classmethod
    def spec(cls) -> "Totals":
        """Return what a compiled step takes."""
        return cls(tf.TensorSpec([4], tf.float64), tf.TensorSpec(None, tf.float64))

    def add(self, means: Mapping[str, tf.Tensor], count: tf.Tensor, stops: tf.Tensor) -> "Totals":
        """Return the totals with one more batch of `count` examples that have these means."""
        count = tf.cast(count, tf.float64)
        steps, finite = self.counts[0], self.counts[1]
        still = tf.cast((steps == finite) & tf.math.is_finite(means["loss"]), tf.float64)
        values = tf.stack([tf.cast(value, tf.float64) for value in means.values()])
        stops = self.counts[3] + tf.cast(stops, tf.float64)
        counts = tf.stack([steps + 1, finite + still, self.counts[2] + count, stops])
        return Totals(counts, self.sums + values * count)

    def means(self, names: Sequence[str]) -> dict[str, float]:
        """Return name → mean over all examples."""
        sums, count = self.sums.numpy(), self.counts[2].numpy()
        return {
            name: float(np.float32(value / count)) for name, value in zip(names, sums, strict=True)
        }

    def first_bad_step(self) -> int | None:
        """Return the step, from 0, whose loss was NaN or infinite; None if there was none."""
        steps, finite, *_ = self.counts.numpy()
        return None if steps == finite else int(finite)

    def stop_was_asked(self) -> bool:
        """Return whether a replica on any worker was asked to stop; waits for the last step."""
        return bool(self.counts[3].numpy() > 0)

    def without_stops(self) -> "Totals":
        """Return the totals for a checkpoint: who resumes has not been asked to stop."""
        return Totals(self.counts * [1.0, 1.0, 1.0, 0.0], self.sums)
