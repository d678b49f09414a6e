"""Minimum class confusion: predictions on the target that do not mix up classes."""

from typing import Any, ClassVar

import tensorflow as tf

from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.utils.arguments import number


def class_confusion(logits, temperature: float = 2.5):
    """Return how much predictions confuse classes, a scalar 0 … 1.

    With `p = softmax(logits / T)`, weights `wᵢ ∝ 1 + exp(−H(pᵢ))` of mean 1 and `C = Σᵢ wᵢ pᵢ pᵢᵀ`,
    whose rows are divided by their sums, it is the mean over classes of `Σ_{k≠j} C_jk`.

    Args:
        logits: `(b, k)`.
        temperature: `T` > 0.
    """
    probabilities = tf.nn.softmax(logits / temperature)
    entropy = -tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), axis=-1)
    weights = tf.stop_gradient(1.0 + tf.exp(-entropy))
    weights = weights / tf.reduce_mean(weights)
    confusion = tf.matmul(weights[:, None] * probabilities, probabilities, transpose_a=True)
    # Rows of classes that nothing is predicted to be are zeros.
    confusion = tf.math.divide_no_nan(confusion, tf.reduce_sum(confusion, axis=1, keepdims=True))
    between = tf.reduce_sum(confusion) - tf.linalg.trace(confusion)
    return between / tf.cast(tf.shape(logits)[-1], logits.dtype)


class MCC(Objective):
    """Makes predictions on the target sure and different from each other.

    The correlation between the probabilities of different classes over a batch is minimised.
    Nothing is compared with the source, so that it also works for several sources or classes that
    are missing in the target, and beside any other objective. Strong for its price, once the
    model is right more often than not.

    Several targets are pooled. Each replica looks at what it has of the targets; the loss is the
    mean over replicas. Batches hold a few examples per class, if possible.

    Strength: the weight 1 and the temperature 2.5 are those of the authors and of
    Transfer-Learning-Library, whose weight is 1 from the first step on.

    Jin, Wang, Long, Wang: *Minimum Class Confusion for Versatile Domain Adaptation*, ECCV 2020.

    Args:
        temperature: What logits are divided by first, > 0.
        weight: What the loss is multiplied by; a number is the end of a `Ramp`.

    Raises:
        InputError: If an argument is out of range, the model is not a classifier, or there is no
            target.
    """

    ramps: ClassVar[bool] = True

    def __init__(self, temperature: float = 2.5, *, weight: Any = 1.0):
        super().__init__(weight)
        self.temperature = number(temperature, "temperature", above=0)

    def begin(self, setup: Setup) -> None:
        """Check domains and model."""
        setup.require_targets(self)
        setup.require_classes(self)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the confusion of the target's classes."""
        logits = tf.cast(batch.target.logits, tf.float32)
        return {"loss": batch.per_pair(class_confusion(logits, self.temperature), batch.target)}
