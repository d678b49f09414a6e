"""Adaptive batch normalisation: BatchNorm statistics of the target instead of the source."""

from collections.abc import Mapping
from typing import Any, ClassVar

import tensorflow as tf

from tl_keras.data.domains import DomainExamples, as_domains
from tl_keras.models.model_inputs import check_examples, warn_of_doubtful_values
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives.alignment.batch_norm_statistics import batch_norm_layers, move_to_target
from tl_keras.objectives.batch import Batch, is_target
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError


def adapt_batch_norm(
    model: TransferModel, data: Any, *, source: Any = None, batch_size: int = 64, seed: int = 0
) -> None:
    """Move the BatchNorm statistics of a trained model by what sets other data apart.

    Mean and variance of every layer are moved such that it normalises the new data to what it
    normalises the source to now. So equal domains change nothing, whatever statistics the model
    has: most schedules leave it those of its pretraining, which are not the source's. Where they
    are the source's, the model gets the statistics of the new data.

    Two passes over the source and one over the data, each batch normalised by itself as in
    training. No labels are read, no weight changes besides the moving means and variances, and
    dropout is off. A few hundred examples of either are enough; batches of 32 and more are
    advisable.

    Works on any model after any training, without an objective:

        tl.fine_tune(model, source)
        tl.objectives.adapt_batch_norm(model, target_images, source=source)

    Li, Wang, Shi, Liu, Hou: *Adaptive Batch Normalization for Practical Domain Adaptation*,
    Pattern Recognition 2018.

    Args:
        model: Trained; changed in place.
        data: As for `fine_tune`; several domains are pooled. Labels are left out.
        source: What the model was trained on, in the same forms, or enough of it.
        batch_size: Examples per batch, ≥ 1.
        seed: Of the order.

    Raises:
        InputError: If there is no source, the model has no BatchNorm layers, or the data cannot be
            read or has another shape than the model takes.
    """
    if not isinstance(model, TransferModel):
        raise InputError(
            "model: expected one made by tl.build_transfer_model, got "
            f"{type(model).__name__}. Pass your own model through it first."
        )
    _require_batch_norm(model)
    if source is None:
        raise InputError(
            "source: expected the examples that the model was trained on, or some hundreds of "
            "them, got None. Its BatchNorm statistics are moved by the difference of data and "
            "source; statistics of the data alone break a model that was trained under those of "
            "its pretraining. Pass source=train."
        )
    batch_size, seed = whole(batch_size, "batch_size"), whole(seed, "seed", least=0)
    wanted = model.modality.spec
    both = {
        "data": as_domains(data, "data", wanted),
        "source": as_domains(source, "source", wanted),
    }
    for argument, domains in both.items():
        for name, examples in domains.items():
            where = argument if domains.only is not None else f"{argument}[{name!r}]"
            check_examples(model, examples, where)
    warn_of_doubtful_values(model, both)
    move_to_target(model, both["source"], both["data"], batch_size=batch_size, seed=seed)


def _require_batch_norm(model: TransferModel) -> None:
    if not batch_norm_layers(model):
        raise InputError(
            "model: its backbone has no BatchNormalization layers to adapt. Use another objective, "
            "such as tl.objectives.MMD()."
        )


class AdaBN(Objective):
    """Gives the trained model BatchNorm statistics by which it reads the target as the source.

    It adds no loss. While other objectives train, each domain is normalised by itself where
    BatchNorm statistics are updated; at the end of the run, after the best weights are back, the
    layers that updated theirs get the target's own statistics. Layers whose statistics were
    frozen have them moved by the difference of target and source, as `adapt_batch_norm` does: what
    stands on them learned the source under these. Equal domains change nothing. Free of charge
    where domains differ in style, such as contrast or colour, and good beside any other objective.

    The model is then one for the target: validation losses during the run are measured before.

    Li, Wang, Shi, Liu, Hou: *Adaptive Batch Normalization for Practical Domain Adaptation*,
    Pattern Recognition 2018.

    Args:
        batch_size: Examples per batch of the last passes, ≥ 1.

    Raises:
        InputError: If the batch size is out of range, there is no source or no target, or the
            backbone has no BatchNorm layers.
    """

    domains_apart: ClassVar[bool] = True

    def __init__(self, batch_size: int = 64):
        super().__init__()
        self.batch_size = whole(batch_size, "batch_size")

    def begin(self, setup: Setup) -> None:
        """Check domains and model."""
        setup.require_domains(self)
        _require_batch_norm(setup.model)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return 0."""
        return {"loss": tf.constant(0.0)}

    def finish(self, model: TransferModel, domains: Mapping[str, Any]) -> None:
        """Adapt the statistics to all targets."""
        sources, targets = (
            DomainExamples({name: one for name, one in domains.items() if is_target(name) == side})
            for side in (False, True)
        )
        updating = [layer for layer in batch_norm_layers(model) if layer.trainable]
        move_to_target(
            model, sources, targets, batch_size=self.batch_size, seed=0, updating=updating
        )
