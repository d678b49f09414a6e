"""Adaptive feature norm: features of both domains become as long as one radius."""

from typing import Any, ClassVar

import keras
import tensorflow as tf

from tl_keras.objectives.batch import Batch, DomainBatch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.utils.arguments import number
from tl_keras.utils.errors import InputError

PAPER_RADIUS = 25.0
PAPER_START = 500.0**0.5
"""Norm that the reference's features begin with: 1,000 normalised units behind a ReLU."""


def feature_norms(features):
    """Return the Euclidean length per example of features `(b, d)`; its gradient is finite at 0."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(features), axis=-1), 1e-12))


def stepwise_loss(norms, step: float):
    """Return `(n − (n₀ + step))²` per example, where `n₀` is `n` taken as a constant."""
    return tf.square(norms - (tf.stop_gradient(norms) + step))


def hard_loss(norms, radius: float):
    """Return `(n − radius)²` per example."""
    return tf.square(norms - radius)


def mean_norm_loss(norms, mean, start):
    """Return per example what has the mean `(n̄ − 25/√500 · n̄₀)²`, and its gradient.

    Args:
        norms: `n`, `(b,)`.
        mean: `n̄`, their mean over the whole batch, a constant.
        start: `n̄₀` > 0, the mean norm that training began with.
    """
    gap = mean - PAPER_RADIUS / PAPER_START * start
    return tf.square(gap) + 2.0 * gap * (norms - tf.stop_gradient(norms))


class AFN(Objective):
    """Makes the features of both domains as long as one radius, a little longer than at the start.

    Target features are shorter than source features, and short ones transfer badly. By default the
    mean norm of either domain is drawn to 1.118 times the mean norm of the source features in the
    first step: `(n̄ − 1.118 · n̄₀)²`, summed over both. Very cheap, and simple to combine; watch
    `afn_source_norm` and `afn_target_norm`.

    With a step, each example is asked for a little more than it has (SAFN), so that the logged loss
    is a constant. Its norms have no end: Adam, which divides gradients by their size, lets them
    grow as fast as it can once the other losses are small. With a radius, each example's norm is
    compared with it.

    Several sources are pooled, and so are several targets. Losses are means over examples: any
    number of replicas gives what one device does; with `Stage.accumulation`, `n̄` is each
    micro-batch's own.

    Strength: the weight 0.05 is that of the authors and of Transfer-Learning-Library. Theirs are
    the radius 25, or the step 1, for features of 1,000 normalised units, whose norm begins at
    √500 = 22.4; ours is the same radius, relative to where the norm begins.

    Xu, Li, Yang, Lin: *Larger Norm More Transferable: An Adaptive Feature Norm Approach for
    Unsupervised Domain Adaptation*, ICCV 2019.

    Args:
        step: How much longer than they are features shall be instead, > 0 (SAFN).
        radius: How long all shall be instead, > 0 (HAFN).
        weight: What the loss is multiplied by; a number is the end of a `Ramp`.

    Raises:
        InputError: If an argument is out of range, both a step and a radius are given, or there is
            no source or no target.
    """

    ramps: ClassVar[bool] = True

    def __init__(
        self, step: float | None = None, radius: float | None = None, *, weight: Any = 0.05
    ):
        super().__init__(weight)
        if step is not None and radius is not None:
            raise InputError(
                f"step, radius: expected one of them or none, got {step!r} and {radius!r}. Leave "
                "one out."
            )
        self.step = None if step is None else number(step, "step", above=0)
        self.radius = None if radius is None else number(radius, "radius", above=0)

    def begin(self, setup: Setup) -> None:
        """Check the domains."""
        setup.require_domains(self)
        self._start = keras.Variable(
            0.0,
            trainable=False,
            synchronization="on_read",
            aggregation="only_first_replica",
            name="afn_start",
        )

    def memory(self) -> list[keras.Variable]:
        """Return the mean norm that training began with; 0 before."""
        return [self._start]

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the sum over both sides, and the mean norm of either."""
        sides = [(one, feature_norms(one.features)) for one in (batch.source, batch.target)]
        if self.step is not None:
            values = [stepwise_loss(norms, self.step) for _, norms in sides]
        elif self.radius is not None:
            values = [hard_loss(norms, self.radius) for _, norms in sides]
        else:
            means = [_mean_norm(batch, *side) for side in sides]
            start = self._remembered(means[0])
            values = [
                mean_norm_loss(norms, mean, start)
                for (_, norms), mean in zip(sides, means, strict=True)
            ]
        losses = [domain.mean(one) for (domain, _), one in zip(sides, values, strict=True)]
        source_norm, target_norm = (domain.mean(norms) for domain, norms in sides)
        return {
            "loss": tf.add_n(losses),
            "afn_source_norm": source_norm,
            "afn_target_norm": target_norm,
        }

    def _remembered(self, mean):
        """Return the mean norm of the source in the first step, which this is where none is."""
        start = self._start.value
        start = tf.where(start > 0.0, start, mean)
        self._start.assign(start)
        return tf.maximum(start, 1e-6)


def _mean_norm(batch: Batch, domain: DomainBatch, norms):
    """Return the mean norm over all replicas' examples of a domain, a constant."""
    real = tf.cast(domain.real, tf.float32)
    totals = batch.total(tf.stack([tf.reduce_sum(real * norms), tf.reduce_sum(real)]))
    return totals[0] / tf.maximum(totals[1], 1.0)
