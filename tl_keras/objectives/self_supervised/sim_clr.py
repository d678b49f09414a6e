"""SimCLR: two views of an image are nearer to each other than to all other images."""

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

VIEWS = ("sim_clr_1", "sim_clr_2")
FAR = -1e9


def contrastive_loss(first, second, mask, temperature: float):
    """Return the NT-Xent loss of each pair of views `(b,)`.

    `ℓ(i) = −log exp(s(zᵢ, z'ᵢ)/τ) / Σ exp(s(zᵢ, z)/τ)`, the sum over the other view of the same
    image and both views of all other images, `s` the cosine; the mean of `ℓ` from both views.

    Args:
        first: Projections of one view `(b, size)`.
        second: Projections of the other view `(b, size)`.
        mask: float32 `(b,)`, 0 for rows that stand in for nothing: they are nobody's negatives.
        temperature: τ > 0.
    """
    z = tf.math.l2_normalize(tf.concat([first, second], axis=0), axis=1, epsilon=1e-12)
    count = tf.shape(first)[0]
    similarity = tf.matmul(z, z, transpose_b=True) / temperature
    there = tf.tile(mask, [2])
    itself = tf.eye(2 * count)
    partner = tf.roll(itself, count, axis=1)
    hidden = tf.maximum(itself, (1.0 - there)[None, :] * (1.0 - partner))
    log_p = tf.nn.log_softmax(tf.where(hidden > 0, FAR, similarity), axis=1)
    both = -tf.reduce_sum(tf.where(partner > 0, log_p, 0.0), axis=1)
    return (both[:count] + both[count:]) / 2.0


class SimCLR(Objective):
    """Contrasts two random views of each image with all other images.

    Needs no labels: for `tl.pretrain` on many images before `fine_tune` on few, or beside
    `Supervised`. What the views change (place, size, light) the features learn to ignore, so the
    augmentation decides what is learned. The loss is NT-Xent on projections
    `z = W₂ relu(W₁ features)`; the projection belongs to the objective and is dropped afterwards.

    An image's negatives are those of the same replica's share of the batch (of the same slice with
    `accumulation`): large shares, from 64 images on, work better. Both views run through one
    forward pass.

    Args:
        temperature: τ > 0; 0.1 … 0.5. The smaller, the more the nearest negatives count.
        hidden_units: Widths of the projection's hidden layers.
        size: Length of the projections, ≥ 1.
        augmentation: Keras augmentation layer or layers of both views, applied in order to 0–255
            images. By default crops, small turns, brightness, contrast and colour; no flips.
        weight: What the loss is multiplied by.

    Raises:
        InputError: If an argument is out of range, or the model does not take images.

    Strength: the loss and the weight 1 are the authors', whose temperature is 0.1 for ImageNet and
    0.5 for small images; ours is 0.2.

    Chen et al.: *A Simple Framework for Contrastive Learning of Visual Representations*, ICML 2020.
    """

    reads_views_only = True

    def __init__(
        self,
        temperature: float = 0.2,
        hidden_units: Sequence[int] = (128,),
        size: int = 64,
        augmentation: Any = None,
        *,
        weight: Any = 1.0,
    ):
        super().__init__(weight)
        self.temperature = number(temperature, "temperature", above=0.0)
        self.hidden_units = layer_widths(hidden_units)
        self.size = whole(size, "size")
        self.augmentation = resolve_view(augmentation, "augmentation")

    def begin(self, setup: Setup) -> None:
        """Build the projection and try the views."""
        layers = self.augmentation
        if layers is None:
            layers = contrastive_layers(setup.model.modality.shape[-1])
        self._layers = checked_view(layers, setup)
        self._projection = perceptron(
            setup.num_features, self.hidden_units, self.size, seed=setup.seed, name="sim_clr"
        )

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the projection."""
        return {"projection": self._projection}

    def views(self) -> dict[str, Any]:
        """Return two views by the same layers, each with random numbers of its own."""
        return dict.fromkeys(VIEWS, (self._layers, None))

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the mean NT-Xent loss over all images of all domains."""
        first, second = (pooled(list(batch.views[view].values())) for view in VIEWS)
        one, other = (self._projection(view.features) for view in (first, second))
        values = contrastive_loss(one, other, tf.cast(first.real, tf.float32), self.temperature)
        return {"loss": first.mean(values)}
