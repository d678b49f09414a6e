"""Maximum classifier discrepancy: two classifiers that disagree where the target is unlike."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_keras.objectives.alignment.adversarial import AdversarialObjective
from tl_keras.objectives.batch import Batch, pooled
from tl_keras.objectives.domain_discriminator import perceptron
from tl_keras.objectives.objective import Setup
from tl_keras.tasks.losses import softmax_cross_entropy
from tl_keras.utils.arguments import hidden_units as checked_units
from tl_keras.utils.errors import InputError

FEATURE_UPDATES = 4.0


def discrepancy(first, second):
    """Return the mean over classes of `|softmax(first) − softmax(second)|` per example."""
    return tf.reduce_mean(tf.abs(tf.nn.softmax(first) - tf.nn.softmax(second)), axis=-1)


class MCD(AdversarialObjective):
    """Trains features on which two classifiers that try to disagree about the target cannot.

    Two classifiers on the features learn the labels and maximise their discrepancy
    `E_t[mean |p₁ − p₂|]` on the target, which the features minimise: target examples move away
    from the borders between classes.

    The paper alternates three updates. Here one update does all of it: the discrepancy reads
    reversed features. Both classifiers stand beside the model's own, which learns from
    `Supervised` as always and is the one that is exported.

    Strength: at the weight 1 the features are trained by the classifiers' cross-entropies once and
    against their discrepancy four times as hard, for the four updates of the features that the
    authors and Transfer-Learning-Library make of it in each step. The latter adds 0.01 of an
    entropy that balances classes.

    Several sources are pooled, and so are several targets. Losses are means over examples: any
    number of replicas gives what one device does.

    Saito, Watanabe, Ushiku, Harada: *Maximum Classifier Discrepancy for Unsupervised Domain
    Adaptation*, CVPR 2018.

    Args:
        hidden_units: Widths of the hidden layers of either classifier.
        weight: What gradients into the features are multiplied by, those of the classifiers'
            cross-entropy and four times the reversed ones of the discrepancy; a number is the end
            of a `Ramp`. The classifiers themselves always learn at full strength.

    Raises:
        InputError: If an argument is out of range, the model is not a classifier, nothing is
            labelled, or there is no source or no target.
    """

    def __init__(self, hidden_units: Sequence[int] = (128,), *, weight: Any = 1.0):
        super().__init__(weight)
        self.hidden_units = checked_units(hidden_units)

    def begin(self, setup: Setup) -> None:
        """Make the two classifiers."""
        setup.require_domains(self)
        setup.require_classes(self)
        if not setup.labelled:
            raise InputError("data: MCD needs labels to train its classifiers with, got none.")
        self.classifiers = [
            perceptron(
                setup.num_features,
                self.hidden_units,
                setup.num_classes,
                seed=setup.seed + 1000 * index,
                name=name,
            )
            for index, name in enumerate(("mcd_first", "mcd_second"))
        ]

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the two classifiers."""
        return dict(zip(("first", "second"), self.classifiers, strict=True))

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return cross-entropies less the discrepancy, and both."""
        labelled, target = pooled(list(batch.labelled.values())), batch.target
        read = self.along(batch, labelled.features)
        entropies = [softmax_cross_entropy(labelled.y, one(read)) for one in self.classifiers]
        cross_entropy = labelled.labelled_mean(tf.add_n(entropies))
        turned = self.against(batch, target.features, FEATURE_UPDATES)
        apart = target.mean(discrepancy(*(one(turned) for one in self.classifiers)))
        return {
            "loss": cross_entropy - apart,
            "mcd_cross_entropy": cross_entropy,
            "mcd_discrepancy": apart,
        }
