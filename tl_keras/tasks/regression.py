"""Real values."""

from typing import Any

import numpy as np
from keras import losses as keras_losses

from tl_keras.tasks import metrics
from tl_keras.tasks.base import Task
from tl_keras.tasks.losses import squared_error


class Regression(Task):
    """Each example has real values: squared error in standard units."""

    name = "regression"
    standardized = True
    best_metric = "r2"
    worst_by = ("mean_absolute_error", -1)

    def loss(self, y: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
        """Return the mean squared error over values."""
        return squared_error(y, logits)

    def example_metrics(self, y: Any, predictions: Any) -> dict[str, Any]:
        """Return the absolute error, as `mae`."""
        return {"mae": keras_losses.mean_absolute_error(y, predictions)}

    def metrics(
        self, targets: np.ndarray, predictions: np.ndarray, positive: int | None = None
    ) -> dict[str, float]:
        """Return `tasks.metrics.regression_metrics`."""
        return metrics.regression_metrics(targets, predictions)

    def rows(self, targets: np.ndarray, predictions: np.ndarray) -> list[dict[str, float]]:
        """Return the same metrics of each value."""
        return metrics.regression_rows(targets, predictions)
