"""L1-SP: the sum of absolute distances from the starting point."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tl_keras.objectives.l2_sp import L2SP


def absolute_distance(weights, start):
    """Return `Σ |w − w⁰|`, a scalar."""
    difference = tf.cast(weights, tf.float32) - tf.cast(start, tf.float32)
    return tf.reduce_sum(tf.abs(difference))


class L1SP(L2SP):
    """Holds the backbone at the weights that it starts from: `Σ s_b ‖w_b − w⁰_b‖₁`.

    Where `L2SP` lets all weights move a little, this one lets few weights move far: every weight is
    pulled with the same force, however near it is. Everything else is as for `L2SP`; the sum grows
    much faster with the number of weights, so that strengths are smaller.

    Li, Grandvalet, Davoine: *Explicit Inductive Bias for Transfer Learning with Convolutional
    Networks*, ICML 2018.

    Args:
        block_strengths: As for `L2SP`.
        weight: Strength of the whole, ≥ 0, or a function of progress.

    Raises:
        InputError: If a factor is negative, or a pattern fits no block.
    """

    distance = staticmethod(absolute_distance)

    def __init__(self, block_strengths: Mapping[str, float] | None = None, *, weight: Any = 1e-4):
        super().__init__(block_strengths, weight=weight)
