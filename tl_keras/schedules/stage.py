"""A stage of fine-tuning, as data."""

import dataclasses
import math
from typing import Literal

from tl_keras.errors import InputError, did_you_mean

OPTIMIZERS = ("adamw", "adam", "sgd")


@dataclasses.dataclass(frozen=True)
class Stage:
    """A number of epochs in which one set of layers trains with one optimizer.

    Attributes:
        epochs: How many times the training data is seen, ≥ 1.
        unfreeze: What trains besides the head: 0 (nothing), a whole number n (the n blocks nearest
            the head), a share below 1 (that share of the blocks, rounded up), `"all"`, or a
            pattern for block names (`"block6*"`, as in `fnmatch`).
        learning_rate: Peak learning rate, > 0.
        batch_norm: `"frozen"`: every BatchNormalization layer of the backbone keeps its statistics
            and its scale. `"update"`: those in unfrozen blocks train as usual.
        optimizer: `"adamw"`, `"adam"` or `"sgd"` (with Nesterov momentum 0.9).
        weight_decay: Decoupled weight decay; left out for biases, normalisation and scales.
        warmup: Share of the stage's steps in which the learning rate rises from 0, 0 … 1.
        decay: `"cosine"` (to 0 at the end of the stage) or `"constant"` after the warm-up.
        name: What logs call the stage; by default it says what trains.
    """

    epochs: int
    unfreeze: int | float | str = dataclasses.field(default=0, kw_only=True)
    learning_rate: float = dataclasses.field(default=1e-3, kw_only=True)
    batch_norm: Literal["frozen", "update"] = dataclasses.field(default="frozen", kw_only=True)
    optimizer: Literal["adamw", "adam", "sgd"] = dataclasses.field(default="adamw", kw_only=True)
    weight_decay: float = dataclasses.field(default=1e-4, kw_only=True)
    warmup: float = dataclasses.field(default=0.0, kw_only=True)
    decay: Literal["cosine", "constant"] = dataclasses.field(default="cosine", kw_only=True)
    name: str = dataclasses.field(default="", kw_only=True)

    def __post_init__(self):
        """Check the values and name the stage."""
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise InputError(f"epochs: expected a whole number ≥ 1, got {self.epochs!r}.")
        self._check_unfreeze()
        for field, low, high in (
            ("learning_rate", 0.0, math.inf),
            ("weight_decay", -1e-12, math.inf),
            ("warmup", -1e-12, 1.0),
        ):
            value = getattr(self, field)
            if not isinstance(value, (int, float)) or not low < value < high:
                raise InputError(f"{field}: expected a number > {low:g}, got {value!r}.")
        for field, known in (
            ("batch_norm", ("frozen", "update")),
            ("optimizer", OPTIMIZERS),
            ("decay", ("cosine", "constant")),
        ):
            value = getattr(self, field)
            if value not in known:
                raise InputError(
                    f"{field}: expected one of {known}, got {value!r}."
                    f"{did_you_mean(str(value), known)}"
                )
        if not self.name:
            object.__setattr__(self, "name", self._describe())

    def _check_unfreeze(self):
        value = self.unfreeze
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        whole = number and (value >= 0) and value == int(value)
        if not (whole or (number and 0 < value < 1) or (isinstance(value, str) and value)):
            raise InputError(
                "unfreeze: expected 0, a number of blocks, a share below 1, 'all' or a pattern "
                f"for block names, got {value!r}."
            )

    def _describe(self) -> str:
        if self.unfreeze == 0:
            return "head only"
        if self.unfreeze == "all":
            return "all blocks"
        if isinstance(self.unfreeze, str):
            return f"blocks {self.unfreeze}"
        if self.unfreeze < 1:
            return f"upper {self.unfreeze:.0%} of the blocks"
        return f"upper {int(self.unfreeze)} blocks"
