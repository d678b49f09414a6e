"""L2-SP: weight decay towards the starting point instead of towards zero."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.starting_point import (
    StartingPoint,
    checked_strengths,
    strength_of_variables,
)


def half_squared_distance(weights, start):
    """Return `½ Σ (w − w⁰)²`, a scalar."""
    difference = tf.cast(weights, tf.float32) - tf.cast(start, tf.float32)
    return 0.5 * tf.reduce_sum(tf.square(difference))


class L2SP(Objective):
    """Holds the backbone near the weights that it starts from: `½ Σ s_b ‖w_b − w⁰_b‖²`.

    For fine-tuning on few images, where weight decay towards zero forgets what was pretrained.
    The head, which has no starting point, is left out, and so are frozen layers and statistics;
    the optimizer's own weight decay still acts on all. With AdamW, set `Stage(weight_decay=0)` if
    the starting point alone is to hold the backbone.

    A penalty on weights is the same on every replica and counts once.

    Li, Grandvalet, Davoine: *Explicit Inductive Bias for Transfer Learning with Convolutional
    Networks*, ICML 2018, whose strengths lie between 0.001 and 1.

    Args:
        block_strengths: Block name or pattern (as in `fnmatch`) → factor `s_b` ≥ 0; the first that
            fits a block counts, blocks that none fits have 1. `model.blocks` shows the names.
        weight: Strength of the whole, ≥ 0, or a function of progress.

    Raises:
        InputError: If a factor is negative, or a pattern fits no block.
    """

    distance: Callable[[Any, Any], Any] = staticmethod(half_squared_distance)

    def __init__(self, block_strengths: Mapping[str, float] | None = None, *, weight: Any = 0.01):
        super().__init__(weight)
        self.block_strengths = checked_strengths(block_strengths)

    def begin(self, setup: Setup) -> None:
        """Remember the weights."""
        self._strengths = strength_of_variables(setup.model, self.block_strengths)
        self._start = StartingPoint(setup.model, statistics=False)

    def memory(self) -> list[keras.Variable]:
        """Return the starting values."""
        return self._start.values

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the weighted distance from the starting point."""
        parts = [
            self._strengths.get(id(variable), 1.0) * self.distance(variable, start)
            for variable, start in self._start.training()
        ]
        return {"loss": batch.per_batch(tf.add_n(parts) if parts else 0.0)}
