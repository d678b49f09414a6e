"""What adversarial objectives share: an opponent that the features are trained against."""

from typing import Any, ClassVar

import tensorflow as tf

from tl_keras.objectives.alignment.gradient_reversal import reverse_gradient
from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective


class AdversarialObjective(Objective):
    """An objective with an opponent: a small network on reversed features.

    The opponent learns at full strength from the first step; the weight, by default a `Ramp`, is
    how strongly the features are trained against it. One backward pass does both.
    """

    ramps: ClassVar[bool] = True

    def weight_at(self, progress: Any) -> Any:
        """Return 1: the weight acts in the reversal, not on the opponent's own loss."""
        return tf.ones_like(progress, tf.float32)

    def against(self, batch: Batch, values: Any, times: float = 1.0) -> Any:
        """Return values whose gradient is reversed and multiplied by the weight, so many times."""
        weight = tf.cast(self._weight(batch.progress), tf.float32)
        return reverse_gradient(values, times * weight)

    def along(self, batch: Batch, values: Any) -> Any:
        """Return values whose gradient is multiplied by the weight."""
        return reverse_gradient(values, -tf.cast(self._weight(batch.progress), tf.float32))
