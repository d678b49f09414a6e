"""What a task is told of models and of reports, and what it draws."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

Panel = Callable[[Any], None]
"""Draws into matplotlib axes."""


class Outputs(Protocol):
    """What a task is told about the outputs of a model; a `TargetSpec` says it."""

    @property
    def size(self) -> int:
        """Number of outputs."""
        ...

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the outputs, or None."""
        ...

    @property
    def output_names(self) -> tuple[str, ...]:
        """The same, or `"0"`, `"1"`, … without names."""
        ...


class Measured(Protocol):
    """What a task is told to draw the panels of a report; a `Report` says it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the outputs."""
        ...

    @property
    def targets(self) -> np.ndarray:
        """What is true, `(n, size)`."""
        ...

    @property
    def probabilities(self) -> np.ndarray:
        """What the model gave, `(n, size)`."""
        ...

    @property
    def metrics(self) -> dict[str, float]:
        """Name → value."""
        ...

    @property
    def per_class(self) -> list[dict[str, Any]]:
        """One row for each output."""
        ...

    @property
    def confusion(self) -> np.ndarray | None:
        """Counts, where the task has some."""
        ...

    @property
    def positive(self) -> str | None:
        """Name of the positive class, where there is one."""
        ...
