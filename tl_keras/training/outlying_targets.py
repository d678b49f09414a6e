"""Values among the targets of a regression that are far from all others."""

import numpy as np

from tl_keras.data.base import Specs
from tl_keras.data.domains import DomainExamples
from tl_keras.utils.by_task import by_task
from tl_keras.utils.errors import warn_user

OUTLYING = 20.0
"""Robust scales from the median at which a value may be a mark of a missing one."""
RUINED = 3.0
"""How many times such values widen the standard deviation before this is said."""


def warn_of_outliers(train: DomainExamples, targets: Specs, task: str) -> None:
    """Name a value so far from the others that it alone makes the unit."""
    for name, encoded in train.encoded_targets(targets).items():
        if encoded is None:
            continue
        rows = np.asarray(by_task(encoded)[task], np.float64)
        for column in range(rows.shape[1]):
            values = rows[:, column]
            outlying = _outlying(values[~np.isnan(values)])
            if outlying is None:
                continue
            low, high = outlying
            row = int(np.flatnonzero((values < low) | (values > high))[0])
            found = train[name].row_names(np.array([row]))
            where = found[0] if found else f"row {row}"
            which = f" of {task!r}" if task else ""
            warn_user(
                f"data: the target {values[row]:g}{which} in {where} is far from the others, which "
                f"are in {low:g} … {high:g}. Is it a mark of a missing value? Remove it, or pass "
                "NaN where targets may be missing."
            )


def _outlying(values: np.ndarray) -> tuple[float, float] | None:
    """Return smallest and largest of the values that are not outlying, None if all are not."""
    if not len(values):
        return None
    distance = np.abs(values - np.median(values))
    scale = 1.4826 * np.median(distance) or np.ptp(np.percentile(values, [5, 95]))
    near = values[distance <= OUTLYING * scale]
    if scale == 0 or len(near) == len(values) or values.std() < RUINED * near.std():
        return None
    return float(near.min()), float(near.max())
