"""BatchNorm statistics that read another domain as the model reads its own."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tl_keras.data.domains import DomainExamples
from tl_keras.data.rows import Epochs
from tl_keras.models.transfer_model import TransferModel
from tl_keras.utils.compat import flatten_layers


class Statistics(NamedTuple):
    """Mean and variance of every channel.

    Attributes:
        mean: `(d,)`.
        variance: `(d,)`, over the number of values.
    """

    mean: Any
    variance: Any


def pooled_statistics(
    counts: Sequence[int], means: Sequence[np.ndarray], variances: Sequence[np.ndarray]
) -> Statistics:
    """Return mean and variance of all batches together from those of each.

    Args:
        counts: Sizes of the batches.
        means: Of each batch `(d,)`.
        variances: Of each batch `(d,)`, over its size.
    """
    shares = np.asarray(counts, np.float64)[:, None] / np.sum(counts)
    centers, spreads = np.asarray(means, np.float64), np.asarray(variances, np.float64)
    mean = (shares * centers).sum(axis=0)
    return Statistics(mean, (shares * (spreads + np.square(centers - mean))).sum(axis=0))


def moved_statistics(
    now: Statistics, source: Statistics, target: Statistics, epsilon: float
) -> Statistics:
    """Return the statistics by which the target is normalised to what the source is now.

    With `r = (σ_t² + ε) / (σ_s² + ε)` the variance becomes `(v + ε)·r − ε`, but at least 0, and the
    mean `μ_t + (m − μ_s)·√r`. Equal domains change nothing; where `m` and `v` are the source's
    own, the result is the target's own.

    Args:
        now: `m`, `v`: what the layer normalises by.
        source: `μ_s`, `σ_s²`: of the layer's inputs for the source.
        target: `μ_t`, `σ_t²`: of its inputs for the target.
        epsilon: `ε`, the layer's.
    """
    mean, variance = (np.asarray(one, np.float64) for one in now)
    ratio = (target.variance + epsilon) / (source.variance + epsilon)
    moved = np.maximum(variance * ratio + epsilon * (ratio - 1.0), 0.0)
    root = np.sqrt((moved + epsilon) / (variance + epsilon))
    return Statistics(target.mean - source.mean * root + mean * root, moved)


def batch_norm_layers(model: TransferModel) -> list[keras.layers.BatchNormalization]:
    """Return the BatchNorm layers of the backbone."""
    return [
        layer
        for layer in flatten_layers(model.backbone)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def move_to_target(
    model: TransferModel,
    source: DomainExamples,
    target: DomainExamples,
    *,
    batch_size: int,
    seed: int,
    updating: Collection[keras.layers.Layer] = (),
) -> None:
    """Give a model the BatchNorm statistics by which it reads the target as it reads the source.

    Args:
        model: Changed in place.
        source: What it was trained on; domains are pooled.
        target: What it shall read.
        batch_size: Examples per batch, at most.
        seed: Of the order.
        updating: Layers that normalised every batch by itself in training; they get the target's
            own statistics. All others keep how the source looks behind them: the weights that
            follow learned that, whatever statistics the layers had.
    """
    layers = batch_norm_layers(model)
    alone = {id(layer) for layer in updating}
    fixed = [layer for layer in layers if id(layer) not in alone]
    normalize = {id(layer): _by_batch(layer) for layer in layers}

    def seen(domains: DomainExamples) -> list[Statistics]:
        calls = [normalize[id(layer)] for layer in layers]
        return _input_statistics(model, layers, calls, domains, batch_size, seed)

    before: list[Statistics] = []
    if fixed:
        normalize |= {id(layer): _by_moving_averages(layer) for layer in fixed}
        for layer, one in zip(layers, seen(source), strict=True):
            if id(layer) not in alone:
                normalize[id(layer)] = _by_batch(layer, looks_like=one)
        before = seen(source)
    for index, (layer, found) in enumerate(zip(layers, seen(target), strict=True)):
        if id(layer) not in alone:
            now = Statistics(layer.moving_mean.numpy(), layer.moving_variance.numpy())
            found = moved_statistics(now, before[index], found, layer.epsilon)
        layer.moving_mean.assign(found.mean)
        layer.moving_variance.assign(found.variance)


Normalize = Callable[[Any, Any, Any], Any]
"""Function of a layer's inputs, and the batch's mean and variance, to normalised values."""


def _by_moving_averages(layer: keras.layers.BatchNormalization) -> Normalize:
    def normalize(values, mean, variance):
        del mean, variance
        center = _along(layer, layer.moving_mean, values)
        spread = _along(layer, layer.moving_variance, values)
        return _normalized(values, center, spread, layer.epsilon)

    return normalize


def _by_batch(
    layer: keras.layers.BatchNormalization, looks_like: Statistics | None = None
) -> Normalize:
    """Normalise each batch by itself, then to what inputs of some statistics look like."""
    scale, shift = 1.0, 0.0
    if looks_like is not None:
        mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
        scale = np.sqrt((looks_like.variance + layer.epsilon) / (variance + layer.epsilon))
        shift = (looks_like.mean - mean) / np.sqrt(variance + layer.epsilon)

    def normalize(values, mean, variance):
        center, spread = _along(layer, mean, values), _along(layer, variance, values)
        alone = _normalized(values, center, spread, layer.epsilon)
        if looks_like is None:
            return alone
        return alone * _along(layer, scale, values) + _along(layer, shift, values)

    return normalize


def _normalized(values, mean, variance, epsilon: float):
    return (values - mean) * ops.rsqrt(variance + epsilon)


def _along(layer: keras.layers.BatchNormalization, vector: Any, values: Any):
    """Return a vector `(d,)` such that it lies along the layer's axis of values."""
    shape = [1] * len(values.shape)
    shape[layer.axis] = -1
    return ops.reshape(ops.cast(vector, "float32"), shape)


def _input_statistics(
    model: TransferModel,
    layers: Sequence[keras.layers.BatchNormalization],
    normalize: Sequence[Normalize],
    domains: DomainExamples,
    batch_size: int,
    seed: int,
) -> list[Statistics]:
    """Return the statistics of every layer's inputs in one pass in inference mode."""
    found: list[list[Any]] = [[] for _ in layers]

    def call_of(layer, function, own):
        def call(inputs, training=None, mask=None):
            del training, mask
            values = ops.cast(inputs, "float32")
            axes = [
                axis for axis in range(len(values.shape)) if axis != layer.axis % len(values.shape)
            ]
            mean, variance = ops.moments(values, axes)
            own.append((mean, variance))
            values = function(values, mean, variance)
            if layer.scale:
                values = values * _along(layer, layer.gamma, values)
            if layer.center:
                values = values + _along(layer, layer.beta, values)
            return ops.cast(values, layer.compute_dtype)

        return call

    wanted = model.modality.batch_spec

    @tf.function(input_signature=[wanted], autograph=False)
    def statistics(x):
        model.backbone(model.preprocessing(x), training=False)
        return [list(own) for own in found]

    calls = [call_of(*each) for each in zip(layers, normalize, found, strict=True)]
    sizes: list[int] = []
    values: list[Any] = []
    with _called_instead(layers, calls):
        traced = statistics.get_concrete_function()
    for examples in domains.values():
        # A last batch of a few examples would be normalised by hardly any.
        size = -(-len(examples) // -(-len(examples) // batch_size))
        for x in examples.batches(None, size, epochs=Epochs(seed, count=1)):
            sizes.append(int(tf.nest.flatten(x)[0].shape[0]))
            x = tf.nest.map_structure(lambda one, spec: tf.cast(one, spec.dtype), x, wanted)
            values.append(tf.nest.map_structure(np.array, traced(x)))
    return [_pooled(sizes, [batch[index] for batch in values]) for index in range(len(layers))]


def _pooled(sizes: Sequence[int], batches: Sequence[Sequence[tuple[Any, Any]]]) -> Statistics:
    """Return the statistics of all batches, of each call of a layer that is used several times."""
    flat = [(size, *one) for size, calls in zip(sizes, batches, strict=True) for one in calls]
    return pooled_statistics(*zip(*flat, strict=True))


@contextlib.contextmanager
def _called_instead(
    layers: Sequence[keras.layers.Layer], calls: Sequence[Callable]
) -> Iterator[None]:
    """Let layers compute other functions than their own."""
    try:
        for layer, call in zip(layers, calls, strict=True):
            object.__setattr__(layer, "call", call)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("call", None)
