"""Pseudo-labels: confident predictions on examples without labels are taken for labels."""

from typing import Any, ClassVar

import tensorflow as tf

from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.self_training.unlabelled import adapted, unlabelled_mean
from tl_keras.objectives.weights import RISING
from tl_keras.tasks.losses import softmax_cross_entropy
from tl_keras.utils.arguments import number
from tl_keras.utils.errors import InputError


def pseudo_label_loss(logits, guide, threshold: float):
    """Return the cross-entropy against the class that the guide is confident of.

    `1[max q ≥ threshold] · −log softmax(logits)[argmax q]` with `q = softmax(guide)`, through
    which no gradient goes.

    Args:
        logits: What learns `(b, size)`.
        guide: Logits that the labels come from `(b, size)`.
        threshold: Least probability of the class, 0 … 1.

    Returns:
        Loss `(b,)`, 0 below the threshold, and float32 `(b,)`, 1 where the guide is confident.
    """
    logits = tf.cast(logits, tf.float32)
    q = tf.stop_gradient(tf.nn.softmax(tf.cast(guide, tf.float32)))
    confident = tf.cast(tf.reduce_max(q, axis=-1) >= threshold, tf.float32)
    labels = tf.one_hot(tf.argmax(q, axis=-1), logits.shape[-1])
    return confident * softmax_cross_entropy(labels, logits), confident


def check_threshold(threshold: float) -> float:
    """Return the least confidence as a float, or raise `InputError`."""
    value = number(threshold, "threshold", least=0.0)
    if value > 1.0:
        raise InputError(f"threshold: expected a probability, 0 … 1, got {threshold!r}.")
    return value


class PseudoLabel(Objective):
    """Takes the model's own confident predictions for labels, anew in every step.

    `loss = mean 1[max p ≥ threshold] · −log p[argmax p]` with `p = softmax(logits)`, over the
    examples without a label of the target domains, or of all domains where there is no target.
    It works where classes lie in clusters, and repeats mistakes where they do not: FixMatch, which
    asks for the label under augmentation, is the safer one for images. `SelfTraining` is the same
    formula for adaptation: it needs a target domain, and asks for 0.9 by default.

    Args:
        threshold: Least probability of the predicted class, 0 … 1; 0 takes every prediction, as
            the paper does.
        weight: What the loss is multiplied by; by default `Linear(0.0, 1.0)`. A number is the end
            of a `Ramp`, which rises faster.

    Raises:
        InputError: If the threshold is out of range, or the model is no classifier with one task.

    Strength: the weight ends at 1, that of Transfer-Learning-Library at the threshold 0.95. It
    rises in a straight line, as in the paper, which has no threshold and ends at 3.

    Lee: *Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural
    Networks*, ICML Workshop 2013.
    """

    ramps: ClassVar[bool] = True
    partly_labelled: ClassVar[bool] = True
    unlabelled_only: ClassVar[bool] = True

    def __init__(self, threshold: float = 0.95, *, weight: Any = RISING):
        super().__init__(weight)
        self.threshold = check_threshold(threshold)

    def begin(self, setup: Setup) -> None:
        """Check the model."""
        setup.require_classes(self)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the mean loss and the share of confident examples."""
        domain = adapted(batch)
        values, confident = pseudo_label_loss(domain.logits, domain.logits, self.threshold)
        return {
            "loss": unlabelled_mean(domain, values),
            "pseudo_label_confident": unlabelled_mean(domain, confident),
        }
