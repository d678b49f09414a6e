"""One eager pass of a model with the views that objectives ask for, as the step makes it."""

import numpy as np
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.objectives import Batch, Setup
from tl_keras.schedules import apply_freezing
from tl_keras.training.step.domain_pass import Training, domain_pass, global_counts


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, 16, 16, 3)).astype(np.uint8)


def build(**arguments):
    """Return a model whose BatchNorm layers are frozen, as a stage leaves them."""
    model = tl.build_transfer_model(tiny_network(), 3, **arguments)
    apply_freezing(model, tl.Stage(1, unfreeze="all"))
    return model


def begun(objective, model, domains):
    """Begin an objective on domain name → x, or (x, y), and return it."""
    labelled = tuple(name for name, one in domains.items() if isinstance(one, tuple))
    objective.begin(Setup(model, tuple(domains), labelled, seed=1))
    return objective


def viewed(model, domains, *objectives) -> Batch:
    """Return the batch of domain name → x, or (x, y) with whole labels, −1 for none."""
    x, y = {}, {}
    for name, values in domains.items():
        pair = values if isinstance(values, tuple) else (values, None)
        x[name] = tf.convert_to_tensor(pair[0])
        if pair[1] is not None:
            labels = np.eye(3, dtype=np.float32)[pair[1]]
            labels[np.asarray(pair[1]) < 0] = np.nan
            y[name] = tf.constant(labels)
    asked = Training(objectives, seed=tf.constant([1, 2], tf.int64))
    return domain_pass(model, model.forward, x, y, global_counts(x, y), asked)
