"""L2-SP: weight decay towards the starting point instead of towards zero."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.regularization.pull import Pull
from tl_keras.objectives.regularization.starting_point import (
    StartingPoint,
    checked_strengths,
    strength_of_variables,
)


def half_squared_distance(weights, start):
    """Return `½ Σ (w − w⁰)²`, a scalar."""
    difference = tf.cast(weights, tf.float32) - tf.cast(start, tf.float32)
    return 0.5 * tf.reduce_sum(tf.square(difference))


def proportional_pull(weights, start, amount):
    """Return `−min(a, 1)·(w − w⁰)`: the share `a` of the way to the start.

    Args:
        weights: `w`.
        start: `w⁰`.
        amount: `a` ≥ 0.
    """
    return -tf.minimum(amount, 1.0) * (weights - tf.cast(start, weights.dtype))


class L2SP(Objective):
    """Holds the backbone near the weights that it starts from: `½ Σ s_b ‖w_b − w⁰_b‖²`.

    For fine-tuning on few images, where weight decay towards zero forgets what was pretrained.
    The head, which has no starting point, is left out, and so are frozen layers and statistics;
    the optimizer's own weight decay still acts on all. With AdamW, set `Stage(weight_decay=0)` if
    the starting point alone is to hold the backbone.

    The pull is decoupled from the optimizer, as weight decay is: each step moves a weight by
    `−η·α·s_b·(w − w⁰)`, with the learning rate `η` of its block and the strength `α` = `weight`,
    whatever the optimizer makes of gradients; clipping and momenta do not see it. For SGD without
    momentum that is the gradient of the penalty. It is the same on every replica and counts once.

    Strength: 0.1, beside momentum. Transfer-Learning-Library has 0.01 (the authors' code 0.01 and
    0.1) in the gradient of SGD with momentum 0.9, which makes ten times that of it.

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
    pull: Callable[[Any, Any, Any], Any] = staticmethod(proportional_pull)

    def __init__(self, block_strengths: Mapping[str, float] | None = None, *, weight: Any = 0.1):
        super().__init__(weight)
        self.block_strengths = checked_strengths(block_strengths)

    def begin(self, setup: Setup) -> None:
        """Remember the weights."""
        self._strengths = strength_of_variables(setup.model, self.block_strengths)
        self._start = StartingPoint(setup.model, statistics=False)

    def memory(self) -> list[keras.Variable]:
        """Return the starting values."""
        return self._start.values

    def pulls(self, model: TransferModel) -> list[Pull]:
        """Return the pulls to the start of the weights that train."""
        del model
        return [
            Pull(variable, functools.partial(self._change, self._strength(variable), start))
            for variable, start in self._start.training()
        ]

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the weighted distance from the starting point; its gradient is in `pulls`."""
        parts = [
            self._strength(variable) * self.distance(variable, start)
            for variable, start in self._start.training()
        ]
        return {"loss": tf.stop_gradient(batch.per_batch(tf.add_n(parts) if parts else 0.0))}

    def _strength(self, variable: keras.Variable) -> float:
        return self._strengths.get(id(variable), 1.0)

    def _change(self, strength: float, start: keras.Variable, weights, amount):
        return self.pull(weights, start.value, strength * amount)
