"""Panels of an evaluation: each function draws arrays on the axes it is given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.axes_grid1 import make_axes_locatable

from tl_keras.plots.figure import COLOURS, plain, shorten

CELL_TEXT_LIMIT = 15
TICK_LIMIT = 30


def draw_confusion(axes: Any, matrix: np.ndarray, labels: Sequence[str]) -> None:
    """Draw a confusion matrix: colour is the share of the true class, text is the count.

    Args:
        axes: Matplotlib axes.
        matrix: Counts `(classes, classes)`; rows are true classes, columns predicted ones.
        labels: Names of the classes.
    """
    count = len(labels)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.figure.colorbar(image, ax=axes, fraction=0.046, label="share of the true class")
    if count <= CELL_TEXT_LIMIT:
        for row, column in np.ndindex(matrix.shape):
            axes.text(
                column,
                row,
                f"{matrix[row, column]:,}",
                ha="center",
                va="center",
                fontsize=10 if count <= 6 else 7,
                color="white" if share[row, column] > 0.55 else "black",
            )
    ticks = np.arange(0, count, max(1, int(np.ceil(count / TICK_LIMIT))))
    names = [plain(shorten(labels[int(tick)])) for tick in ticks]
    if len(names) > 12:
        axes.set_xticks(ticks, names, rotation=90)
    elif len(names) > 4 or any(len(name) > 8 for name in names):
        axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    if count > 8:
        axes.tick_params(labelsize=7)
    axes.set(xlabel="predicted class", ylabel="true class", title="Confusion matrix")


def draw_reliability(
    axes: Any, counts: np.ndarray, accuracy: np.ndarray, confidence: np.ndarray, error: float
) -> None:
    """Draw a reliability diagram: accuracy by confidence, against the diagonal.

    What bars lack to the mean confidence of their bin, or have beyond it, is drawn as a gap; how
    many examples a bin has stands in a panel of its own below.

    Args:
        axes: Matplotlib axes; they are divided.
        counts: Number of examples in each of the equal-width bins of confidence, `(bins,)`.
        accuracy: Share of right predictions in each bin, NaN for an empty bin.
        confidence: Mean confidence in each bin, NaN for an empty bin.
        error: The expected calibration error, 0 … 1.
    """
    bins = len(counts)
    centres = (np.arange(bins) + 0.5) / bins
    filled = counts > 0
    width = 0.92 / bins
    axes.bar(centres[filled], accuracy[filled], width, color=COLOURS[5], label="accuracy")
    axes.bar(
        centres[filled],
        (confidence - accuracy)[filled],
        width,
        bottom=accuracy[filled],
        facecolor="none",
        edgecolor=COLOURS[3],
        hatch="////",
        linewidth=0.8,
        label="gap to mean confidence",
    )
    axes.plot([0, 1], [0, 1], "--", color="#555555", linewidth=1.2, label="perfect calibration")
    axes.set(xlim=(-0.03, 1.03), ylim=(0, 1.02), ylabel="accuracy")
    axes.set_title(f"Reliability (calibration error {error:.3f})")
    axes.legend(fontsize="small", loc="upper left")
    below = make_axes_locatable(axes).append_axes("bottom", size="22%", pad=0.12, sharex=axes)
    below.bar(centres, counts / max(counts.sum(), 1), width, color="#777777")
    below.set(xlabel="confidence", ylabel="share of\nexamples")
    below.yaxis.set_major_locator(MaxNLocator(2))
    axes.tick_params(labelbottom=False)


def draw_roc(
    axes: Any, false_positive: np.ndarray, true_positive: np.ndarray, area: float, name: str
) -> None:
    """Draw the receiver operating characteristic of the positive class.

    Args:
        axes: Matplotlib axes.
        false_positive: False positive rates, increasing.
        true_positive: True positive rates, increasing.
        area: Area under the curve.
        name: Name of the positive class.
    """
    axes.plot(false_positive, true_positive, color=COLOURS[0], label=f"AUC {area:.3f}")
    axes.plot([0, 1], [0, 1], "--", color="#555555", label="chance")
    axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), aspect="equal")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    axes.set_title(plain(f"ROC of {shorten(name, 24)}"))
    axes.legend(loc="lower right")


def draw_scores(axes: Any, labels: Sequence[str], scores: np.ndarray, name: str) -> None:
    """Draw one horizontal bar for each label, at most 30 of them, the lowest scores.

    Args:
        axes: Matplotlib axes.
        labels: Names.
        scores: Values 0 … 1, NaN where there is none, `(labels,)`.
        name: What the score is called.
    """
    kept = np.argsort(np.nan_to_num(scores, nan=np.inf), kind="stable")[:TICK_LIMIT]
    kept = np.sort(kept)
    names = [plain(shorten(labels[int(index)])) for index in kept]
    bars = axes.barh(np.arange(len(kept)), np.nan_to_num(scores[kept]), color=COLOURS[0])
    texts = ["none" if np.isnan(scores[index]) else f"{scores[index]:.2f}" for index in kept]
    axes.bar_label(bars, texts, padding=3, fontsize="small")
    axes.set_yticks(np.arange(len(kept)), names)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.12), xlabel=name)
    few = f", the {len(kept)} lowest of {len(labels)}" if len(labels) > len(kept) else ""
    axes.set_title(f"{name} by label{few}")


def draw_predicted_against_true(
    axes: Any, true: np.ndarray, predicted: np.ndarray, name: str
) -> None:
    """Draw predictions of a regression against the truth.

    Args:
        axes: Matplotlib axes.
        true: True values `(n,)`.
        predicted: Predicted values `(n,)`.
        name: Name of the value.
    """
    low = float(min(true.min(), predicted.min()))
    high = float(max(true.max(), predicted.max()))
    axes.plot([low, high], [low, high], "--", color="#555555", label="perfect")
    axes.plot(true, predicted, ".", color=COLOURS[0], alpha=0.6, label="examples")
    axes.set(xlabel="true value", ylabel="predicted value", title=plain(f"Predicted: {name}"))
    axes.set_box_aspect(1)
    axes.grid(alpha=0.25)
    axes.legend(loc="upper left")


def draw_grouped_bars(
    axes: Any, groups: Sequence[str], series: dict[str, np.ndarray], title: str
) -> None:
    """Draw one group of bars for each metric and one bar in it for each model.

    Args:
        axes: Matplotlib axes.
        groups: Names of the metrics.
        series: Name of a model → its values `(groups,)`, NaN for no bar.
        title: Title of the panel.
    """
    width = 0.8 / len(series)
    positions = np.arange(len(groups))
    for index, (name, values) in enumerate(series.items()):
        bars = axes.bar(
            positions + (index - (len(series) - 1) / 2) * width,
            np.nan_to_num(values),
            width * 0.94,
            color=COLOURS[index % len(COLOURS)],
            hatch="//" if index >= len(COLOURS) else None,
            label=plain(name),
        )
        texts = ["" if np.isnan(value) else f"{value:.3g}" for value in values]
        axes.bar_label(bars, texts, padding=2, fontsize=6.5, rotation=90 if len(series) > 2 else 0)
    axes.margins(y=0.18 if len(series) > 2 else 0.1)
    names = [plain(name) for name in groups]
    axes.set_xticks(positions, names, rotation=30, ha="right")
    axes.set_title(title)
    axes.set_ylabel("value")
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
