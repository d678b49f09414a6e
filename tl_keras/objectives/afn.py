"""Adaptive feature norm: features of both domains become long."""

from typing import Any, ClassVar

import tensorflow as tf

from tl_keras.arguments import number
from tl_keras.objectives.batch import Batch, DomainBatch
from tl_keras.objectives.objective import Objective, Setup


def feature_norms(features):
    """Return the Euclidean length per example of features `(b, d)`; its gradient is finite at 0."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(features), axis=-1), 1e-12))


def stepwise_loss(norms, step: float):
    """Return `(n − (n₀ + step))²` per example, where `n₀` is `n` taken as a constant."""
    return tf.square(norms - (tf.stop_gradient(norms) + step))


def hard_loss(norms, radius: float):
    """Return `(n − radius)²` per example."""
    return tf.square(norms - radius)


class AFN(Objective):
    """Makes the features of both domains longer, step by step, or as long as a radius.

    Target features are shorter than source features, and short ones transfer badly. The
    stepwise form (SAFN) asks each example for a little more than it has, so that its logged loss
    is a constant: watch `afn_source_norm` and `afn_target_norm`. Very cheap, and simple to
    combine.

    Several sources are pooled, and so are several targets. Losses are means over examples: any
    number of replicas gives what one device does. That is why, with a radius, each example's norm
    is compared with it; the paper compares the mean norm of a batch, which leaves the norms free to
    differ among themselves.

    Xu, Li, Yang, Lin: *Larger Norm More Transferable: An Adaptive Feature Norm Approach for
    Unsupervised Domain Adaptation*, ICCV 2019.

    Args:
        step: How much longer than they are features shall be, > 0.
        radius: How long all shall be instead (HAFN), > 0; 25 in the paper.
        weight: What the loss is multiplied by, 0.05 in the paper; a number is the end of a `Ramp`.

    Raises:
        InputError: If an argument is out of range, or there is no source or no target.
    """

    ramps: ClassVar[bool] = True

    def __init__(self, step: float = 1.0, radius: float | None = None, *, weight: Any = 0.05):
        super().__init__(weight)
        self.step = number(step, "step", above=0)
        self.radius = None if radius is None else number(radius, "radius", above=0)

    def begin(self, setup: Setup) -> None:
        """Check the domains."""
        setup.require_domains(self)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the sum over both sides, and the mean norm of either."""
        (source, source_norm), (target, target_norm) = (
            self._side(domain) for domain in (batch.source, batch.target)
        )
        return {
            "loss": source + target,
            "afn_source_norm": source_norm,
            "afn_target_norm": target_norm,
        }

    def _side(self, domain: DomainBatch):
        norms = feature_norms(domain.features)
        if self.radius is None:
            values = stepwise_loss(norms, self.step)
        else:
            values = hard_loss(norms, self.radius)
        return domain.mean(values), domain.mean(norms)
