"""Predictions as a table: one row for each label of each example."""

import csv
import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from tl_keras.utils.writing import write_for_user

COLUMNS: tuple[str, ...] = ("file", "task", "rank", "label", "score", "error")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model predicts for files or other examples, the best labels first.

    Attributes:
        results: For each example its `file` (or row) with `predictions`, a list of label and score;
            with `tasks`, task name → that, for several; or with `error` where it cannot be read.
    """

    results: list[dict[str, Any]]

    def __len__(self) -> int:
        """Return the number of examples, those included that cannot be read."""
        return len(self.results)

    @property
    def errors(self) -> dict[str, str]:
        """File → why it cannot be read."""
        return {one["file"]: one["error"] for one in self.results if "error" in one}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row for each label of each example, as a dict by column."""
        rows = []
        for result in self.results:
            if "error" in result:
                rows.append({"file": result["file"], "error": result["error"]})
            for task, found in result.get("tasks", {"": result.get("predictions", ())}).items():
                rows += [
                    {"file": result["file"], "task": task, "rank": rank, **prediction}
                    for rank, prediction in enumerate(found, start=1)
                ]
        return rows

    def to_csv(self, path: str | os.PathLike | None = None) -> str:
        """Return the rows as CSV, and write them to a file if there is a path."""
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return _written(buffer.getvalue(), path)

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """Return the results as JSON, and write them to a file if there is a path."""
        return _written(json.dumps(self.results, indent=2, ensure_ascii=False) + "\n", path)

    def to_pandas(self) -> Any:
        """Return the rows as a `pandas.DataFrame`; needs pandas."""
        import pandas

        return pandas.DataFrame(self.rows, columns=[*COLUMNS])

    def __str__(self) -> str:
        """Return the table as text: the best label of each example."""
        lines = []
        for row in self.rows:
            start = "  ".join(str(row[key]) for key in ("file", "task") if row.get(key))
            said = row["error"] if "error" in row else f"{row['label']}  {row['score']:.4f}"
            lines.append(f"{start}  {said}")
        return "\n".join(lines)


def result(
    file: str,
    scores: Mapping[str, Any] | None,
    error: str,
    labels: Mapping[str, Sequence[str]],
    regression: frozenset[str],
    top: int,
) -> dict[str, Any]:
    """Return what JSON says about an example.

    Args:
        file: Its name.
        scores: Task → scores `(size,)`, the one unnamed task called ""; None if there are none.
        error: Why there are none.
        labels: Task → names of its outputs.
        regression: Tasks whose outputs are values.
        top: Labels to name, the best first.
    """
    if scores is None:
        return {"file": file, "error": error}
    tasks = {}
    for task, values in scores.items():
        best_first = (-values).argsort(kind="stable")[:top]
        order = range(len(values)) if task in regression else best_first
        names = labels[task]
        tasks[task] = [{"label": names[i], "score": float(values[i])} for i in order]
    if set(tasks) == {""}:
        return {"file": file, "predictions": tasks[""]}
    return {"file": file, "tasks": tasks}


def _written(text: str, path: str | os.PathLike | None) -> str:
    if path is not None:
        write_for_user(path, text)
    return text
