"""One class per example."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from keras import metrics as keras_metrics
from keras import ops
from sklearn import metrics as sklearn_metrics

from tl_keras.plots import panels
from tl_keras.tasks import metrics
from tl_keras.tasks.base import Task
from tl_keras.tasks.encoding import class_numbers, column_of_values, finite, values_in_graph
from tl_keras.tasks.losses import softmax_cross_entropy
from tl_keras.tasks.protocols import Measured, Outputs, Panel
from tl_keras.utils.errors import InputError

LEAST = 1e-7
REMEDY = "Build the model with the default classifier_activation."


class Classification(Task):
    """Each example has one class: softmax, cross-entropy, accuracy."""

    name = "classification"
    nouns = ("class", "classes")
    labels_are = "one class per image"
    head = "linear"
    one_class = True
    has_classes = True
    closing = "softmax"
    output = "scores"
    best_metric = "accuracy"
    worst_by = ("f1", 1)

    def check_size(self, size: int, argument: str) -> None:
        """Raise `InputError` for one class."""
        if size == 1:
            raise InputError(
                f"{argument}: one class leaves nothing to tell apart. Use num_classes=2 for "
                "yes/no, head='multi_label' for one sigmoid, or head='regression' for a value."
            )

    def activation(self, asked: str | None) -> str | None:
        """Return what was asked for."""
        return asked

    def encode(self, y: Any, outputs: Outputs, argument: str) -> np.ndarray:
        """Return one-hot or soft rows of integers, names, or such rows."""
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1 and outputs.size > 1:
            y = y[:, 0]
        if y.ndim == 1:
            numbers = class_numbers(y, outputs.size, outputs.class_names, argument)
            rows = np.zeros((len(numbers), outputs.size), np.float32)
            rows[np.arange(len(numbers)), numbers] = 1.0
            return rows
        rows = finite(
            column_of_values(y, outputs.size, self.name, argument, " or integers (n,)"), argument
        )
        sums = rows.sum(axis=1)
        if (rows < 0).any() or not np.allclose(sums, 1.0, atol=1e-3):
            raise InputError(
                f"{argument}: rows of one-hot or soft labels must be ≥ 0 and sum to 1, got a "
                f"row that sums to {sums[np.argmax(np.abs(sums - 1))]:.3f}. For several "
                "labels per example use head='multi_label'."
            )
        return rows

    def encode_in_graph(self, y: Any, outputs: Outputs) -> Any:
        """Return one-hot rows of integers or names `(b,)` or `(b, 1)`; rows stay."""
        if y.shape.rank == 2 and y.shape[1] == 1 and outputs.size > 1:
            y = y[:, 0]
        if y.shape.rank != 1:
            return values_in_graph(y)
        if y.dtype != tf.string:
            return tf.one_hot(tf.cast(y, tf.int32), outputs.size)
        if outputs.class_names is None:
            raise InputError(
                "y: expected numbers of classes, got names, and the model has no class_names. "
                "Build it with class_names=…."
            )
        forms = [
            [unicodedata.normalize(form, name) for name in outputs.class_names]
            for form in ("NFC", "NFD")
        ]
        same = y[:, None, None] == tf.constant(forms)[None]
        return tf.cast(tf.reduce_any(same, axis=1), tf.float32)

    def loss(self, y: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
        """Return the softmax cross-entropy."""
        return softmax_cross_entropy(y, logits, label_smoothing)

    def example_metrics(self, y: Any, predictions: Any) -> dict[str, Any]:
        """Return whether the class is right, as `accuracy`."""
        return {"accuracy": keras_metrics.categorical_accuracy(y, predictions)}

    def open(self, predictions: Any) -> Any:
        """Return log-probabilities, whose softmax these are."""
        return ops.log(ops.clip(predictions, LEAST, 1.0))

    def check_predictions(self, predictions: np.ndarray) -> None:
        """Raise `InputError` unless rows are probabilities that sum to 1."""
        check_probabilities(predictions)
        sums = predictions.sum(axis=1)
        if np.abs(sums - 1).max() > 1e-2:
            raise InputError(
                "model: expected rows of probabilities that sum to 1, got a row that sums to "
                f"{sums[np.abs(sums - 1).argmax()]:.3f}. {REMEDY}"
            )

    def has_positive(self, size: int) -> bool:
        """Return whether there are two classes."""
        return size == 2

    def metrics(
        self, targets: np.ndarray, predictions: np.ndarray, positive: int | None = None
    ) -> dict[str, float]:
        """Return `tasks.metrics.classification_metrics`."""
        return metrics.classification_metrics(
            targets, predictions, 1 if positive is None else positive
        )

    def rows(self, targets: np.ndarray, predictions: np.ndarray) -> list[dict[str, float]]:
        """Return precision, recall, F1, AUC and support of each class."""
        return metrics.classification_rows(targets, predictions)

    def confusion(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return counts `(classes, classes)`, rows true, columns predicted."""
        return sklearn_metrics.confusion_matrix(
            targets.argmax(axis=1),
            predictions.argmax(axis=1),
            labels=np.arange(targets.shape[1]),
        )

    def right(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return whether the class with the largest probability is the true one."""
        return targets.argmax(axis=1) == predictions.argmax(axis=1)

    def badness(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return the confidence."""
        return predictions.max(axis=1)

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Return confusion matrix, reliability diagram, and for two classes the ROC."""
        bins = metrics.calibration_bins(measured.targets, measured.probabilities)
        error = measured.metrics["expected_calibration_error"]
        confusion, positive = measured.confusion, measured.positive
        assert confusion is not None  # As `confusion` gives it.
        drawn: list[Panel] = [
            lambda axes: panels.draw_confusion(axes, confusion, measured.labels),
            lambda axes: panels.draw_reliability(axes, *bins, error),
        ]
        if positive is not None and not np.isnan(measured.metrics["auc"]):
            index = measured.labels.index(positive)
            false_positives, true_positives, _ = sklearn_metrics.roc_curve(
                measured.targets.argmax(axis=1) == index, measured.probabilities[:, index]
            )
            drawn.append(
                lambda axes: panels.draw_roc(
                    axes, false_positives, true_positives, measured.metrics["auc"], positive
                )
            )
        return drawn

    def answer(self, predictions: Any, outputs: Outputs, activation: str | None) -> dict[str, Any]:
        """Return `scores`, and of the best class its `score` and `label`."""
        names = tf.constant(outputs.output_names)
        return {
            self.output: predictions,
            "score": tf.reduce_max(predictions, axis=-1),
            "label": tf.gather(names, tf.argmax(predictions, axis=-1)),
        }


def check_probabilities(predictions: np.ndarray) -> None:
    """Raise `InputError` unless predictions are from 0 to 1."""
    if predictions.min() < -1e-6 or predictions.max() > 1 + 1e-3:
        raise InputError(
            "model: expected probabilities from 0 to 1, got outputs from "
            f"{predictions.min():.3g} to {predictions.max():.3g}. {REMEDY}"
        )
