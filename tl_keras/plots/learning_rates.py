"""The picture of a learning-rate range test: loss over learning rate."""

import os

import numpy as np

from tl_keras.plots.figure import COLOURS, Picture

_MARGIN = 0.06


def plot_learning_rates(
    learning_rates: np.ndarray,
    losses: np.ndarray,
    smoothed: np.ndarray,
    suggestion: float,
    *,
    falls: bool = True,
    path: str | os.PathLike | None = None,
) -> Picture:
    """Plot the losses of a range test, raw and smoothed, and mark the suggestion.

    Args:
        learning_rates: Rising, `(n,)`; the axis is logarithmic.
        losses: Raw losses, `(n,)`; those far above the smoothed curve are cut off.
        smoothed: The smoothed curve, `(n,)`.
        suggestion: Learning rate to mark.
        falls: Whether the suggestion comes from the curve.
        path: Where to save the figure, or None.

    Returns:
        The figure, at 120 dots per inch.
    """
    figure = Picture(6.4, 4.0)
    axes = figure.subplots()
    axes.plot(learning_rates, losses, ".", color=COLOURS[5], markersize=4, label="loss")
    axes.plot(learning_rates, smoothed, color=COLOURS[0], linewidth=2, label="smoothed")
    label = f"suggestion {suggestion:.2g}" + ("" if falls else ", the stage's own: no fall found")
    axes.axvline(suggestion, color=COLOURS[3], linewidth=1.2, linestyle="--", label=label)
    if falls:
        height = np.interp(np.log(suggestion), np.log(learning_rates), smoothed)
        axes.plot(suggestion, height, "o", color=COLOURS[3], markersize=7, zorder=3)
    axes.set_xscale("log")
    low, high = min(losses.min(), smoothed.min()), smoothed.max()
    shown = losses[losses <= high + 0.5 * (high - low)]
    high = max(high, shown.max())
    room = _MARGIN * ((high - low) or 1.0)
    axes.set_ylim(low - room, high + room)
    axes.set(xlabel="learning rate", ylabel="loss", title="Learning-rate range test")
    axes.grid(alpha=0.25)
    axes.legend(fontsize="small", framealpha=0.85)
    return figure.write(path)
