"""Entropy minimisation: predictions on examples without labels become decided."""

from typing import Any, ClassVar

import tensorflow as tf

from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.self_training.unlabelled import adapted, unlabelled_mask, unlabelled_mean
from tl_keras.objectives.weights import RISING
from tl_keras.utils.arguments import number


def entropy(logits):
    """Return `−Σ p log p` of `p = softmax(logits)` per example `(b,)`, in nats."""
    log_p = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    return -tf.reduce_sum(tf.exp(log_p) * log_p, axis=-1)


def marginal_entropy(logits, mask):
    """Return the entropy of the mean prediction of some examples, a scalar in nats.

    Args:
        logits: `(b, size)`.
        mask: float32 `(b,)`, 1 for the examples that count.
    """
    p = tf.nn.softmax(tf.cast(logits, tf.float32)) * mask[:, None]
    mean = tf.reduce_sum(p, axis=0) / tf.maximum(tf.reduce_sum(mask), 1.0)
    return -tf.reduce_sum(mean * tf.math.log(mean + 1e-12))


class EntropyMinimization(Objective):
    """Makes predictions on examples without labels decided: boundaries leave dense regions.

    `loss = mean H(softmax(logits)) − diversity · H(mean softmax(logits))`

    The mean runs over the examples without a label of the target domains, or of all domains where
    there is no target. Without the second term one class can swallow all others when the first
    predictions are poor; `diversity=1` is the mutual information of example and class.

    The mean prediction in the second term is that of a replica's share of the batch (of a slice
    of it with `accumulation`), so shares should hold several examples of each class.

    Args:
        diversity: Weight of the entropy of the mean prediction, ≥ 0. Set it to 0 where classes are
            far from equally frequent, and the weight to 0.1 or less.
        weight: What the loss is multiplied by; by default `Linear(0.0, 1.0)`. A number is the end
            of a `Ramp`, which rises faster.

    Raises:
        InputError: If the diversity is negative, or the model is no classifier with one task.

    Strength: both terms once, as in SHOT (Liang, Hu, Feng, ICML 2020), in a straight line over the
    stage. The first paper has the entropy alone with weights up to 1, Transfer-Learning-Library's
    runs of AFN 0.1 of it: a network that learns from scratch can then call all examples the same.

    Grandvalet, Bengio: *Semi-supervised Learning by Entropy Minimization*, NeurIPS 2004. The
    second term: Shi, Sha: *Information-Theoretical Learning of Discriminative Clusters for
    Unsupervised Domain Adaptation*, ICML 2012.
    """

    ramps: ClassVar[bool] = True
    partly_labelled: ClassVar[bool] = True
    unlabelled_only: ClassVar[bool] = True

    def __init__(self, diversity: float = 1.0, *, weight: Any = RISING):
        super().__init__(weight)
        self.diversity = number(diversity, "diversity", least=0.0)

    def begin(self, setup: Setup) -> None:
        """Check the model."""
        setup.require_classes(self)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the mean entropy, and with diversity that of the mean prediction."""
        domain = adapted(batch)
        mean = unlabelled_mean(domain, entropy(domain.logits))
        if not self.diversity:
            return {"loss": mean}
        marginal = batch.per_batch(marginal_entropy(domain.logits, unlabelled_mask(domain)))
        return {
            "loss": mean - self.diversity * marginal,
            "conditional_entropy": mean,
            "marginal_entropy": marginal,
        }
