"""Real values."""

import functools

from keras import losses as keras_losses

from tl_keras.plots import panels
from tl_keras.tasks import metrics
from tl_keras.tasks.base import Task
from tl_keras.tasks.losses import squared_error

PANELS = 3


class Regression(Task):
    """Each example has real values: squared error in standard units."""

    name = "regression"
    standardized = True
    best_metric = "r2"
    worst_by = ("mean_absolute_error", -1)

    def loss(self, y, logits, label_smoothing=0.0):
        """Return the mean squared error over values."""
        return squared_error(y, logits)

    def example_metrics(self, y, predictions):
        """Return the absolute error, as `mae`."""
        return {"mae": keras_losses.mean_absolute_error(y, predictions)}

    def metrics(self, targets, predictions, positive=None):
        """Return `tasks.metrics.regression_metrics`."""
        return metrics.regression_metrics(targets, predictions)

    def rows(self, targets, predictions):
        """Return the same metrics of each value."""
        return metrics.regression_rows(targets, predictions)

    def panels(self, measured):
        """Return predicted against true for the first values."""
        columns = zip(measured.labels, measured.targets.T, measured.probabilities.T, strict=True)
        return [
            functools.partial(_predicted_against_true, name=name, true=true, predicted=predicted)
            for name, true, predicted in list(columns)[:PANELS]
        ]


def _predicted_against_true(axes, name, true, predicted) -> None:
    panels.draw_predicted_against_true(axes, true, predicted, name)
