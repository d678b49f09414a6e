"""L1-SP: the sum of absolute distances from the starting point."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tl_keras.objectives.regularization.l2_sp import L2SP


def absolute_distance(weights, start):
    """Return `Σ |w − w⁰|`, a scalar."""
    difference = tf.cast(weights, tf.float32) - tf.cast(start, tf.float32)
    return tf.reduce_sum(tf.abs(difference))


def constant_pull(weights, start, amount):
    """Return `−sign(w − w⁰)·min(a, |w − w⁰|)`: the same for all weights, and not past the start.

    Args:
        weights: `w`.
        start: `w⁰`.
        amount: `a` ≥ 0.
    """
    difference = weights - tf.cast(start, weights.dtype)
    return -tf.clip_by_value(difference, -amount, amount)


class L1SP(L2SP):
    """Holds the backbone at the weights that it starts from: `Σ s_b ‖w_b − w⁰_b‖₁`.

    Where `L2SP` lets all weights move a little, this one lets few weights move far: every weight is
    pulled with the same force, however near it is: by `η·α·s_b` in each step, at most to the start.
    Everything else is as for `L2SP`; the sum grows much faster with the number of weights, so that
    strengths are smaller.

    Strength: 0.001, beside momentum, which is 0.0001 in the gradient of SGD with momentum 0.9. No
    reference implementation has a default.

    Li, Grandvalet, Davoine: *Explicit Inductive Bias for Transfer Learning with Convolutional
    Networks*, ICML 2018.

    Args:
        block_strengths: As for `L2SP`.
        weight: Strength of the whole, ≥ 0, or a function of progress.

    Raises:
        InputError: If a factor is negative, or a pattern fits no block.
    """

    distance = staticmethod(absolute_distance)
    pull = staticmethod(constant_pull)

    def __init__(self, block_strengths: Mapping[str, float] | None = None, *, weight: Any = 1e-3):
        super().__init__(block_strengths, weight=weight)
