"""The joint loss of source and target: both sets of labels at once."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tl_keras.objectives.batch import Batch, pooled
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.supervised import Supervised
from tl_keras.objectives.weights import resolve_weight
from tl_keras.utils.arguments import is_real, number
from tl_keras.utils.errors import InputError


def joint_loss(source_losses, source_weights, target_loss, alpha):
    """Return `α · Σ wᵢ Lᵢ / Σ wᵢ + (1 − α) · L_target`.

    Args:
        source_losses: One scalar per source domain.
        source_weights: One number ≥ 0 per source domain, not all of them 0.
        target_loss: Scalar.
        alpha: `α`, 0 … 1.
    """
    total = tf.add_n([w * loss for w, loss in zip(source_weights, source_losses, strict=True)])
    return alpha * total / sum(source_weights) + (1.0 - alpha) * target_loss


class Joint(Objective):
    """Fits the labels of source and target together: `α · L_source + (1 − α) · L_target`.

    For a target with few labels of the same task as a source with many; it stands in the place of
    `Supervised`. `α = 1` trains on the source alone, `α = 0` on the target alone, and an `α` that
    falls, such as `tl.objectives.Linear(1.0, 0.1)`, goes from the one to the other.

    `L` are means over the labelled examples of a domain; with several tasks, the sum of theirs.
    Labelled examples of all targets are pooled. Any number of replicas gives what one device does.
    Validation data is measured by `Supervised`.

    Ben-David, Blitzer, Crammer, Kulesza, Pereira, Vaughan: *A Theory of Learning from Different
    Domains*, Machine Learning 79, 2010, section 5; their α is the share of the target.

    Args:
        alpha: Share of the source, 0 … 1, or a function of progress to that.
        source_weights: Source domain → weight ≥ 0 of its mean among the sources; those that are not
            named have 1.
        label_smoothing: Share of each target spread over all classes, from 0 to below 1.
        weight: What the loss is multiplied by.

    Raises:
        InputError: If an argument is out of range, a name is no source, or source or target have no
            labels.
    """

    def __init__(
        self,
        alpha: Any = 0.5,
        source_weights: Mapping[str, float] | None = None,
        label_smoothing: float = 0.0,
        *,
        weight: Any = 1.0,
    ):
        super().__init__(weight)
        if is_real(alpha) and not 0.0 <= alpha <= 1.0:
            raise InputError(f"alpha: expected a share from 0 to 1, got {alpha!r}.")
        self.alpha = alpha
        self.source_weights = {
            str(name): number(value, f"source_weights[{name!r}]", least=0.0)
            for name, value in (source_weights or {}).items()
        }
        self.label_smoothing = label_smoothing
        self._alpha = resolve_weight(alpha, "alpha")
        self._supervised = Supervised(label_smoothing)

    def begin(self, setup: Setup) -> None:
        """Check that both sides have labels."""
        setup.require_domains(self)
        for kind, names in (("source", setup.sources), ("target", setup.targets)):
            if not set(names) & set(setup.labelled):
                raise InputError(
                    f"data: Joint needs labels in a {kind} domain, got labels in "
                    f"{list(setup.labelled)} only. Without labels in the target, use Supervised() "
                    "and an adaptation objective such as DANN()."
                )
        strangers = sorted(set(self.source_weights) - set(setup.sources))
        if strangers:
            raise InputError(
                f"source_weights: {strangers} are no source domains; these are "
                f"{list(setup.sources)}."
            )
        if sum(self._weights(setup.sources, setup.labelled)) == 0.0:
            raise InputError("source_weights: at least one labelled source needs a weight > 0.")

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the joint loss, and that of either side."""
        labelled = batch.labelled
        sources = [name for name in batch.source_names if name in labelled]
        losses = [self._loss(labelled[name], batch) for name in sources]
        targets = [labelled[name] for name in batch.target_names if name in labelled]
        target = self._loss(pooled(targets), batch)
        weights = self._weights(batch.source_names, labelled)
        alpha = tf.clip_by_value(tf.cast(self._alpha(batch.progress), tf.float32), 0.0, 1.0)
        source = joint_loss(losses, weights, 0.0, 1.0)
        return {
            "loss": joint_loss(losses, weights, target, alpha),
            "source_loss": source,
            "target_loss": target,
        }

    def examples_of(self, batch: Batch) -> dict[str, Any]:
        """Return the number of labelled target examples: there are few, and batches without."""
        targets = [batch.labelled[name] for name in batch.target_names if name in batch.labelled]
        labelled = tf.nest.flatten(pooled(targets).counts.labelled)
        return {"target_loss": tf.reduce_max(tf.stack(labelled))}

    def _weights(self, sources, labelled) -> list[float]:
        return [self.source_weights.get(name, 1.0) for name in sources if name in labelled]

    def _loss(self, domain, batch: Batch):
        return self._supervised.domain_losses(domain, batch.targets)["loss"]
