"""The evaluation of a model with several named outputs."""

import dataclasses
import os
from typing import Any

from tl_keras.evaluation.report import Report
from tl_keras.evaluation.tables import write_json
from tl_keras.plots.figure import Picture
from tl_keras.utils.errors import InputError, did_you_mean


@dataclasses.dataclass(frozen=True, eq=False)
class TaskReports:
    """One report for each task of a model; `reports["animal"]["accuracy"]` is a number.

    Attributes:
        tasks: Name of the task → its report.
    """

    tasks: dict[str, Report]

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics, named `task/metric`."""
        return {
            f"{task}/{name}": value
            for task, report in self.tasks.items()
            for name, value in report.metrics.items()
        }

    @property
    def lower_is_better(self) -> frozenset[str]:
        """The metrics, named `task/metric`, of which less is better."""
        return frozenset(
            f"{task}/{name}"
            for task, report in self.tasks.items()
            for name in report.lower_is_better
        )

    @property
    def headings(self) -> dict[str, str]:
        """Metrics in the printed tables, named `task/metric` → their names there."""
        return {
            f"{task}/{name}": f"{task}/{heading}"
            for task, report in self.tasks.items()
            for name, heading in report.headings.items()
        }

    @property
    def positive(self) -> dict[str, str | None]:
        """Task → name of its positive class, None where there is none."""
        return {task: report.positive for task, report in self.tasks.items()}

    @property
    def positive_line(self) -> str:
        """What tables of all tasks say about the positive classes; empty where there is none."""
        lines = [(task, report.positive_line) for task, report in self.tasks.items()]
        return ", ".join(f"{task}: {line}" for task, line in lines if line)

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(next(iter(self.tasks.values())))

    def __getitem__(self, name: str) -> Report | float:
        """Return the report of a task, or the metric `task/metric`."""
        task, _, metric = name.partition("/")
        if task not in self.tasks:
            raise InputError(
                f"report[{name!r}]: there is no such task.{did_you_mean(task, self.tasks)} "
                f"There are {list(self.tasks)}."
            )
        return self.tasks[task][metric] if metric else self.tasks[task]

    def __str__(self) -> str:
        """Return the tables of all tasks."""
        return "\n".join(f"{task}: {report}" for task, report in self.tasks.items())

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return what strict JSON can hold, by task."""
        return {"tasks": {task: report.to_dict() for task, report in self.tasks.items()}}

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """Return `to_dict()` as JSON, and save it if there is a path."""
        return write_json(self.to_dict(), path)

    def plot(self, path: str | os.PathLike | None = None) -> Picture:
        """Draw the figures of all tasks below one another.

        Args:
            path: Where to save the figure, or None.

        Returns:
            The figure; notebooks show it.
        """
        widest = max(report.panel_count for report in self.tasks.values())
        figure = Picture(5.2 * widest, 4.9 * len(self.tasks))
        parts = figure.subfigures(len(self.tasks), 1, squeeze=False)[:, 0]
        for part, (task, report) in zip(parts, self.tasks.items(), strict=True):
            part.suptitle(task, fontweight="bold")
            report.draw(part)
        return figure.write(path)
