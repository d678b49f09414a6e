"""What an evaluation found: numbers, a table, JSON and a figure."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tl_keras.evaluation.output_checks import check_outputs
from tl_keras.evaluation.positive import headings, positive_class, positive_line
from tl_keras.evaluation.tables import jsonable, number, text_table, write_json
from tl_keras.plots.figure import Picture
from tl_keras.tasks.base import Task
from tl_keras.tasks.own_metrics import Metric, measured
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError, Renamed, counted, did_you_mean

ROWS_SHOWN = 30


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """The evaluation of one output of a model. Printing it shows its tables.

    Attributes:
        task: The kind of target, such as `tl.tasks.Classification()`.
        metrics: Name → value; NaN where the data leave a metric undefined.
        per_class: One dict for each class, label or regressed value, in the order of `labels`.
            Classes have `precision`, `recall`, `f1`, `auc` and `support`, the number of examples.
        confusion: Counts. Classification: `(classes, classes)`, rows true, columns predicted.
            Multi-label: `(labels, 2, 2)`. Regression: None.
        labels: Names of the classes, labels or values.
        targets: What is true, `(n, size)`, as `TargetSpec.encode` gives it.
        probabilities: What the model gave, `(n, size)`; for regression its predictions.
        positive: Name of the class that `precision`, `recall`, `f1` and `auc` are about, where
            there are two classes, or one label that is there or not; None otherwise.
    """

    task: Task
    metrics: dict[str, float]
    per_class: list[dict[str, Any]]
    confusion: np.ndarray | None
    labels: tuple[str, ...]
    targets: np.ndarray
    probabilities: np.ndarray
    positive: str | None = None

    @property
    def kind(self) -> Any:
        """Not there any more: `task` is."""
        raise Renamed("report.kind: the kind of target is report.task, its name report.task.name.")

    @classmethod
    def of(
        cls,
        spec: TargetSpec,
        targets: np.ndarray,
        probabilities: np.ndarray,
        positive: str | int | None = None,
    ) -> "Report":
        """Evaluate arrays.

        Args:
            spec: What is predicted.
            targets: Encoded targets `(n, size)`.
            probabilities: Outputs of the model `(n, size)`.
            positive: The positive one of two classes, by name or number; by default the last.

        Returns:
            The report.

        Raises:
            InputError: If the outputs have another shape, are not finite or are not
                probabilities, or there is no such class.
        """
        positive = positive_class(spec, positive)
        check_outputs(spec, targets, probabilities)
        task, names = spec.task, spec.output_names
        rows = task.rows(targets, probabilities)
        return cls(
            task=task,
            metrics=task.metrics(targets, probabilities, positive),
            per_class=[{task.nouns[0]: name, **row} for name, row in zip(names, rows, strict=True)],
            confusion=task.confusion(targets, probabilities),
            labels=names,
            targets=targets,
            probabilities=probabilities,
            positive=None if positive is None else names[positive],
        )

    def add(self, metrics: Mapping[str, Metric]) -> None:
        """Measure more, and keep the values in `metrics`.

        Args:
            metrics: Name → a `keras.metrics.Metric`, or a function of targets and predictions.

        Raises:
            InputError: If the report has a metric of the name, or one gives no single number.
        """
        taken = [name for name in metrics if name in self.metrics]
        if taken:
            raise InputError(
                f"metrics: the report has {taken[0]!r} itself. Give yours another name."
            )
        self.metrics.update(measured(metrics, self.targets, self.probabilities))

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.targets)

    def __getitem__(self, name: str) -> float:
        """Return a metric by name."""
        if name not in self.metrics:
            raise InputError(
                f"report[{name!r}]: there is no such metric.{did_you_mean(name, self.metrics)} "
                f"There are {list(self.metrics)}."
            )
        return self.metrics[name]

    def __str__(self) -> str:
        """Return the metrics and the rows by class as plain text."""
        cells = [(shown, number(self.metrics[name])) for name, shown in self.headings.items()]
        title = ", ".join(filter(None, [counted(len(self), "example"), self.positive_line]))
        parts = [text_table(title, ("metric", "value"), cells)]
        if len(self.per_class) > 1:
            parts.append(self._rows_table())
        return "\n\n".join(parts) + "\n"

    __repr__ = __str__

    @property
    def headings(self) -> dict[str, str]:
        """Metrics in the printed tables → their names there; `metrics` may hold more."""
        return headings(self.metrics, self.positive)

    @property
    def positive_line(self) -> str:
        """What tables say about the positive class; empty where there is none."""
        return positive_line(self.labels, self.positive)

    def _rows_table(self) -> str:
        rows, title = self.per_class, f"by {self.task.nouns[0]}"
        if len(rows) > ROWS_SHOWN:
            key, sign = self.task.worst_by
            rows = sorted(rows, key=lambda row: np.nan_to_num(sign * row[key], nan=np.inf))
            rows = rows[:ROWS_SHOWN]
            title += f", the {ROWS_SHOWN} worst of {len(self.per_class)} by {key.replace('_', ' ')}"
        columns = [name.replace("_", " ") for name in rows[0]]
        cells = [
            [value if isinstance(value, str) else number(value) for value in row.values()]
            for row in rows
        ]
        return text_table(title, columns, cells)

    def to_dict(self) -> dict[str, Any]:
        """Return what strict JSON can hold: None for NaN, lists for arrays.

        The arrays of single examples, `targets` and `probabilities`, are left out.
        """
        return jsonable(
            {
                "kind": self.task.name,
                "examples": len(self),
                "labels": self.labels,
                "positive": self.positive,
                "metrics": self.metrics,
                "per_class": self.per_class,
                "confusion": self.confusion,
            }
        )

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """Return `to_dict()` as JSON, and save it if there is a path."""
        return write_json(self.to_dict(), path)

    def most_confident_errors(self, count: int = 10) -> np.ndarray:
        """Find the examples that the model was most wrong about, the worst first.

        Useful for looking at them: many are mislabelled.

        Args:
            count: How many at the most.

        Returns:
            Positions of examples in the data, `(≤ count,)`. Classification: wrong class, by
            confidence. Multi-label: any wrong label, by the largest gap to the truth.
            Regression: by absolute error.
        """
        badness = self.task.badness(self.targets, self.probabilities)
        wrong = badness > 0 if self.right is None else ~self.right
        candidates = np.flatnonzero(wrong)
        return candidates[np.argsort(-badness[candidates], kind="stable")][:count]

    def plot(self, path: str | os.PathLike | None = None) -> Picture:
        """Draw the report as one figure.

        Classification: confusion matrix, reliability diagram, and for two classes the ROC.
        Multi-label: F1 and average precision by label. Regression: predicted against true.

        Args:
            path: Where to save the figure, or None.

        Returns:
            The figure; notebooks show it.
        """
        figure = Picture(5.2 * self.panel_count, 4.6)
        self.draw(figure)
        return figure.write(path)

    @property
    def panel_count(self) -> int:
        """Number of panels side by side in the figure."""
        return len(self.task.panels(self))

    @property
    def right(self) -> np.ndarray | None:
        """Which examples are right `(n,)`; None where nothing is right or wrong."""
        return self.task.right(self.targets, self.probabilities)

    @property
    def lower_is_better(self) -> frozenset[str]:
        """The metrics of which less is better."""
        return self.task.lower_is_better

    def draw(self, figure: Any) -> None:
        """Draw the panels into a matplotlib figure or subfigure."""
        panels = self.task.panels(self)
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, panel in zip(grid, panels, strict=True):
            panel(axes)
