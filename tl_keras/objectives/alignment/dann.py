"""Domain-adversarial training: features that a discriminator cannot tell the domain from."""

from collections.abc import Sequence
from typing import Any

import keras

from tl_keras.objectives.alignment.adversarial import AdversarialObjective
from tl_keras.objectives.batch import Batch
from tl_keras.objectives.domain_discriminator import domain_confusion, domain_discriminator
from tl_keras.objectives.objective import Setup
from tl_keras.utils.arguments import hidden_units as checked_units


class DANN(AdversarialObjective):
    """Trains the features so that a discriminator cannot tell source from target.

    The discriminator minimises `½ E_s[−log σ(D(f))] + ½ E_t[−log(1 − σ(D(f)))]`; the features
    maximise it, through reversed gradients. Strong, and less stable than `MMD`: average over
    seeds, and watch `dann_accuracy`, which falls towards 0.5 as domains become alike.

    Several sources are pooled, and so are several targets. Losses are means over examples: any
    number of replicas gives what one device does.

    Strength: half of the loss for either domain, and a reversal that ends at 0.1, as that of `MDD`
    does. Transfer-Learning-Library's ends at 1, for pretrained networks trained by SGD, and its
    discriminator has 1,024 units a layer; on a network that learns from scratch with Adam, 1 undid
    what the labels taught, in one run on digits.

    Ganin, Ustinova, Ajakan, …, Lempitsky: *Domain-Adversarial Training of Neural Networks*,
    JMLR 2016.

    Args:
        hidden_units: Widths of the discriminator's hidden layers.
        weight: How strongly the features are trained against the discriminator; a number is the
            end of a `Ramp`. The discriminator itself always learns at full strength.

    Raises:
        InputError: If an argument is out of range, or there is no source or no target.
    """

    def __init__(self, hidden_units: Sequence[int] = (128, 128), *, weight: Any = 0.1):
        super().__init__(weight)
        self.hidden_units = checked_units(hidden_units)

    def begin(self, setup: Setup) -> None:
        """Make the discriminator."""
        setup.require_domains(self)
        self.discriminator = domain_discriminator(
            setup.num_features, self.hidden_units, seed=setup.seed, name="dann_discriminator"
        )

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the discriminator."""
        return {"discriminator": self.discriminator}

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the discriminator's cross-entropy, and its accuracy."""
        source, target = batch.source, batch.target
        logits = [
            self.discriminator(self.against(batch, domain.features)) for domain in (source, target)
        ]
        loss, accuracy = domain_confusion(source, target, *logits)
        return {"loss": loss, "dann_accuracy": accuracy}
