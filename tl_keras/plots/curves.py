"""Training curves: losses and metrics by epoch, with the stages of the schedule marked."""

import math
import os
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from tl_keras.plots.curve_axes import draw_single_epoch, limit_rates
from tl_keras.plots.figure import COLOURS, Picture, plain, shorten
from tl_keras.utils.errors import InputError

VALIDATION = "val_"
LEARNING_RATES = ("learning_rate", "lr")
TRAINING_COLOUR, VALIDATION_COLOUR = COLOURS[0], COLOURS[3]
STYLES, MARKERS = ("-", "--", "-.", ":"), "os^Dv"
"""Of the first, second, … loss in a panel."""


def plot_curves(
    history: Mapping[str, Sequence[float]],
    stage_starts: Sequence[int] = (),
    stage_names: Sequence[str] = (),
    path: str | os.PathLike | None = None,
    *,
    best_epoch: int | None = None,
) -> Picture:
    """Plot the history of a run: one panel for the losses and one for each metric.

    Training and validation (`val_…`) have a colour each; of several losses in one panel, each
    has a style of line. Epochs count from 1, as in the log, and the best one is marked.

    Args:
        history: Name of a loss or metric → its value after each epoch. None and NaN leave gaps.
        stage_starts: For each stage, the number of epochs that came before it; the first is 0.
        stage_names: Name of each stage, or empty for "stage 1", "stage 2", …
        path: Where to save the figure, or None.
        best_epoch: Epoch, from 0, whose weights the model has, or None.

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
    figure = Picture(4.6 * columns, 3.6 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    epochs = max(len(values) for values in series.values())
    for axes, (title, bases) in zip(grid, panels.items(), strict=False):
        axes.set_title(plain(title), pad=16 if len(names) > 1 else 6)
        if epochs == 1:
            draw_single_epoch(axes, _names_and_values(bases, series))
            continue
        _draw_lines(axes, bases, series, epochs)
        _draw_best(axes, best_epoch)
        _draw_stages(axes, stage_starts, epochs)
        if bases[0] in LEARNING_RATES:
            limit_rates(axes, series[bases[0]])
        else:
            _draw_legend(axes)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    if names:
        figure.supxlabel(_stages_line(names), fontsize="small", color="#555555")
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


def _names_and_values(bases: list[str], series: Mapping) -> list[tuple[str, str, np.ndarray]]:
    """Return colour, name in the legend and values of each series of a panel."""
    return [
        (colour, _legend(base, name, len(bases)), series[name])
        for base in bases
        for name, colour in ((base, TRAINING_COLOUR), (VALIDATION + base, VALIDATION_COLOUR))
        if name in series
    ]


def _legend(base: str, name: str, count: int) -> str:
    part = "validation" if name.startswith(VALIDATION) else "training"
    return part if count == 1 else plain(f"{base}, {part}")


def _draw_lines(axes, bases: list[str], series: Mapping, epochs: int) -> None:
    for position, base in enumerate(bases):
        for colour, label, values in _names_and_values([base], series):
            axes.plot(
                np.arange(1, len(values) + 1),
                values,
                STYLES[position % len(STYLES)],
                color=colour,
                marker=MARKERS[position % len(MARKERS)] if epochs <= 40 else None,
                markersize=3.5,
                label=label if len(bases) == 1 else plain(f"{base}, {label}"),
            )
    axes.set_xlabel("epoch")
    axes.set_xlim(0.5, epochs + 0.5)
    axes.set_xticks(_epoch_ticks(epochs))
    axes.grid(alpha=0.25)


def _epoch_ticks(epochs: int) -> list[int]:
    """Return at most eight whole epochs, the first among them."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, epochs) if epochs <= 7 * s)
    if step < 5:
        return list(range(1, epochs + 1, step))
    return [1, *range(step, epochs + 1, step)]


def _draw_legend(axes) -> None:
    """Draw the legend where it hides least: a long one stands below the panel."""
    if len(axes.get_legend_handles_labels()[1]) <= 3:
        axes.legend(fontsize="small", framealpha=0.85)
    else:
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.23), "ncols": 2}
        axes.legend(fontsize="x-small", **below)


def _draw_best(axes, best_epoch: int | None) -> None:
    if best_epoch is not None:
        label = f"best epoch, {best_epoch + 1}"
        axes.axvline(best_epoch + 1, color=COLOURS[2], linewidth=1.5, alpha=0.6, label=label)


def _draw_stages(axes, starts: Sequence[int], epochs: int) -> None:
    """Mark where stages begin, and number them above the panel."""
    if len(starts) < 2:
        return
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], epochs], strict=True), 1):
        if start > 0:
            axes.axvline(start + 0.5, color="#777777", linewidth=1, linestyle=":")
        axes.annotate(
            str(number),
            ((start + end + 1) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize="x-small",
            color="#555555",
            annotation_clip=False,
        )


def _stages_line(names: Sequence[str]) -> str:
    """Return what the numbers above the panels stand for."""
    if len(names) == 1:
        return plain(f"stage: {shorten(names[0], 60)}")
    parts = [f"{number} {shorten(name, 40)}" for number, name in enumerate(names, 1)]
    return plain("\n".join(textwrap.wrap("stages: " + ",  ".join(parts), 110)))
