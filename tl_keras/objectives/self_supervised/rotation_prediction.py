"""Rotation prediction: who can tell how an image was turned has understood something of it."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tl_keras.objectives.augmented_views import checked_view
from tl_keras.objectives.batch import Batch, pooled
from tl_keras.objectives.domain_discriminator import perceptron
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.tasks.losses import softmax_cross_entropy
from tl_keras.utils.errors import InputError

VIEWS = ("rotation_90", "rotation_180", "rotation_270")


@keras.saving.register_keras_serializable("tl_keras")
class QuarterTurns(keras.layers.Layer):
    """Turns images anticlockwise by quarters of a circle.

    Args:
        turns: Number of quarters, 1 … 3.
        dtype: Of the images; half precision is too coarse for pixels.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        images: `(batch, side, side, channels)`.

    Returns:
        The turned images, same shape.
    """

    def __init__(self, turns: int = 1, *, dtype: Any = "float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.turns = int(turns)

    def call(self, images):
        """Turn a batch of images."""
        return ops.rot90(images, k=self.turns, axes=(1, 2))

    def compute_output_shape(self, input_shape):
        """Return the shape of the turned images."""
        batch, height, width, channels = input_shape
        return (batch, width, height, channels) if self.turns % 2 else input_shape

    def get_config(self):
        """Return what `from_config` needs to build the same layer."""
        return {**super().get_config(), "turns": self.turns}


class RotationPrediction(Objective):
    """Tells apart images turned by 0°, 90°, 180° and 270°, without labels.

    `loss = ¼ Σₖ mean −log softmax(W·features(turnₖ(x)))[k]`. For `tl.pretrain`, or beside
    `Supervised` on images without labels. It works for photographs, which have an upper side; it
    has nothing to say about textures, cells, or views from above.

    All four turns of every image run through one forward pass, which is four times as large.

    Args:
        weight: What the loss is multiplied by.

    Raises:
        InputError: If the model does not take square images.

    Gidaris, Singh, Komodakis: *Unsupervised Representation Learning by Predicting Image
    Rotations*, ICLR 2018.
    """

    def __init__(self, *, weight: Any = 1.0):
        super().__init__(weight)
        self._turns = tuple(QuarterTurns(turns) for turns in (1, 2, 3))

    def begin(self, setup: Setup) -> None:
        """Build the classifier of the four turns."""
        shape = setup.model.modality.shape
        if setup.model.modality.are_images and shape[0] != shape[1]:
            raise InputError(
                f"model: RotationPrediction turns images by 90° and needs square ones, but the "
                f"model takes {tuple(shape)}. Build it with a square input_shape."
            )
        for layer in self._turns:
            checked_view((layer,), setup)
        self._classifier = perceptron(setup.num_features, (), 4, seed=setup.seed, name="rotation")

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the classifier of the four turns."""
        return {"classifier": self._classifier}

    def views(self) -> dict[str, Any]:
        """Return the three turned views."""
        return {view: ((layer,), None) for view, layer in zip(VIEWS, self._turns, strict=True)}

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the mean cross-entropy over all images and turns, and the accuracy."""
        turned = [batch, *(batch.views[view] for view in VIEWS)]
        losses, right = [], []
        for number, view in enumerate(turned):
            domain = pooled([view[name] for name in batch])
            logits = self._classifier(domain.features)
            labels = tf.one_hot(tf.fill(tf.shape(logits)[:1], number), 4)
            losses.append(domain.mean(softmax_cross_entropy(labels, logits)))
            right.append(domain.mean(tf.argmax(logits, axis=1) == number))
        return {
            "loss": tf.add_n(losses) / 4.0,
            "rotation_accuracy": tf.add_n(right) / 4.0,
        }
