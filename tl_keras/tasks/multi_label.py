"""Any number of labels per example."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import metrics as keras_metrics
from keras import ops
from sklearn import metrics as sklearn_metrics

from tl_keras.plots import panels
from tl_keras.tasks import metrics
from tl_keras.tasks.base import Task
from tl_keras.tasks.classification import LEAST, check_probabilities
from tl_keras.tasks.encoding import column_of_values, finite, numbers_of_names
from tl_keras.tasks.losses import sigmoid_cross_entropy
from tl_keras.tasks.protocols import Measured, Outputs, Panel
from tl_keras.utils.errors import InputError


class MultiLabel(Task):
    """Each example has any number of labels: a sigmoid and binary cross-entropy for each."""

    name = "multi_label"
    nouns = ("label", "labels")
    labels_are = "several labels per image"
    head = "multi_label"
    has_classes = True
    closing = "sigmoid"
    output = "scores"
    best_metric = "f1_micro"
    worst_by = ("f1", 1)

    def activation(self, asked: str | None) -> str | None:
        """Return `"sigmoid"` in place of the default."""
        return "sigmoid" if asked == "softmax" else asked

    def encode(self, y: Any, outputs: Outputs, argument: str) -> np.ndarray:
        """Return multi-hot rows of such rows or of collections of names."""
        if _is_ragged_names(y):
            return _rows_of_names(y, outputs, argument)
        rows = finite(column_of_values(y, outputs.size, self.name, argument), argument)
        if ((rows < 0) | (rows > 1)).any():
            raise InputError(f"{argument}: multi-label targets must lie in 0 … 1.")
        return rows

    def loss(self, y: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
        """Return the mean binary cross-entropy over labels."""
        return sigmoid_cross_entropy(y, logits, label_smoothing)

    def example_metrics(self, y: Any, predictions: Any) -> dict[str, Any]:
        """Return the share of labels that are right, as `accuracy`."""
        return {"accuracy": ops.mean(keras_metrics.binary_accuracy(y, predictions), axis=-1)}

    def open(self, predictions: Any) -> Any:
        """Return the logits of probabilities."""
        inner = ops.clip(predictions, LEAST, 1.0 - LEAST)
        return ops.log(inner) - ops.log1p(-inner)

    def check_predictions(self, predictions: np.ndarray) -> None:
        """Raise `InputError` unless they are probabilities."""
        check_probabilities(predictions)

    def has_positive(self, size: int) -> bool:
        """Return whether there is one label, which is there or not."""
        return size == 1

    def metrics(
        self, targets: np.ndarray, predictions: np.ndarray, positive: int | None = None
    ) -> dict[str, float]:
        """Return `tasks.metrics.multi_label_metrics`."""
        return metrics.multi_label_metrics(targets, predictions)

    def rows(self, targets: np.ndarray, predictions: np.ndarray) -> list[dict[str, float]]:
        """Return precision, recall, F1, AUC, average precision and support of each label."""
        return metrics.multi_label_rows(targets, predictions)

    def confusion(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return counts `(labels, 2, 2)`."""
        pairs = zip(targets.T > 0.5, predictions.T >= 0.5, strict=True)
        return np.stack(
            [sklearn_metrics.confusion_matrix(*pair, labels=[False, True]) for pair in pairs]
        )

    def right(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return whether all labels are right."""
        return ((targets > 0.5) == (predictions >= 0.5)).all(axis=1)

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Return F1 and average precision by label."""

        def panel(key, name):
            scores = np.array([row[key] for row in measured.per_class])
            return lambda axes: panels.draw_scores(axes, measured.labels, scores, name)

        return [panel("f1", "F1"), panel("average_precision", "average precision")]

    def answer(self, predictions: Any, outputs: Outputs, activation: str | None) -> dict[str, Any]:
        """Return `scores`, and `labels_present` where they are at least one half."""
        threshold = 0.0 if activation in (None, "linear") else 0.5
        return {self.output: predictions, "labels_present": predictions >= threshold}


def _is_ragged_names(y):
    return (
        len(y) > 0
        and isinstance(y[0], (list, tuple, set, frozenset))
        and any(isinstance(name, str) for row in y for name in row)
    )


def _rows_of_names(y, outputs, argument) -> np.ndarray:
    rows = np.zeros((len(y), outputs.size), np.float32)
    for row, names in enumerate(y):
        if len(names):
            numbers = numbers_of_names(np.asarray(list(names)), outputs.class_names, argument)
            rows[row, numbers] = 1.0
    return rows
