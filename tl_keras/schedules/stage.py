"""A stage of fine-tuning, as data."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeGuard

import keras

from tl_keras.schedules.own_parts import (
    Rate,
    check_optimizer,
    clips,
    described,
    is_own_rate,
    own_decay,
    own_rate,
    peak_of,
)
from tl_keras.utils.arguments import is_real, is_whole, whole
from tl_keras.utils.errors import InputError, counted, did_you_mean
from tl_keras.utils.misplaced import OF_STAGES, points_from

OPTIMIZERS = ("adamw", "adam", "sgd")
BLOCKS_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Stage:
    """A number of epochs in which one set of layers trains with one optimizer.

    Attributes:
        epochs: How many times the training data is seen, ≥ 1.
        unfreeze: What trains besides the head: 0 (nothing), a whole number n (the n blocks nearest
            the head), a share below 1 (that share of the blocks, rounded up), `"all"`, or a
            pattern for block names (`"block6*"`, as in `fnmatch`).
        learning_rate: Peak learning rate of what trains, > 0. By default 1e-3 for the head (1e-2
            with SGD where it trains alone), 1e-4 for the blocks: larger rates can destroy them; or
            what an optimizer object has. A `keras.optimizers.schedules.LearningRateSchedule`, of
            the steps of the stage, or a function from the stage's epoch, from 0, to the rate, is
            followed as it is, without warm-up and decay.
        batch_norm: `"frozen"`: every BatchNormalization layer of the backbone keeps its statistics
            and its scale. `"update"`: those in unfrozen blocks train as usual.
        optimizer: `"adamw"`, `"adam"`, `"sgd"` (with Nesterov momentum 0.9), or an object, such as
            `keras.optimizers.Lion(1e-4)`. Each stage trains with a copy made from its
            configuration.
        weight_decay: Decoupled weight decay, by default 1e-4, or what an optimizer object has; left
            out for biases, normalisation, scales, class tokens, and embeddings of positions and of
            words.
        warmup: Share of the stage's steps in which the learning rate rises from 0; itself from 0
            to below 1. By default 0.1 where blocks train at their default rate with cosine decay,
            else 0.
        decay: `"cosine"` (to 0 at the end of the stage) or `"constant"` after the warm-up.
        layer_decay: What the learning rate is multiplied by from block to block, counted from the
            top over all blocks: the head has the factor 1, the topmost block `layer_decay`, the
            next one its square, … From above 0 to 1.
        learning_rates: Block name, pattern for block names, or `"head"` → peak learning rate > 0,
            instead of what `layer_decay` gives. The first one that fits a block counts.
        global_clipnorm: Longest gradient over all weights together, > 0; longer ones are
            scaled down.
        accumulation: Slices, ≥ 1, that a batch is cut into, to save memory; their gradients are
            summed before the update.
        ema_momentum: Share m, between 0 and 1, of the old value in the moving average of the
            weights, m · average + (1 − m) · weight, which is what is measured and kept. In the n-th
            update it is at most n/(n + 9), so that the weights that the stage began with are soon
            forgotten. Statistics of BatchNorm layers that update are averaged along.
        augment: Whether the run's augmentation, if there is any, is at work in this stage. Without
            it, frozen blocks run once per image.
        name: What logs call the stage; by default it says what trains.
    """

    epochs: int
    unfreeze: int | float | str = dataclasses.field(default=0, kw_only=True)
    learning_rate: Rate | None = dataclasses.field(default=None, kw_only=True)
    batch_norm: Literal["frozen", "update"] = dataclasses.field(default="frozen", kw_only=True)
    optimizer: Literal["adamw", "adam", "sgd"] | keras.optimizers.Optimizer = dataclasses.field(
        default="adamw", kw_only=True
    )
    weight_decay: float | None = dataclasses.field(default=None, kw_only=True)
    warmup: float | None = dataclasses.field(default=None, kw_only=True)
    decay: Literal["cosine", "constant"] = dataclasses.field(default="cosine", kw_only=True)
    layer_decay: float = dataclasses.field(default=1.0, kw_only=True)
    learning_rates: Mapping[str, float] | None = dataclasses.field(
        default=None, kw_only=True, hash=False
    )
    global_clipnorm: float | None = dataclasses.field(default=None, kw_only=True)
    accumulation: int = dataclasses.field(default=1, kw_only=True)
    ema_momentum: float | None = dataclasses.field(default=None, kw_only=True)
    augment: bool = dataclasses.field(default=True, kw_only=True)
    name: str = dataclasses.field(default="", kw_only=True)

    def __post_init__(self):
        """Check the values and name the stage."""
        for field in ("epochs", "accumulation"):
            object.__setattr__(self, field, whole(getattr(self, field), field))
        self._check_unfreeze()
        self._check_own_parts()
        self._check_numbers()
        self._check_learning_rates()
        for field, known in (
            ("batch_norm", ("frozen", "update")),
            ("optimizer", OPTIMIZERS),
            ("decay", ("cosine", "constant")),
        ):
            value = getattr(self, field)
            if isinstance(value, keras.optimizers.Optimizer) and field == "optimizer":
                continue
            if value not in known:
                raise InputError(
                    f"{field}: expected one of {known}, got {value!r}."
                    f"{did_you_mean(str(value), known)}"
                )
        if not self.name:
            object.__setattr__(self, "name", self._describe())

    @property
    def head_rate(self) -> float:
        """Peak learning rate of the head, unless `learning_rates` names another."""
        if self.learning_rate is not None:
            return peak_of(self.learning_rate, self.epochs)
        return 1e-2 if self.optimizer == "sgd" and self.unfreeze == 0 else 1e-3

    @property
    def block_rate(self) -> float:
        """Peak learning rate of the backbone's blocks, before `layer_decay`."""
        return self.head_rate * (1.0 if self.learning_rate is not None else BLOCKS_SHARE)

    @property
    def follows_own_rate(self) -> bool:
        """Whether the learning rate has a course of its own, without warm-up and decay."""
        return is_own_rate(self.learning_rate)

    def config(self) -> dict[str, Any]:
        """Return all that decides how the stage trains, as JSON."""
        fields = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        for name in ("optimizer", "learning_rate"):
            fields[name] = described(fields[name], self.epochs)
        return fields

    @property
    def warmup_share(self) -> float:
        """Share of the steps in which the learning rate rises."""
        if self.warmup is not None:
            return self.warmup
        is_default = self.unfreeze != 0 and self.learning_rate is None
        return 0.1 if is_default and self.decay == "cosine" else 0.0

    def _check_own_parts(self):
        """Check an optimizer object and a rate of its own, and take from them what is not given."""
        optimizer, decay = self.optimizer, 1e-4
        if isinstance(optimizer, keras.optimizers.Optimizer):
            check_optimizer(optimizer)
            decay = own_decay(optimizer)
            if self.weight_decay not in (None, decay):
                raise InputError(
                    f"weight_decay: the optimizer has its own, {decay}. Leave the argument out."
                )
            if self.global_clipnorm is not None and clips(optimizer):
                raise InputError(
                    "global_clipnorm: the optimizer clips by itself. Leave one of the two out."
                )
            if self.learning_rate is None:
                object.__setattr__(self, "learning_rate", own_rate(optimizer))
        if self.weight_decay is None:
            object.__setattr__(self, "weight_decay", decay)
        if not self.follows_own_rate:
            return
        if not peak_of(self.learning_rate, self.epochs) > 0:
            raise InputError("learning_rate: expected a rate above 0, got 0 in all steps.")
        if self.learning_rates is not None:
            raise InputError(
                "learning_rates: rates of blocks are peaks, and the learning rate has a course of "
                "its own. Use layer_decay, or give learning_rate as a number."
            )
        if self.warmup:
            raise InputError(
                "warmup: the learning rate has a course of its own. Leave warmup out, or give "
                "learning_rate as a number."
            )

    def _check_numbers(self):
        for field, expected, fits in (
            ("learning_rate", "a number > 0", lambda value: 0 < value < math.inf),
            ("weight_decay", "a number ≥ 0", lambda value: 0 <= value < math.inf),
            ("warmup", "a share from 0 to below 1", lambda value: 0 <= value < 1),
            ("layer_decay", "a factor above 0 and up to 1", lambda value: 0 < value <= 1),
            ("global_clipnorm", "a number > 0 or None", lambda value: 0 < value < math.inf),
            ("ema_momentum", "a number between 0 and 1 or None", lambda value: 0 < value < 1),
        ):
            value = getattr(self, field)
            optional = expected.endswith("None") or field in ("learning_rate", "warmup")
            if (value is None and optional) or (field == "learning_rate" and is_own_rate(value)):
                continue
            if not _is_number(value) or not fits(value):
                raise InputError(f"{field}: expected {expected}, got {value!r}.")
            object.__setattr__(self, field, float(value))

    def _check_learning_rates(self):
        rates = self.learning_rates
        if rates is None:
            return
        if not isinstance(rates, Mapping):
            raise InputError(
                "learning_rates: expected block name, pattern or 'head' → learning rate, got "
                f"{rates!r}."
            )
        for pattern, rate in rates.items():
            if not isinstance(pattern, str) or not _is_number(rate) or not 0 < rate < math.inf:
                raise InputError(
                    "learning_rates: expected block name, pattern or 'head' → number > 0, got "
                    f"{pattern!r}: {rate!r}. Blocks that must not train are left out of unfreeze."
                )
        own = {pattern: float(rate) for pattern, rate in rates.items()}
        object.__setattr__(self, "learning_rates", own)

    def _check_unfreeze(self):
        value = self.unfreeze
        whole = _is_number(value) and is_whole(value) and value >= 0
        share = _is_number(value) and (value == 0 or 0 < value < 1)
        if not (whole or share or (isinstance(value, str) and value)):
            raise InputError(
                "unfreeze: expected 0, a number of blocks, a share below 1, 'all' or a pattern "
                f"for block names, got {value!r}."
            )
        if not isinstance(value, str):
            object.__setattr__(self, "unfreeze", int(value) if whole else float(value))

    def _describe(self) -> str:
        if self.unfreeze == 0:
            return "head only"
        if self.unfreeze == "all":
            return "all blocks"
        if isinstance(self.unfreeze, str):
            return f"blocks {self.unfreeze}"
        if self.unfreeze < 1:
            return f"upper {self.unfreeze:.0%} of the blocks"
        return f"upper {counted(int(self.unfreeze), 'block')}"


Stage.__init__ = points_from(OF_STAGES)(Stage.__init__)


def _is_number(value: Any) -> TypeGuard[float]:
    return is_real(value) and not isinstance(value, bool)
