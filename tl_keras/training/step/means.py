"""Running means of losses and metrics over an epoch, kept on the device until somebody looks."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class Totals(NamedTuple):
    """Sums over the steps so far.

    Attributes:
        counts: float64 `(4,)`: steps, steps before the first loss that was not finite, examples,
            replicas that were asked to stop.
        sums: float64 `(2, k)`: of each named value the sum over its examples, and their number; a
            scalar 0 at the start.
    """

    counts: Any
    sums: Any

    @classmethod
    def zero(cls) -> "Totals":
        """Return the totals of no steps."""
        return cls(tf.zeros([4], tf.float64), tf.zeros([], tf.float64))

    @classmethod
    def spec(cls) -> "Totals":
        """Return what a compiled step takes."""
        any_shape = tf.TensorShape(None)  # pyright: ignore[reportArgumentType] # Not in the stubs.
        return cls(tf.TensorSpec([4], tf.float64), tf.TensorSpec(any_shape, tf.float64))

    def add(self, means: Mapping[str, tf.Tensor], count: tf.Tensor, stops: tf.Tensor) -> "Totals":
        """Return the totals with one more batch.

        Args:
            means: Name → `(2,)`, the mean over the batch and the number of examples that it is of.
            count: Examples of the batch.
            stops: Replicas that were asked to stop.
        """
        steps, finite = self.counts[0], self.counts[1]
        still = tf.cast((steps == finite) & tf.math.is_finite(means["loss"][0]), tf.float64)
        values, numbers = tf.unstack(
            tf.stack([tf.cast(one, tf.float64) for one in means.values()], axis=1)
        )
        stops = self.counts[3] + tf.cast(stops, tf.float64)
        examples = self.counts[2] + tf.cast(count, tf.float64)
        counts = tf.stack([steps + 1, finite + still, examples, stops])
        return Totals(counts, self.sums + tf.stack([values * numbers, numbers]))

    def means(self, names: Sequence[str]) -> dict[str, float]:
        """Return name → mean over all its examples; 0 if there were none."""
        sums, numbers = self.sums.numpy()
        means = (sums / np.where(numbers > 0, numbers, 1.0)).astype(np.float32)
        return dict(zip(names, means.tolist(), strict=True))

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
