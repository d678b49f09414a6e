"""VICReg: two views agree, and the features neither collapse nor repeat each other."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_keras.objectives.augmented_views import checked_view, contrastive_layers, resolve_view
from tl_keras.objectives.batch import Batch, pooled
from tl_keras.objectives.domain_discriminator import perceptron
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.utils.arguments import hidden_units as layer_widths
from tl_keras.utils.arguments import number, whole

VIEWS = ("vicreg_1", "vicreg_2")


def invariance(first, second):
    """Return the mean squared difference of each pair of embeddings `(b,)`."""
    return tf.reduce_mean(tf.square(first - second), axis=1)


def variance_and_covariance(z, mask, epsilon: float = 1e-4):
    """Return how far embeddings are from spread and decorrelated, two scalars.

    Variance: mean over dimensions of `max(0, 1 − sqrt(Var z + ε))`. Covariance: the squared
    off-diagonal entries of the covariance matrix, summed and divided by the number of dimensions.

    Args:
        z: Embeddings `(b, size)`.
        mask: float32 `(b,)`, 1 for the rows that count.
        epsilon: ε > 0.
    """
    size = z.shape[-1]
    count = tf.reduce_sum(mask)
    mean = tf.reduce_sum(z * mask[:, None], axis=0) / tf.maximum(count, 1.0)
    centred = (z - mean) * mask[:, None]
    covariance = tf.matmul(centred, centred, transpose_a=True) / tf.maximum(count - 1.0, 1.0)
    deviation = tf.sqrt(tf.linalg.diag_part(covariance) + epsilon)
    variance = tf.reduce_mean(tf.nn.relu(1.0 - deviation))
    off_diagonal = tf.linalg.set_diag(covariance, tf.zeros([size]))
    return variance, tf.reduce_sum(tf.square(off_diagonal)) / size


class VICReg(Objective):
    """Variance–invariance–covariance regularization of two random views of each image.

    `loss = 25·s(z, z') + 25·(v(z) + v(z'))/2 + c(z) + c(z')` on embeddings `z` by an expander of
    the objective's own: `s` the mean squared difference, `v` the hinge on the standard deviation of
    each dimension, `c` the off-diagonal covariances. Needs no labels and, unlike SimCLR, no
    negatives, so that smaller batches do; for `tl.pretrain`, or beside `Supervised`.

    `v` and `c` are statistics of a replica's share of the batch (of a slice with `accumulation`);
    a share should hold more images than a few dozen. Both views run through one forward pass.

    Args:
        invariance: Weight of `s`, ≥ 0.
        variance: Weight of `v`, ≥ 0.
        covariance: Weight of `c`, ≥ 0.
        hidden_units: Widths of the expander's hidden layers.
        size: Length of the embeddings, ≥ 1.
        augmentation: Keras augmentation layer or layers of both views, applied in order to 0–255
            images. By default crops, small turns, brightness, contrast and colour; no flips.
        weight: What the loss is multiplied by.

    Raises:
        InputError: If an argument is out of range, or the model does not take images.

    Strength: 25, 25 and 1 and the three means are the authors'; their expander has 8,192 units a
    layer.

    Bardes, Ponce, LeCun: *VICReg: Variance-Invariance-Covariance Regularization for
    Self-Supervised Learning*, ICLR 2022.
    """

    reads_views_only = True

    def __init__(
        self,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        hidden_units: Sequence[int] = (256,),
        size: int = 256,
        augmentation: Any = None,
        *,
        weight: Any = 1.0,
    ):
        super().__init__(weight)
        self.invariance = number(invariance, "invariance", least=0.0)
        self.variance = number(variance, "variance", least=0.0)
        self.covariance = number(covariance, "covariance", least=0.0)
        self.hidden_units = layer_widths(hidden_units)
        self.size = whole(size, "size")
        self.augmentation = resolve_view(augmentation, "augmentation")

    @property
    def name(self) -> str:
        """Name in logs."""
        return "vicreg"

    def begin(self, setup: Setup) -> None:
        """Build the expander and try the views."""
        layers = self.augmentation
        if layers is None:
            layers = contrastive_layers(setup.model.modality.shape[-1])
        self._layers = checked_view(layers, setup)
        self._expander = perceptron(
            setup.num_features, self.hidden_units, self.size, seed=setup.seed, name="vicreg"
        )

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the expander."""
        return {"expander": self._expander}

    def views(self) -> dict[str, Any]:
        """Return two views by the same layers, each with random numbers of its own."""
        return dict.fromkeys(VIEWS, (self._layers, None))

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the weighted sum and its three parts."""
        views = [pooled(list(batch.views[view].values())) for view in VIEWS]
        embedded = [self._expander(view.features) for view in views]
        mask = tf.cast(views[0].real, tf.float32)
        statistics = [variance_and_covariance(z, mask) for z in embedded]
        agreement = views[0].mean(invariance(*embedded))
        spread = batch.per_batch(sum(variance for variance, _ in statistics) / 2.0)
        repetition = batch.per_batch(sum(covariance for _, covariance in statistics))
        return {
            "loss": self.invariance * agreement
            + self.variance * spread
            + self.covariance * repetition,
            "vicreg_invariance": agreement,
            "vicreg_variance": spread,
            "vicreg_covariance": repetition,
        }
