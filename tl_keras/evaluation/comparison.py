"""Several models on the same examples, side by side."""

import dataclasses
import math
import os
from typing import Any

import numpy as np
from scipy.stats import binomtest

from tl_keras.evaluation.report import Report
from tl_keras.evaluation.tables import jsonable, markdown_table, number, text_table, write_json
from tl_keras.evaluation.task_reports import TaskReports
from tl_keras.plots import panels
from tl_keras.plots.figure import Picture
from tl_keras.utils.by_task import by_task
from tl_keras.utils.errors import InputError, counted, did_you_mean

BEST = "★"
ROUNDING = 1e-9
"""Differences up to this come from the order in which numbers were added."""
HAVE_UNITS = ("mean_absolute_error", "root_mean_squared_error")


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Reports of several models on the same examples. Printing it shows them side by side.

    Attributes:
        reports: Name of the model → its report. The others are compared with the first.
    """

    reports: dict[str, Report | TaskReports]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models."""
        return tuple(self.reports)

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Metric → model → value."""
        first = next(iter(self.reports.values())).metrics
        return {
            metric: {name: report.metrics[metric] for name, report in self.reports.items()}
            for metric in first
        }

    @property
    def headings(self) -> dict[str, str]:
        """Metrics in the printed table → their names there, as for `Report`."""
        return self.reports[self.names[0]].headings

    @property
    def differences(self) -> dict[str, dict[str, float]]:
        """Metric → model → its value minus that of the first model."""
        first = self.names[0]
        return {
            metric: {name: values[name] - values[first] for name in self.names[1:]}
            for metric, values in self.metrics.items()
        }

    @property
    def best(self) -> dict[str, tuple[str, ...]]:
        """Metric → models with the best value; several if they tie, none if all are equal."""
        lower = next(iter(self.reports.values())).lower_is_better
        return {m: _best(m, values, m in lower) for m, values in self.metrics.items()}

    @property
    def p_values(self) -> dict[str, float]:
        """Model → p-value of its difference in accuracy to the first model.

        McNemar's exact test: of the examples that only one of two models has right, is the split
        compatible with a fair coin? Two-sided, on the same examples, not corrected for
        several models. For multi-label tasks an example is right if all its labels are. Keys are
        `model` for one task and `task/model` for several; regression tasks have none.
        """
        result = {}
        first, *others = map(_by_task, self.reports.values())
        for name, reports in zip(self.names[1:], others, strict=True):
            for task, report in reports.items():
                before, after = first[task].right, report.right
                if before is not None and after is not None:
                    result[f"{task}/{name}" if task else name] = mcnemar(before, after)
        return result

    def __getitem__(self, name: str) -> Report | TaskReports:
        """Return the report of a model by name."""
        if name not in self.reports:
            raise InputError(
                f"comparison[{name!r}]: there is no such model."
                f"{did_you_mean(name, self.names)} There are {list(self.names)}."
            )
        return self.reports[name]

    def __str__(self) -> str:
        """Return the table of metrics as plain text."""
        table = text_table(self._title(), ("metric", *self.names), self._cells())
        return "\n".join([table, "", *self._p_lines()]).rstrip() + "\n"

    __repr__ = __str__

    def _title(self) -> str:
        first = self.reports[self.names[0]]
        parts = [counted(len(first), "example"), first.positive_line, f"{BEST} best"]
        parts += [f"in brackets the difference to {self.names[0]}"] * (len(self.names) > 1)
        return ", ".join(filter(None, parts))

    def _cells(self) -> list[list[str]]:
        table, best, differences, rows = self.metrics, self.best, self.differences, []
        for metric, heading in self.headings.items():
            cells = [heading]
            for name, value in table[metric].items():
                mark = f"{BEST} " if name in best[metric] else ""
                change = differences[metric].get(name, np.nan)
                bracket = "" if np.isnan(change) else f" ({number(change, True)})"
                if bracket and _equal(metric, value, value - change):
                    bracket = " (equal)"
                cells.append(mark + number(value) + bracket)
            rows.append(cells)
        return rows

    def _p_lines(self) -> list[str]:
        return [
            f"{name} against {self.names[0]}: p = {p:.2g} (McNemar's exact test of accuracy)"
            for name, p in self.p_values.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return what strict JSON can hold: metrics, best models, differences and p-values."""
        return jsonable(
            {
                "models": self.names,
                "examples": len(self.reports[self.names[0]]),
                "positive": self.reports[self.names[0]].positive,
                "metrics": self.metrics,
                "best": self.best,
                "difference_to_first": self.differences,
                "p_values": self.p_values,
                "reports": {name: report.to_dict() for name, report in self.reports.items()},
            }
        )

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """Return `to_dict()` as JSON, and save it if there is a path."""
        return write_json(self.to_dict(), path)

    def to_markdown(self) -> str:
        """Return the table of metrics in Markdown, with the p-values below."""
        lines = [f"- {line}\n" for line in self._p_lines()]
        table = markdown_table(("metric", *self.names), self._cells())
        return table + ("\n" + "".join(lines) if lines else "")

    def plot(self, path: str | os.PathLike | None = None) -> Picture:
        """Draw one group of bars for each metric, scores and errors in separate panels.

        Args:
            path: Where to save the figure, or None.

        Returns:
            The figure; notebooks show it.
        """
        table, headings = self.metrics, self.headings
        lower = self.reports[self.names[0]].lower_is_better
        scores = [metric for metric in headings if metric not in lower]
        groups = {
            "Scores (higher is better)": scores,
            "Errors (lower is better)": [metric for metric in headings if metric not in scores],
        }
        groups = {title: members for title, members in groups.items() if members}
        ratios = [len(members) + 1 for members in groups.values()]
        figure = Picture(max(6.4, (0.35 + 0.22 * len(self.names)) * sum(ratios)), 4.8)
        grid = figure.subplots(1, len(groups), squeeze=False, width_ratios=ratios)[0]
        for axes, (title, members) in zip(grid, groups.items(), strict=True):
            series = {n: np.array([table[m][n] for m in members]) for n in self.names}
            panels.draw_grouped_bars(axes, [headings[metric] for metric in members], series, title)
        handles, names = grid[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=min(4, len(names)))
        return figure.write(path)


def mcnemar(right_before: np.ndarray, right_after: np.ndarray) -> float:
    """Two-sided p-value of McNemar's exact test.

    McNemar, "Note on the sampling error of the difference between correlated proportions",
    Psychometrika 1947, with the binomial distribution instead of its normal approximation.

    Args:
        right_before: Whether the first model is right, `(n,)` booleans.
        right_after: Whether the second model is right on the same examples.

    Returns:
        The p-value, 1 if the models never differ.
    """
    gained = int((~right_before & right_after).sum())
    lost = int((right_before & ~right_after).sum())
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def _by_task(report: Report | TaskReports) -> dict[str, Report]:
    return report.tasks if isinstance(report, TaskReports) else by_task(report)


def _best(metric: str, values: dict[str, float], lower: bool) -> tuple[str, ...]:
    defined = {name: value for name, value in values.items() if not np.isnan(value)}
    if not defined:
        return ()
    best = (min if lower else max)(defined.values())
    equal = tuple(name for name, value in defined.items() if _equal(metric, value, best))
    return equal if len(equal) < len(defined) else ()


def _equal(metric: str, one: float, other: float) -> bool:
    """Return whether two values of a metric differ by no more than rounding."""
    has_unit = metric.rpartition("/")[2] in HAVE_UNITS
    return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=0.0 if has_unit else ROUNDING)
