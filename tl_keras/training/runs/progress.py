"""Where a training stands, apart from the variables."""

import dataclasses
import math
from typing import Any

from tl_keras.frozen.stores_before import StoresBefore
from tl_keras.training.keras_callbacks import Criterion


@dataclasses.dataclass
class Progress:
    """Position in the schedule and what was measured on the way there.

    Attributes:
        stage: Number of the running stage, from 0.
        stage_over: Whether that stage has ended and the next one has not begun.
        epoch: Number of the running epoch over all stages, from 0.
        step: Steps done in that epoch.
        names: What the running means are of.
        start_loss: Loss before the stage's first update; None before it, infinite once it was said
            that the loss left its range.
        stage_starts: Epoch in which each stage so far began.
        history: Name → one value per finished epoch.
        best_epoch: The best epoch, by default that with the smallest validation loss, or None.
        best_loss: What the criterion says of it; small is good.
        stored: What each stage so far reads from a store, as `StoresBefore` keeps it.
    """

    stage: int = 0
    stage_over: bool = False
    epoch: int = 0
    step: int = 0
    names: list[str] = dataclasses.field(default_factory=list)
    start_loss: float | None = None
    stage_starts: list[int] = dataclasses.field(default_factory=list)
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    best_epoch: int | None = None
    best_loss: float = math.inf
    stored: list[dict[str, bool]] = dataclasses.field(default_factory=list)

    def record(self, logs: dict[str, float], criterion: Criterion) -> bool:
        """Add a finished epoch, go on to the next, and return whether it was the best so far.

        What is missing in an epoch is NaN there, so that every list has a value for each.
        """
        for name in self.history | logs:
            values = self.history.setdefault(name, [])
            values += [math.nan] * (self.epoch - len(values))
            values.append(float(logs.get(name, math.nan)))
        value = criterion.value(logs, self.epoch)
        better = value < self.best_loss - criterion.min_delta
        if better:
            self.best_loss, self.best_epoch = value, self.epoch
        self.epoch, self.step = self.epoch + 1, 0
        return better

    def stores_before(self) -> StoresBefore:
        """Return what the running stage and those before it have stores of."""
        self.stored += [{} for _ in range(self.stage + 1 - len(self.stored))]
        return StoresBefore(self.stored)

    def forget_best(self) -> None:
        """Let the best epoch be one of those to come: the weights of the one so far are lost."""
        self.best_epoch, self.best_loss = None, math.inf

    def epochs_without_gain(self) -> int:
        """Return how many epochs have ended since the best one, or since the stage began."""
        before_stage = self.stage_starts[-1] - 1
        best = before_stage if self.best_epoch is None else self.best_epoch
        return self.epoch - 1 - max(before_stage, best)

    def best_stage(self) -> int:
        """Return the stage, from 0, of the best epoch; the last one if there is none."""
        last = self.epoch if self.best_epoch is None else self.best_epoch
        return sum(start <= last for start in self.stage_starts) - 1

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes; Python's JSON keeps floats, infinity included, exactly."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> "Progress":
        """Return the progress that `to_json` described; fields of other versions are left out."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in state.items() if name in known})
