"""What draws a weight towards a value beside the optimizer, as decoupled weight decay does."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras


@dataclasses.dataclass(frozen=True)
class Pull:
    """Draws one variable, in every step, by an amount that the learning rate says.

    A penalty whose gradient goes through Adam is divided by its own size there, and pulls as hard
    at a weight of 1e-6 as at 1e-2. A pull is not: with the objective's weight `α`, the learning
    rate `η` of the step and the variable's factor `f` on it, its amount is `η·f·α`, and the change
    is taken from the value before the update, as the optimizer's own weight decay is.

    Loshchilov, Hutter: *Decoupled Weight Decay Regularization*, ICLR 2019.

    Attributes:
        variable: What is drawn.
        change: Function of the variable's value and the amount ≥ 0 to what is added to it.
    """

    variable: keras.Variable
    change: Callable[[Any, Any], Any]
