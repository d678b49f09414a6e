"""Real values."""

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
