"""Training curves: losses and metrics by epoch, with the stages of the schedule marked."""

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np

from tl_keras.errors import InputError
from tl_keras.plots.figure import COLOURS, Picture, plain

VALIDATION = "val_"
LEARNING_RATES = ("learning_rate", "lr")


def plot_curves(
    history: Mapping[str, Sequence[float]],
    stage_starts: Sequence[int] = (),
    stage_names: Sequence[str] = (),
    path: str | os.PathLike | None = None,
) -> Picture:
    """Plot the history of a run: one panel for the losses and one for each metric.

    Training is drawn as a solid line, validation (`val_…`) as a dashed line of the same colour.

    Args:
        history: Name of a loss or metric → its value after each epoch. None and NaN leave gaps.
        stage_starts: For each stage, the number of epochs that came before it; the first is 0.
        stage_names: Name of each stage, or empty for "stage 1", "stage 2", …
        path: Where to save the figure, or None.

    Returns:
        The figure, at 120 dots per inch.

    Raises:
        InputError: If there is nothing to plot, or starts and names differ in number.

    Example:
        >>> figure = plot_curves({"loss": [0.9, 0.5], "val_loss": [0.8, 0.6]})
        >>> figure.axes[0].get_title()
        'loss'
    """
    series = {name: _numbers(values) for name, values in history.items() if len(values)}
    if not series:
        raise InputError(
            "history: expected at least one loss or metric with a value, got none. "
            "Train for at least one epoch first."
        )
    if stage_names and len(stage_names) != len(stage_starts):
        raise InputError(
            f"stage_names: expected one name for each of the {len(stage_starts)} stage_starts, "
            f"got {len(stage_names)}."
        )
    names = list(stage_names) or [f"stage {number + 1}" for number in range(len(stage_starts))]
    panels = _panels(series)
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Picture(4.6 * columns, 3.5 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    epochs = max(len(values) for values in series.values())
    for axes, (title, bases) in zip(grid, panels.items(), strict=False):
        _draw_panel(axes, title, bases, series, epochs)
        left = 0.5 - 0.06 * epochs if names else 0.5
        axes.set_xlim(left, epochs + 0.5)
        _draw_stages(axes, stage_starts, names, left)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure.write(path)


def _numbers(values: Sequence[float]) -> np.ndarray:
    return np.array([np.nan if value is None else float(value) for value in values])


def _base(name: str) -> str:
    return name.removeprefix(VALIDATION)


def _panels(series: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    """Return title → base names: all losses together, then each metric, the learning rate last."""
    bases = list(dict.fromkeys(_base(name) for name in series))
    losses = sorted((base for base in bases if base.endswith("loss")), key=lambda b: b != "loss")
    rates = [base for base in bases if base in LEARNING_RATES]
    panels = {"loss": losses} if losses else {}
    panels.update({base: [base] for base in bases if base not in losses and base not in rates})
    panels.update({base.replace("_", " "): [base] for base in rates})
    return panels


def _draw_panel(axes, title: str, bases: list[str], series: Mapping, epochs: int) -> None:
    for position, base in enumerate(bases):
        colour = COLOURS[position % len(COLOURS)]
        for name, style, marker in ((base, "-", "o"), (VALIDATION + base, "--", "s")):
            if name in series:
                values = series[name]
                axes.plot(
                    np.arange(1, len(values) + 1),
                    values,
                    style,
                    color=colour,
                    marker=marker if epochs <= 40 else None,
                    markersize=3.5,
                    markerfacecolor=colour if style == "-" else "white",
                    label=_legend(base, name, len(bases)),
                )
    if bases[0] in LEARNING_RATES:
        axes.set_yscale("log")
    axes.set_title(plain(title))
    axes.set_xlabel("epoch")
    axes.set_ylabel(plain(title))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    if bases[0] not in LEARNING_RATES:
        axes.legend(fontsize="small", framealpha=0.85)


def _legend(base: str, name: str, count: int) -> str:
    part = "validation" if name.startswith(VALIDATION) else "training"
    return part if count == 1 else plain(f"{base}, {part}")


def _draw_stages(axes, starts: Sequence[int], names: Sequence[str], left: float) -> None:
    for start, name in zip(starts, names, strict=True):
        if start > 0:
            axes.axvline(start + 0.5, color="#777777", linewidth=1, linestyle=":")
        axes.annotate(
            plain(name),
            (start + 0.5 if start else left, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -4),
            textcoords="offset points",
            rotation=90,
            ha="left",
            va="top",
            fontsize="x-small",
            color="#555555",
            zorder=1,
        )
