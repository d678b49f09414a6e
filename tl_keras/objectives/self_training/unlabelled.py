"""Which examples an objective without labels learns from."""

from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf

from tl_keras.objectives.batch import DomainBatch, is_target, pooled


def adapted_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the target domains, or of all domains where there is no target."""
    names = tuple(names)
    return tuple(name for name in names if is_target(name)) or names


def adapted(domains: Mapping[str, DomainBatch], names: Sequence[str] | None = None) -> DomainBatch:
    """Return the target domains pooled, or all domains where there is no target.

    Args:
        domains: A batch, or one view of it.
        names: Those to pool, in this order, if they are known.
    """
    names = adapted_names(domains) if names is None else names
    return pooled([domains[name] for name in names])


def unlabelled_mask(domain: DomainBatch):
    """Return float32 `(b,)`: 1 for an example without a label, 0 for all others."""
    real = tf.cast(domain.real, tf.float32)
    return real if domain.labelled is None else real * (1.0 - domain.labelled)


def unlabelled_mean(domain: DomainBatch, values):
    """Return this replica's part of the mean of values `(b,)` over examples without a label.

    The parts of all replicas add up to the mean. Where every example has a label, it is 0.
    """
    labelled = 0.0 if domain.labelled is None else domain.counts.labelled
    count = domain.counts.examples - labelled
    blank = unlabelled_mask(domain) > 0
    total = tf.reduce_sum(tf.where(blank, tf.cast(values, tf.float32), 0.0))
    return total / tf.maximum(count, 1.0)
