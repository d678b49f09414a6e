"""Choosing among adapted models, and when to stop, without labels of the target."""

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from tl_keras.evaluation.adaptation_scores import (
    SCORES,
    AdaptationScores,
    adaptation_scores,
    check_classifier,
)
from tl_keras.evaluation.tables import number, text_table
from tl_keras.models.passes import compiled_forward
from tl_keras.models.transfer_model import TransferModel
from tl_keras.training import ResumableCallback
from tl_keras.utils.errors import InputError


@dataclasses.dataclass(frozen=True)
class AdaptationChoice:
    """The scores of several models. Prints as a table.

    Attributes:
        best: Name of the model with the smallest score.
        score: Name of the score that it was chosen by.
        scores: Name of the model → all its scores.
    """

    best: Hashable
    score: str
    scores: dict[Hashable, AdaptationScores]

    def __str__(self) -> str:
        """Return one line per model; the best one has a star."""
        columns = ("model", *(name.replace("_", " ") for name in SCORES))
        rows = [
            [f"{name}{' ★' if name == self.best else ''}", *(number(own[key]) for key in SCORES)]
            for name, own in self.scores.items()
        ]
        title = f"without target labels, smaller is better; chosen by {self.score}"
        return text_table(title, columns, rows)


def choose_adapted(
    models: Mapping[Hashable, TransferModel],
    source: Any,
    target: Any,
    *,
    score: str = "dev",
    batch_size: int = 32,
    seed: int = 0,
    verbose: bool = True,
) -> AdaptationChoice:
    """Choose among adapted models, such as runs with several weights of an objective.

    Args:
        models: Name → model; the name may be the weight, a number.
        source: Labelled source examples that none of them was trained on.
        target: Target examples; labels are not read.
        score: What decides; see `AdaptationScores`.
        batch_size: Examples at a time.
        seed: Of the draws.
        verbose: Print the table.

    Raises:
        InputError: If there are no models, or there is no such score.

    Example:
        >>> runs = {weight: adapt(weight) for weight in (0.1, 0.3, 1.0)}  # doctest: +SKIP
        >>> tl.evaluation.choose_adapted(runs, validation, photos).best  # doctest: +SKIP
        0.3
    """
    if not isinstance(models, Mapping) or not models:
        raise InputError("models: expected a dict from name to model with at least one entry.")
    check_score(score)
    found = {
        name: adaptation_scores(model, source, target, batch_size=batch_size, seed=seed)
        for name, model in models.items()
    }
    choice = AdaptationChoice(min(found, key=lambda name: found[name][score]), score, found)
    if verbose:
        print(choice)
    return choice


class AdaptationScore(ResumableCallback):
    """Scores the model after every epoch without target labels, stops early, keeps the best.

    A callback for `fine_tune`. Leave `validation` out there: with it, the run ends with the weights
    of the smallest validation loss instead. A run that was killed and resumed goes on
    with the scores and the best weights that it had. The objectives' own layers, such as a
    discriminator or the source head of `LwF`, end with the same epoch as the model.

    Args:
        source: Labelled source examples that are not trained on.
        target: Target examples; labels are not read.
        score: What decides; see `AdaptationScores`.
        patience: Epochs without a better score, counted from the stage's first, after which the
            stage ends; None for never.
        restore: Whether the run ends with the weights of the best epoch.
        batch_size: Examples at a time.
        seed: Of the draws.

    Attributes:
        history: The scores of each epoch.
        best_epoch: Number, from 0, of the epoch with the smallest score; None before the first.

    Raises:
        InputError: If there is no such score.

    Example:
        >>> stop = tl.evaluation.AdaptationScore(validation, photos, patience=5)  # doctest: +SKIP
        >>> tl.fine_tune(model, data, objectives=…, callbacks=[stop])  # doctest: +SKIP
    """

    def __init__(
        self,
        source: Any,
        target: Any,
        score: str = "information",
        *,
        patience: int | None = None,
        restore: bool = True,
        batch_size: int = 32,
        seed: int = 0,
    ):
        super().__init__()
        check_score(score)
        self.source = source
        self.target = target
        self.score = score
        self.patience = patience
        self.restore = bool(restore)
        self.batch_size = batch_size
        self.seed = seed
        self.history: list[AdaptationScores] = []
        self.best_epoch: int | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Start again."""
        check_classifier(self.model)
        self.history, self.best_epoch = [], None
        self._best, self._weights, self._without_gain = np.inf, None, 0
        self._forward = compiled_forward(self.model)

    def begin_stage(self) -> None:
        """Count the epochs without a better score from zero."""
        self._without_gain = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Score the model, remember the best weights, and stop the stage if it is time."""
        found = adaptation_scores(
            self.model,
            self.source,
            self.target,
            batch_size=self.batch_size,
            seed=self.seed,
            forward=self._forward,
        )
        self.history.append(found)
        if found[self.score] < self._best:
            self._best, self.best_epoch, self._without_gain = found[self.score], epoch, 0
            if self.restore:
                own = (*self.model.weights, *self.networks)
                self._weights = [variable.numpy() for variable in own]
            return
        self._without_gain += 1
        if self.patience is not None and self._without_gain >= self.patience:
            self.model.stop_training = True

    def state(self) -> dict[str, np.ndarray]:
        """Return scores, best epoch and best weights, for a checkpoint."""
        weights = {f"weight/{k:05}": value for k, value in enumerate(self._weights or [])}
        return {
            "history": np.array([dataclasses.astuple(one) for one in self.history]),
            "best_epoch": np.array(-1 if self.best_epoch is None else self.best_epoch),
            "best": np.array(self._best),
            "without_gain": np.array(self._without_gain),
            **weights,
        }

    def restore_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a checkpoint."""
        self.history = [AdaptationScores(*map(float, row)) for row in state["history"]]
        self._best, self._without_gain = float(state["best"]), int(state["without_gain"])
        self.best_epoch = None if state["best_epoch"] < 0 else int(state["best_epoch"])
        names = sorted(name for name in state if name.startswith("weight/"))
        self._weights = [state[name] for name in names] or None

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Give the model, and the objectives' own layers, the weights of the best epoch back."""
        if self._weights is not None:
            count = len(self.model.weights)
            self.model.set_weights(self._weights[:count])
            for variable, value in zip(self.networks, self._weights[count:], strict=True):
                variable.assign(value)
        self._forward = None


def check_score(score: str) -> None:
    """Raise `InputError` unless there is such a score."""
    if score not in SCORES:
        raise InputError(f"score: expected one of {SCORES}, got {score!r}.")
