"""Margin disparity discrepancy: a second classifier agrees on the source only."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_keras.objectives.alignment.adversarial import AdversarialObjective
from tl_keras.objectives.batch import Batch
from tl_keras.objectives.domain_discriminator import perceptron
from tl_keras.objectives.objective import Setup
from tl_keras.utils.arguments import hidden_units as checked_units
from tl_keras.utils.arguments import number


def agreement_loss(logits, labels):
    """Return `−log σ_y(logits)` per example, with the softmax `σ` and integer labels `y`."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def disagreement_loss(logits, labels):
    """Return `−log(1 − σ_y(logits))` per example."""
    own = tf.one_hot(labels, tf.shape(logits)[-1], on_value=True, off_value=False, dtype=tf.bool)
    others = tf.where(own, tf.fill(tf.shape(logits), logits.dtype.min / 2), logits)
    return tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_logsumexp(others, axis=-1)


class MDD(AdversarialObjective):
    """Trains against a second classifier that contradicts the first on the target only.

    With the prediction `y = argmax` of the model, the second classifier minimises
    `γ · E_s[−log σ_y(f′)] + E_t[−log(1 − σ_y(f′))]`; the features maximise it, through reversed
    gradients, so that who agrees on the source has to agree on the target. Has the strongest
    theory of the adversarial objectives.

    Several sources are pooled, and so are several targets. Losses are means over examples: any
    number of replicas gives what one device does.

    Strength: margin 4 and a reversal that ends at 0.1 are those of Transfer-Learning-Library and of
    the authors' code; their second classifier has 1,024 units.

    Zhang, Liu, Long, Jordan: *Bridging Theory and Algorithm for Domain Adaptation*, ICML 2019.

    Args:
        margin: `γ` > 0, the logarithm of which is the margin; 2 … 4 in the paper.
        hidden_units: Widths of the second classifier's hidden layers.
        weight: How strongly the features are trained against it; a number is the end of a `Ramp`.
            The second classifier itself always learns at full strength.

    Raises:
        InputError: If an argument is out of range, the model is not a classifier, or there is no
            source or no target.
    """

    def __init__(
        self, margin: float = 4.0, hidden_units: Sequence[int] = (128,), *, weight: Any = 0.1
    ):
        super().__init__(weight)
        self.margin = number(margin, "margin", above=0)
        self.hidden_units = checked_units(hidden_units)

    def begin(self, setup: Setup) -> None:
        """Make the second classifier."""
        setup.require_domains(self)
        setup.require_classes(self)
        self.classifier = perceptron(
            setup.num_features,
            self.hidden_units,
            setup.num_classes,
            seed=setup.seed,
            name="mdd_classifier",
        )

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the second classifier."""
        return {"classifier": self.classifier}

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the second classifier's loss, and its two parts without the margin."""
        source, target = batch.source, batch.target
        parts = []
        for domain, loss in ((source, agreement_loss), (target, disagreement_loss)):
            predicted = tf.argmax(domain.logits, axis=-1)
            logits = self.classifier(self.against(batch, domain.features))
            parts.append(domain.mean(loss(logits, predicted)))
        agreement, disagreement = parts
        return {
            "loss": self.margin * agreement + disagreement,
            "mdd_source": agreement,
            "mdd_target": disagreement,
        }
