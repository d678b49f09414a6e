"""Batches made by hand, to look at objectives without any training."""

import numpy as np
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.models.forward import Forward
from tl_keras.objectives import Batch, Counts, DomainBatch, Setup


def domain(features, logits=None, y=None, labelled=None, *, real=True) -> DomainBatch:
    """Return a domain's share that is its whole batch; integer labels become one-hot."""
    features = tf.convert_to_tensor(features, tf.float32)
    size = features.shape[0]
    if y is not None:
        y = tf.one_hot(y, logits.shape[-1])
        labelled = tf.ones(size) if labelled is None else tf.constant(labelled, tf.float32)
        y *= labelled[:, None]
    return DomainBatch(
        x=tf.zeros((size, 1)),
        y=y,
        labelled=labelled,
        forward=Forward(features[:, None, None], logits, features),
        real=tf.fill([size], real),
        counts=Counts(
            tf.constant(float(size if real else 0)),
            None if y is None else tf.reduce_sum(labelled),
        ),
    )


def batch(progress=1.0, **domains) -> Batch:
    """Return a batch of these domains."""
    return Batch(domains, {}, None, None, tf.constant(progress, tf.float32), None)


def setup(domains=("source", "target"), labelled=("source",), classes=3, **build) -> Setup:
    """Return what an objective on a tiny network begins with: 8 features, 3 classes."""
    model = tl.build_transfer_model(tiny_network(), classes, **build)
    return Setup(model, tuple(domains), tuple(labelled), seed=1)


def points(count, size, seed=0, shift=0.0):
    """Return normal points as a float32 tensor."""
    random = np.random.default_rng(seed)
    return tf.constant(random.normal(shift, 1.0, (count, size)).astype(np.float32))
