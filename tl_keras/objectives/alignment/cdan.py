"""Conditional adversarial adaptation: the discriminator reads features and predictions together."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.objectives.alignment.adversarial import AdversarialObjective
from tl_keras.objectives.batch import Batch, DomainBatch
from tl_keras.objectives.domain_discriminator import domain_confusion, domain_discriminator
from tl_keras.objectives.objective import Setup
from tl_keras.utils.arguments import hidden_units as checked_units
from tl_keras.utils.arguments import whole


def multilinear_map(features, probabilities):
    """Return all products `fᵢ·pⱼ`, `(b, d·k)`, of `(b, d)` and `(b, k)`."""
    products = features[:, :, None] * probabilities[:, None, :]
    return tf.reshape(products, [-1, features.shape[-1] * probabilities.shape[-1]])


def randomised_map(features, probabilities, first, second):
    """Return `(f R₁) ⊙ (p R₂) / √m`, `(b, m)`: on average, inner products are `multilinear_map`'s.

    Args:
        features: `(b, d)`.
        probabilities: `(b, k)`.
        first: Random `R₁`, `(d, m)`, of mean 0 and variance 1.
        second: Random `R₂`, `(k, m)`.
    """
    size = tf.cast(tf.shape(first)[1], features.dtype)
    return tf.matmul(features, first) * tf.matmul(probabilities, second) / tf.sqrt(size)


def entropy_weights(probabilities):
    """Return `1 + exp(−H(p))` per example, 1 … 2: sure predictions count more.

    CDAN divides them by their mean over both domains.
    """
    entropy = -tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), axis=-1)
    return 1.0 + tf.exp(-entropy)


class CDAN(AdversarialObjective):
    """Domain-adversarial training within classes: the discriminator sees features ⊗ predictions.

    As `DANN`, with the products of features and predicted probabilities for the discriminator to
    read, and with examples weighted by how sure their prediction is (CDAN+E). The first
    adversarial objective to try where domains differ by class.

    Several sources are pooled, and so are several targets. Losses are means over examples: any
    number of replicas gives what one device does.

    Strength: with the weight 1, and weights of examples whose mean is 1, it is that of
    Transfer-Learning-Library, whose reversal ends at 1 too; its discriminator has 1,024 units a
    layer. With `Stage.accumulation`, each micro-batch's weights have the mean 1.

    Long, Cao, Wang, Jordan: *Conditional Adversarial Domain Adaptation*, NeurIPS 2018.

    Args:
        entropy: Whether examples are weighted by `1 + exp(−H(p))`, divided by its mean.
        hidden_units: Widths of the discriminator's hidden layers.
        largest_map: Most products, ≥ 1, that the discriminator reads; above it random projections
            of features and predictions are multiplied instead.
        random_units: Length of that product, ≥ 1.
        weight: How strongly the features are trained against the discriminator; a number is the
            end of a `Ramp`. The discriminator itself always learns at full strength.

    Raises:
        InputError: If an argument is out of range, the model is not a classifier, or there is no
            source or no target.
    """

    def __init__(
        self,
        entropy: bool = True,
        hidden_units: Sequence[int] = (128, 128),
        *,
        largest_map: int = 4096,
        random_units: int = 1024,
        weight: Any = 1.0,
    ):
        super().__init__(weight)
        self.entropy = bool(entropy)
        self.hidden_units = checked_units(hidden_units)
        self.largest_map = whole(largest_map, "largest_map")
        self.random_units = whole(random_units, "random_units")

    def begin(self, setup: Setup) -> None:
        """Make the discriminator, and the random projections if they are needed."""
        setup.require_domains(self)
        setup.require_classes(self)
        features, classes = setup.num_features, setup.num_classes
        self._projections = []
        inputs = features * classes
        if inputs > self.largest_map:
            inputs = self.random_units
            random = np.random.default_rng(setup.seed)
            self._projections = [
                keras.Variable(
                    random.standard_normal((size, inputs), dtype=np.float32),
                    trainable=False,
                    aggregation="only_first_replica",
                    name=f"projection_{index}",
                )
                for index, size in enumerate((features, classes))
            ]
        self.discriminator = domain_discriminator(
            inputs, self.hidden_units, seed=setup.seed, name="cdan_discriminator"
        )

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the discriminator."""
        return {"discriminator": self.discriminator}

    def memory(self) -> list[keras.Variable]:
        """Return the random projections."""
        return self._projections

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the discriminator's cross-entropy, and its accuracy."""
        source, target = batch.source, batch.target
        (source_logits, source_weights), (target_logits, target_weights) = (
            self._judged(batch, domain) for domain in (source, target)
        )
        mean = self._mean(batch, (source, source_weights), (target, target_weights))
        loss, accuracy = domain_confusion(
            source,
            target,
            source_logits,
            target_logits,
            source_weights=source_weights / mean,
            target_weights=target_weights / mean,
        )
        return {"loss": loss, "cdan_accuracy": accuracy}

    def _judged(self, batch: Batch, domain: DomainBatch):
        """Return the discriminator's logits and the weights of the examples."""
        # Predictions are conditions here: gradients go through the features only.
        probabilities = tf.stop_gradient(tf.nn.softmax(tf.cast(domain.logits, tf.float32)))
        features = self.against(batch, domain.features)
        if self._projections:
            maps = [projection.value for projection in self._projections]
            read = randomised_map(features, probabilities, *maps)
        else:
            read = multilinear_map(features, probabilities)
        weights = tf.ones_like(probabilities[:, 0])
        if self.entropy:
            weights = entropy_weights(probabilities)
        return self.discriminator(read), weights

    def _mean(self, batch: Batch, *sides):
        """Return the mean weight over the whole batch of both domains."""
        if not self.entropy:
            return 1.0
        real = [tf.cast(domain.real, tf.float32) for domain, _ in sides]
        pairs = zip(real, sides, strict=True)
        weight = tf.add_n([tf.reduce_sum(mask * weights) for mask, (_, weights) in pairs])
        count = tf.add_n([tf.reduce_sum(mask) for mask in real])
        total, number = tf.unstack(batch.total(tf.stack([weight, count])))
        return tf.maximum(total, 1.0) / tf.maximum(number, 1.0)
