"""Adaptive batch normalisation: BatchNorm statistics of the target instead of the source."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tl_keras.arguments import whole
from tl_keras.data.domains import DomainExamples, as_domains
from tl_keras.data.rows import Epochs
from tl_keras.errors import InputError
from tl_keras.model_inputs import check_examples, warn_of_scaled_images
from tl_keras.objectives.batch import Batch, is_target
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.transfer_model import TransferModel


def pooled_statistics(
    counts: Sequence[int], means: Sequence[np.ndarray], variances: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of all batches together from those of each.

    Args:
        counts: Sizes of the batches.
        means: Of each batch `(d,)`.
        variances: Of each batch `(d,)`, over its size.
    """
    shares = np.asarray(counts, np.float64)[:, None] / np.sum(counts)
    means, variances = np.asarray(means, np.float64), np.asarray(variances, np.float64)
    mean = (shares * means).sum(axis=0)
    return mean, (shares * (variances + np.square(means - mean))).sum(axis=0)


def batch_norm_layers(model: TransferModel) -> list[keras.layers.BatchNormalization]:
    """Return the BatchNorm layers of the backbone."""
    return [
        layer
        for layer in model.backbone._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def adapt_batch_norm(
    model: TransferModel, data: Any, *, batch_size: int = 64, seed: int = 0
) -> None:
    """Give the BatchNorm layers of a trained model the statistics of other data.

    One pass in batches of mixed order: every layer normalises each batch by itself, as in
    training, and keeps the mean and the variance over all batches. No labels are read, no weight
    changes besides the moving means and variances, and dropout is off. A few hundred examples
    are enough; batches of 32 and more are advisable.

    Works on any model after any training, without an objective:

        tl.fine_tune(model, source)
        tl.objectives.adapt_batch_norm(model, target_images)

    Li, Wang, Shi, Liu, Hou: *Adaptive Batch Normalization for Practical Domain Adaptation*,
    Pattern Recognition 2018.

    Args:
        model: Trained; changed in place.
        data: As for `fine_tune`; several domains are pooled. Labels are left out.
        batch_size: Examples per batch, ≥ 1.
        seed: Of the order.

    Raises:
        InputError: If the model has no BatchNorm layers, or the data cannot be read or has
            another shape than the model takes.
    """
    if not isinstance(model, TransferModel):
        raise InputError(
            "model: expected one made by tl.build_transfer_model, got "
            f"{type(model).__name__}. Pass your own model through it first."
        )
    _require_batch_norm(model)
    batch_size, seed = whole(batch_size, "batch_size"), whole(seed, "seed", least=0)
    domains = as_domains(data)
    for name, examples in domains.items():
        where = "data" if domains.only is not None else f"data[{name!r}]"
        check_examples(model, examples, where)
    warn_of_scaled_images(model, {"data": domains})
    _adapt(model, domains, batch_size, seed)


def _adapt(model: TransferModel, domains: DomainExamples, batch_size: int, seed: int) -> None:
    layers = batch_norm_layers(model)
    shape = [None, *model.image_shape]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False)
    def statistics(images):
        model.backbone(model.preprocessing(images), training=True)
        return [(layer.moving_mean.value, layer.moving_variance.value) for layer in layers]

    sizes, found = [], []
    with _batch_statistics(model, layers):
        for examples in domains.values():
            order = Epochs(seed, count=1)
            for images in examples.batches(None, batch_size, epochs=order):
                sizes.append(int(images.shape[0]))
                found.append(
                    tf.nest.map_structure(np.array, statistics(tf.cast(images, tf.float32)))
                )
    for index, layer in enumerate(layers):
        means, variances = zip(*(one[index] for one in found), strict=True)
        mean, variance = pooled_statistics(sizes, means, variances)
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)


@contextlib.contextmanager
def _batch_statistics(
    model: TransferModel, layers: Sequence[keras.layers.BatchNormalization]
) -> Iterator[None]:
    """Let BatchNorm layers keep the statistics of the latest batch, and turn dropout off."""
    changes = [(layer, "momentum", 0.0) for layer in layers]
    changes += [(layer, "trainable", True) for layer in layers]
    for layer in model.backbone._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            changes.append((layer, "rate", 0.0))
    before = [(layer, name, getattr(layer, name)) for layer, name, _ in changes]
    try:
        for layer, name, value in changes:
            setattr(layer, name, value)
        yield
    finally:
        for layer, name, value in before:
            setattr(layer, name, value)


def _require_batch_norm(model: TransferModel) -> None:
    if not batch_norm_layers(model):
        raise InputError(
            "model: its backbone has no BatchNormalization layers to adapt. Use another objective, "
            "such as tl.objectives.MMD()."
        )


class AdaBN(Objective):
    """Gives the trained model the target's BatchNorm statistics.

    It adds no loss. While other objectives train, each domain is normalised by itself where
    BatchNorm statistics are updated; at the end of the run, after the best weights are back,
    `adapt_batch_norm` puts the target's statistics into the model. Free of charge where domains
    differ in style, such as contrast or colour, and good beside any other objective.

    The model is then one for the target: validation losses during the run are measured before.

    Li, Wang, Shi, Liu, Hou: *Adaptive Batch Normalization for Practical Domain Adaptation*,
    Pattern Recognition 2018.

    Args:
        batch_size: Examples per batch of the last pass, ≥ 1.

    Raises:
        InputError: If the batch size is out of range, there is no target, or the backbone has no
            BatchNorm layers.
    """

    domains_apart: ClassVar[bool] = True

    def __init__(self, batch_size: int = 64):
        super().__init__()
        self.batch_size = whole(batch_size, "batch_size")

    def begin(self, setup: Setup) -> None:
        """Check domains and model."""
        setup.require_targets(self)
        _require_batch_norm(setup.model)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return 0."""
        return {"loss": tf.constant(0.0)}

    def finish(self, model: TransferModel, domains: Mapping[str, Any]) -> None:
        """Adapt the statistics to all targets."""
        targets = {name: one for name, one in domains.items() if is_target(name)}
        _adapt(model, DomainExamples(targets), self.batch_size, seed=0)
