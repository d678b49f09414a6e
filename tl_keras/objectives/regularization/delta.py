"""DELTA: the feature map stays near the starting point's, channels that matter most of all."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives.batch import Batch, DomainBatch, pooled
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.regularization.starting_point import StartingPoint, require_replaceable
from tl_keras.tasks.losses import softmax_cross_entropy

SOFTNESS = 5.0


def channel_rises(feature_map, gradient):
    """Return how much the loss rises without a channel, to first order, `(b, channels)`.

    `−Σ over positions of F · ∂L/∂F`.

    Args:
        feature_map: `F`, `(b, …, channels)`.
        gradient: Of the loss of each example by its own feature map, `(b, …, channels)`.
    """
    rise = -feature_map * gradient
    return tf.reduce_sum(rise, axis=list(range(1, rise.shape.rank - 1)))


def channel_attention(rises):
    """Return how much each channel matters, `(channels,)`, which sums to 1.

    `W = softmax((r − mean r) / (5 · deviation of r))`, so that a channel one standard deviation
    above the mean weighs e^0.2 = 1.22 times as much, whatever the size of the loss. Where all rises
    are the same, so are the weights.

    Args:
        rises: `r`, of the mean loss without a channel, `(channels,)`.
    """
    centred = rises - tf.reduce_mean(rises)
    return tf.nn.softmax(tf.math.divide_no_nan(centred, SOFTNESS * tf.math.reduce_std(rises)))


def attended_distance(feature_map, start, attention):
    """Return `C · Σ_c W_c · mean over positions of (F_c − F⁰_c)²` per example, `(b,)`.

    Args:
        feature_map: `F`, `(b, …, C)`.
        start: `F⁰`, the same of the starting point.
        attention: `W`, `(C,)`, which sums to 1; equal weights give the sum over channels.
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

    `C · Σ_c W_c ‖F_c − F⁰_c‖² / positions` as in `attended_distance`, the mean over all examples of
    all domains. The attention `W` is that of the labelled examples of the batch under the present
    head, read on the starting point's map (`channel_attention`); without any label, channels have
    equal weights. Begin with a stage that trains the head alone: a new head relies on channels by
    chance. Any number of replicas gives what one device does; with `Stage.accumulation`, each
    micro-batch has its own attention. While the backbone is frozen the loss is 0.

    Strength: 0.24 of a mean over examples, which is that of the authors' code and of
    Transfer-Learning-Library, whose 0.01 multiplies half the sum over a batch of 48. They sum four
    maps, where this is the backbone's output only, and find the attention once, before training, by
    zeroing filters. Without attention, Transfer-Learning-Library does not divide by the number of
    positions.

    Li, Xiong, Wang, Rao, Liu, Huan: *DELTA: Deep Learning Transfer using Feature Map with Attention
    for Convolutional Networks*, ICLR 2019.

    Args:
        attention: Whether channels are weighted; False holds all alike, for models of any kind.
        weight: Strength, ≥ 0, or a function of progress.

    Raises:
        InputError: If the backbone is a SavedModel, or there are no classes for the attention.
    """

    def __init__(self, attention: bool = True, *, weight: Any = 0.24):
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
        starts = {
            name: tf.cast(self._start.forward(batch, name).feature_map, tf.float32)
            for name in batch
        }
        attention = self._attention(batch, starts)
        values = [
            attended_distance(tf.cast(domain.feature_map, tf.float32), starts[name], attention)
            for name, domain in batch.items()
        ]
        everything = pooled(list(batch.values()))
        return {"loss": everything.mean(tf.concat(values, axis=0))}

    def _attention(self, batch: Batch, starts: Mapping[str, Any]):
        """Return the attention of the whole batch's labelled examples, `(channels,)`."""
        channels = next(iter(starts.values())).shape[-1]
        rises = tf.zeros(channels)
        if self.attention:
            for name, domain in batch.labelled.items():
                rises += self._rises(batch.model, domain, starts[name])
        # The mean is a multiple of the sum, which gives the same attention.
        return channel_attention(batch.total(rises))

    def _rises(self, model: TransferModel, domain: DomainBatch, start):
        """Return the sum over the labelled examples of a domain, `(channels,)`."""
        with tf.GradientTape() as tape:
            tape.watch(start)
            logits = model.forward_from_feature_map(start, training=False).logits
            loss = softmax_cross_entropy(domain.y, logits) * domain.labelled
        rises = channel_rises(start, tape.gradient(loss, start))
        return tf.reduce_sum(tf.where(domain.real[:, None], rises, 0.0), axis=0)
