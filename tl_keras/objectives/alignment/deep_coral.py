"""Correlation alignment: source and target features get the same covariances."""

from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from tl_keras.objectives.alignment.layer_outputs import (
    checked_outputs,
    layer_output,
    map_reading,
    require_outputs,
)
from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup


def covariance(points):
    """Return the covariance `(d, d)` of points `(n, d)`, over n − 1; zeros for one point."""
    centred = points - tf.reduce_mean(points, axis=0)
    freedom = tf.maximum(tf.cast(tf.shape(points)[0], points.dtype) - 1.0, 1.0)
    return tf.matmul(centred, centred, transpose_a=True) / freedom


def coral_distance(source: Any, target: Any) -> Any:
    """Return `‖cov(source) − cov(target)‖² / (4 d²)` of samples `(m, d)` and `(n, d)`."""
    difference = covariance(source) - covariance(target)
    size = tf.cast(tf.size(difference), difference.dtype)
    return tf.reduce_sum(tf.square(difference)) / (4.0 * size)


class DeepCORAL(Objective):
    """Brings the covariances of source and target features together.

    Cheap, without a network of its own or kernels. It matches second moments only.

    Several sources are pooled, and so are several targets. Each replica compares what it has of
    the domains; the loss is the mean over replicas. A share with a single example of a side has no
    covariance, and counts nothing.

    Strength: with the weight 4, `‖C_s − C_t‖² / d²` of the features counts once, as in
    Transfer-Learning-Library, which adds the mean squared difference of the means. The paper
    compares logits with `1/4d²` and a weight such that the loss ends as large as the classifier's:
    covariances of logits grow with the square of what the classifier is sure of, and with few
    dimensions nothing divides that, so `layers=["logits"]` wants a smaller weight.

    Sun, Saenko: *Deep CORAL: Correlation Alignment for Deep Domain Adaptation*, ECCV 2016
    Workshops.

    Args:
        layers: What is compared, summed: some of `"feature_map"` (averaged over positions),
            `"features"`, `"logits"`, `"probabilities"`.
        weight: What the loss is multiplied by; a number is the end of a `Ramp`.

    Raises:
        InputError: If an argument is out of range, or there is no source or no target.
    """

    ramps: ClassVar[bool] = True

    def __init__(self, layers: Sequence[str] = ("features",), *, weight: Any = 4.0):
        super().__init__(weight)
        self.layers = checked_outputs(layers)
        self.reads_feature_map = map_reading(self.layers)

    def begin(self, setup: Setup) -> None:
        """Check domains and model."""
        setup.require_domains(self)
        require_outputs(self.layers, setup, self)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the sum over layers."""
        source, target = batch.source, batch.target
        parts = [
            coral_distance(layer_output(source, one), layer_output(target, one))
            for one in self.layers
        ]
        fewest = tf.minimum(tf.size(source.real), tf.size(target.real))
        return {"loss": batch.per_pair(tf.where(fewest > 1, tf.add_n(parts), 0.0))}
