"""DELTA: the feature map stays near the starting point's, channels that matter most of all."""

from typing import Any

import keras
import tensorflow as tf

from tl_keras.objectives.batch import Batch, DomainBatch, pooled
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.starting_point import StartingPoint, require_replaceable
from tl_keras.objectives.supervised import softmax_cross_entropy
from tl_keras.transfer_model import TransferModel


def channel_attention(feature_map, gradient):
    """Return how much each channel matters to the loss, `(b, channels)`, which sums to 1.

    `W = softmax over channels of (L without the channel − L)`, where the difference is taken to
    first order: `−Σ over positions of F · ∂L/∂F`.

    Args:
        feature_map: `F`, `(b, …, channels)`.
        gradient: Of the loss of each example by its own feature map, `(b, …, channels)`.
    """
    rise = -feature_map * gradient
    return tf.nn.softmax(tf.reduce_sum(rise, axis=list(range(1, rise.shape.rank - 1))), axis=-1)


def attended_distance(feature_map, start, attention):
    """Return `C · Σ_c W_c · mean over positions of (F_c − F⁰_c)²` per example, `(b,)`.

    Args:
        feature_map: `F`, `(b, …, C)`.
        start: `F⁰`, the same of the starting point.
        attention: `W`, `(b, C)`, which sums to 1; equal weights give the sum over channels.
    """
    squared = tf.square(feature_map - start)
    by_channel = tf.reduce_mean(squared, axis=list(range(1, squared.shape.rank - 1)))
    channels = tf.cast(tf.shape(by_channel)[-1], tf.float32)
    return channels * tf.reduce_sum(attention * by_channel, axis=-1)


class DELTA(Objective):
    """Holds the backbone's feature map near that of the starting point, not its weights.

    The network may change as it likes while its output for these images stays; channels that the
    classifier relies on are held the most. Steadier than `L2SP` where the layers are to move, and
    dearer: every step runs the backbone twice.

    `Σ_c W_c ‖F_c − F⁰_c‖²` as in `attended_distance`, the mean over all examples of all domains.
    The attention `W` of an example is that of its label under the present head, read on the
    starting point's map (`channel_attention`); examples without a label have equal weights. The map
    is the backbone's output; the paper adds maps from further below, and finds the attention before
    training. Any number of replicas gives what one device does. While the backbone is frozen
    the loss is 0.

    Li, Xiong, Wang, Rao, Liu, Huan: *DELTA: Deep Learning Transfer using Feature Map with Attention
    for Convolutional Networks*, ICLR 2019.

    Args:
        attention: Whether channels are weighted; False holds all alike, for models of any kind.
        weight: Strength, ≥ 0, or a function of progress.

    Raises:
        InputError: If the backbone is a SavedModel, or there are no classes for the attention.
    """

    def __init__(self, attention: bool = True, *, weight: Any = 0.01):
        super().__init__(weight)
        self.attention = bool(attention)

    def begin(self, setup: Setup) -> None:
        """Remember the backbone."""
        require_replaceable(setup, self)
        if self.attention:
            setup.require_classes(self)
        self._start = StartingPoint(setup.model, statistics=True)

    def rerun_weights(self, model: TransferModel) -> list[tuple[Any, Any]]:
        """Return the starting values."""
        return self._start.pairs()

    def memory(self) -> list[keras.Variable]:
        """Return the starting values."""
        return self._start.values

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the mean distance of the feature maps."""
        if not batch.model.backbone.trainable_variables:
            return {"loss": batch.per_batch(0.0)}
        values = []
        for name, domain in batch.items():
            start = tf.cast(self._start.forward(batch, name).feature_map, tf.float32)
            attention = self._attention(batch.model, domain, start)
            now = tf.cast(domain.feature_map, tf.float32)
            values.append(attended_distance(now, start, attention))
        everything = pooled(list(batch.values()))
        return {"loss": everything.mean(tf.concat(values, axis=0))}

    def _attention(self, model, domain: DomainBatch, start):
        if not self.attention or domain.y is None:
            return tf.ones_like(start[(slice(None), *[0] * (start.shape.rank - 2))]) / float(
                start.shape[-1]
            )
        with tf.GradientTape() as tape:
            tape.watch(start)
            logits = model.forward_from_feature_map(start, training=False).logits
            loss = softmax_cross_entropy(domain.y, logits) * domain.labelled
        return tf.stop_gradient(channel_attention(start, tape.gradient(loss, start)))
