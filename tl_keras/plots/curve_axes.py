"""Axes that plain lines do not suit: learning rates over powers of ten, and a single epoch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

FAR = 30.0
"""How many times smaller than the next larger rate one is that would stretch the axis."""
FEW = 0.1
"""Share of the epochs, or one of them, whose rates may be left below the axis."""


def limit_rates(axes: Any, rates: np.ndarray) -> None:
    """Make the axis of learning rates logarithmic, with limits that a tiny last rate leaves alone.

    A rate below the axis is marked at its bottom.

    Args:
        axes: Matplotlib axes with the rates drawn.
        rates: The rates, one an epoch.
    """
    positive = np.sort(rates[rates > 0])
    axes.set_yscale("log")
    if not len(positive):
        return
    lowest = 0
    for index in range(min(len(positive) - 1, max(1, int(FEW * len(positive))))):
        if positive[index] * FAR < positive[index + 1]:
            lowest = index + 1
    bottom = positive[lowest] / 2
    axes.set_ylim(bottom, positive[-1] * 2)
    below = np.flatnonzero(rates < positive[lowest])
    if len(below):
        axes.plot(below + 1, np.full(len(below), bottom), "v", color="#555555", clip_on=False)
        axes.annotate(
            f"{rates[below[-1]]:.1g}",
            (below[-1] + 1, bottom),
            xytext=(-7, 4),
            textcoords="offset points",
            ha="right",
            fontsize="x-small",
            color="#555555",
        )


def draw_single_epoch(axes: Any, named: Sequence[tuple[str, str, np.ndarray]]) -> None:
    """Draw a run of one epoch, which has no curve, as one bar for each value.

    Args:
        axes: Matplotlib axes.
        named: Colour, name and the one value of each series.
    """
    values = np.array([series[0] for _, _, series in named])
    positions = np.arange(len(named))
    bars = axes.barh(
        positions, np.nan_to_num(values), 0.6, color=[colour for colour, _, _ in named]
    )
    axes.bar_label(bars, [f"{value:.4g}" for value in values], padding=3, fontsize="small")
    axes.set_yticks(positions, [name for _, name, _ in named])
    axes.set_ylim(max(len(named), 2) - 0.5, -0.5)
    axes.margins(x=0.2)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel("after one epoch")
