"""One eager pass of a tiny network over small batches, as the training step makes it."""

import numpy as np
import tensorflow as tf

from tl_keras.objectives import Batch, Setup
from tl_keras.training.step.domain_pass import Training, domain_pass, global_counts


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, 16, 16, 3)).astype(np.uint8)


def one_pass(model, domains, *, teachers=None, progress=0.5) -> Batch:
    """Return the batch of domain name → x, or (x, y) with integer labels, −1 for none."""
    x, y = {}, {}
    for name, values in domains.items():
        pair = values if isinstance(values, tuple) else (values, None)
        x[name] = tf.convert_to_tensor(pair[0])
        if pair[1] is not None:
            labels = np.eye(model.targets.size, dtype=np.float32)[pair[1]]
            labels[np.asarray(pair[1]) < 0] = np.nan
            y[name] = tf.constant(labels)
    counts = global_counts(x, y)
    asked = Training(progress=progress, teachers=teachers)
    return domain_pass(model, model.forward, x, y, counts, asked)


def setup_of(model, domains) -> Setup:
    labelled = tuple(name for name, one in domains.items() if isinstance(one, tuple))
    return Setup(model, tuple(domains), labelled, seed=1)


def moved(model, seed=0, scale=0.1):
    """Move every weight of a backbone by random numbers, and return these by variable path."""
    random = np.random.default_rng(seed)
    steps = {}
    for variable in model.backbone.trainable_variables:
        steps[variable.path] = random.normal(0, scale, variable.shape).astype(np.float32)
        variable.assign_add(steps[variable.path])
    return steps
