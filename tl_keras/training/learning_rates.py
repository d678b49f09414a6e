"""What a learning-rate range test found: its curve, and the rate that the curve suggests."""

import dataclasses
import math
import os
from collections.abc import Sequence

import numpy as np

from tl_keras.plots import plot_learning_rates
from tl_keras.plots.figure import Picture
from tl_keras.utils.errors import counted

DIVERGED = 4.0
"""The loss counts as diverged above this many times its smallest value."""

_STANDARD_ERRORS = 4.0
_LEAST_FALL = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class LearningRates:
    """Learning rates that were tried, from small to large, and the losses that came.

    Attributes:
        learning_rates: One per update, `(n,)`.
        losses: Loss before each update, always of the same examples, `(n,)`.
        smoothed: The same, smoothed, `(n,)`.
        suggestion: Learning rate to train with.
        falls: Whether the loss fell at all; otherwise the suggestion is the stage's own rate.
        diverged: Whether the test ended because the loss diverged.
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float
    falls: bool
    diverged: bool

    def __str__(self) -> str:
        """Return the result in three lines."""
        best = int(np.argmin(self.smoothed))
        end = "where the loss diverged" if self.diverged else "without divergence"
        why = "steepest fall of the loss" if self.falls else "the stage's own: no fall was found"
        return (
            f"learning rates {_short(self.learning_rates[0])} … "
            f"{_short(self.learning_rates[-1])} in {counted(len(self.losses), 'step')}, {end}\n"
            f"smallest loss {self.smoothed[best]:.4g} at {_short(self.learning_rates[best])}\n"
            f"suggestion {_short(self.suggestion)} ({why})"
        )

    def plot(self, path: str | os.PathLike | None = None) -> Picture:
        """Draw the losses over the learning rate, with the suggestion marked.

        Args:
            path: PNG file to write as well.

        Returns:
            The `matplotlib.figure.Figure`.
        """
        return plot_learning_rates(
            self.learning_rates,
            self.losses,
            self.smoothed,
            self.suggestion,
            falls=self.falls,
            path=path,
        )


def smooth(losses: Sequence[float] | np.ndarray, width: float) -> np.ndarray:
    """Return the mean of all losses around each one, with Gaussian weights.

    `s_i = Σ_j w(i−j) l_j / Σ_j w(i−j)` with `w(d) = exp(−d² / 2·width²)`. Unlike a moving average
    of what came before, it does not lag behind: a fall stays where it is.

    Args:
        losses: `(n,)`.
        width: Standard deviation of the weights, in steps.
    """
    steps = np.arange(len(losses))
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / width) ** 2)
    return weights @ np.asarray(losses, float) / weights.sum(axis=1)


def latest_smoothed(losses: Sequence[float], width: float) -> float:
    """Return the last value of `smooth(losses, width)`."""
    distance = np.arange(len(losses) - 1, -1, -1)
    weights = np.exp(-0.5 * (distance / width) ** 2)
    return float(weights @ np.asarray(losses, float) / weights.sum())


def steepest_fall(learning_rates: np.ndarray, smoothed: np.ndarray) -> int | None:
    """Return where the smoothed loss falls fastest per decade, before its minimum.

    Args:
        learning_rates: Rising, `(n,)`.
        smoothed: `(n,)`.

    Returns:
        A position, or None if the smallest loss is the first one.
    """
    lowest = int(np.argmin(smoothed))
    if lowest == 0:
        return None
    slopes = np.gradient(smoothed[: lowest + 1], np.log10(learning_rates[: lowest + 1]))
    return int(np.argmin(slopes))


def read_curve(
    learning_rates: Sequence[float] | np.ndarray,
    losses: Sequence[float] | np.ndarray,
    *,
    width: float,
    fallback: float,
    diverged: bool = False,
) -> LearningRates:
    """Smooth the losses of a range test and find the learning rate that they suggest.

    The suggestion is the rate at which the smoothed loss falls fastest per decade, before its
    minimum. A fall counts if it exceeds four standard errors, which the scatter of the losses
    around the smoothed curve gives, and a thousandth of the first loss.

    Args:
        learning_rates: Rising, `(n,)`.
        losses: `(n,)`, finite.
        width: Width of the smoothing in steps.
        fallback: Suggestion if the loss does not fall.
        diverged: Whether the test ended by divergence.
    """
    rates, values = np.asarray(learning_rates, float), np.asarray(losses, float)
    # One exploding step must not outweigh all of its neighbours.
    before = values[: int(np.argmin(values)) + 1].max()
    capped = np.minimum(values, max(before, DIVERGED * values.min()))
    smoothed = smooth(capped, width)
    steepest = steepest_fall(rates, smoothed)
    falls = steepest is not None and _is_more_than_noise(capped, smoothed, width)
    return LearningRates(
        learning_rates=rates,
        losses=values,
        smoothed=smoothed,
        suggestion=float(rates[steepest]) if falls else float(fallback),
        falls=falls,
        diverged=diverged,
    )


def _is_more_than_noise(losses: np.ndarray, smoothed: np.ndarray, width: float) -> bool:
    lowest = int(np.argmin(smoothed))
    scatter = np.std(losses[: lowest + 1] - smoothed[: lowest + 1])
    # A Gaussian mean of independent values has 1 / (2·√π·width) of their variance; the fall is
    # the difference of two such means.
    error = scatter * math.sqrt(2 / (2 * math.sqrt(math.pi) * width))
    fall = smoothed[0] - smoothed[lowest]
    return bool(fall > max(_STANDARD_ERRORS * error, _LEAST_FALL * abs(smoothed[0])))


def _short(rate: float) -> str:
    return f"{rate:.2g}"
