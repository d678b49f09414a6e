"""What a kind of target is: all that depends on what the outputs of a model mean."""

import abc
import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from tl_keras.plots import panels
from tl_keras.tasks.encoding import column_of_values, finite, values_in_graph
from tl_keras.tasks.metrics import LOWER_IS_BETTER
from tl_keras.tasks.protocols import Measured, Outputs, Panel

PANELS = 3


class Task(abc.ABC):
    """One kind of target. A new kind is a subclass; nothing outside of it asks which one it is.

    A head gives logits `(n, size)`; `close` turns them into predictions. What is not overridden is
    right for real values that the logits are themselves. A task is equal to another of the same
    class and configuration. To be saved with a model, a class from outside is registered by
    `keras.saving.register_keras_serializable`, and `get_config` gives the arguments that it is
    made with.

    Attributes:
        name: What configurations and messages call it, such as `"regression"`.
        nouns: One output and several of them in messages, such as `("class", "classes")`.
        labels_are: What labels are in messages, such as `"one class per image"`.
        head: Name of the head that goes with it, as errors recommend it.
        one_class: Whether each example has one class, and predictions are probabilities of
            classes that sum to 1. What is defined for classifiers only asks this.
        has_classes: Whether outputs are probabilities of classes or labels; values otherwise.
        standardized: Whether a head learns in standard units, which `TargetScale` brings to the
            user's.
        closing: Name of the Keras activation from logits to predictions; None for none.
        output: Name of the exported output that holds the predictions, `"scores"` or `"values"`.
        best_metric: What models are chosen by.
        worst_by: The column of `rows` that tables are sorted by, and 1 or −1 if less or more is
            worse.
        lower_is_better: Metrics of which less is better.
    """

    name: ClassVar[str]
    nouns: ClassVar[tuple[str, str]] = ("value", "values")
    labels_are: ClassVar[str] = "real values"
    head: ClassVar[str] = "regression"
    one_class: ClassVar[bool] = False
    has_classes: ClassVar[bool] = False
    standardized: ClassVar[bool] = False
    closing: ClassVar[str | None] = None
    output: ClassVar[str] = "values"
    best_metric: ClassVar[str]
    worst_by: ClassVar[tuple[str, int]]
    lower_is_better: ClassVar[frozenset[str]] = LOWER_IS_BETTER

    # What must be said.

    @abc.abstractmethod
    def loss(self, y: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
        """Return the loss of each example, `(b,)`, from targets and logits `(b, size)`."""

    @abc.abstractmethod
    def example_metrics(self, y: Any, predictions: Any) -> dict[str, Any]:
        """Return metric name → its value for each example `(b,)`, as histories log them."""

    @abc.abstractmethod
    def metrics(
        self, targets: np.ndarray, predictions: np.ndarray, positive: int | None = None
    ) -> dict[str, float]:
        """Return metric name → value for targets and predictions `(n, size)`.

        Args:
            targets: As `encode` gives them.
            predictions: As `close` gives them.
            positive: Number of the positive class, where there is one.
        """

    @abc.abstractmethod
    def rows(self, targets: np.ndarray, predictions: np.ndarray) -> list[dict[str, float]]:
        """Return the row of each output in a report's table; arguments as for `metrics`."""

    @property
    def has_several(self) -> bool:
        """Whether each example has any number of labels."""
        return self.has_classes and not self.one_class

    # Building.

    def check_size(self, size: int, argument: str) -> None:  # noqa: B027
        """Raise `InputError` for a number of outputs that makes no sense."""

    def activation(self, asked: str | None) -> str | None:
        """Return the activation that a model ends in, given `classifier_activation`."""
        return self.closing

    # Labels.

    def encode(self, y: Any, outputs: Outputs, argument: str) -> np.ndarray:
        """Return labels as targets `(n, size)`; float32, or float64 for values.

        Raises:
            InputError: If a label is unknown, missing, out of range or has another shape.
        """
        y = column_of_values(y, outputs.size, self.name, argument)
        finite(y, argument)
        return y

    def encode_in_graph(self, y: Any, outputs: Outputs) -> Any:
        """Return labels that `encode` takes as targets `(b, size)`, by TensorFlow operations."""
        return values_in_graph(y)

    # Predictions.

    def close(self, outputs: Any, activation: str | None = None) -> Any:
        """Return predictions of outputs `(…, size)`.

        Args:
            outputs: What a model gives.
            activation: The activation that it ends in already; None or `"linear"` for logits.
        """
        closing = self.closing if activation in (None, "linear") else None
        return keras.activations.get(closing)(outputs)

    def open(self, predictions: Any) -> Any:
        """Return logits whose predictions these are: the inverse of `close`."""
        return predictions

    # Evaluation.

    def check_predictions(self, predictions: np.ndarray) -> None:  # noqa: B027
        """Raise `InputError` for predictions that cannot be any, such as probabilities above 1."""

    def has_positive(self, size: int) -> bool:
        """Return whether one of the outputs is the positive class."""
        return False

    def confusion(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray | None:
        """Return counts of what was taken for what, or None."""
        return None

    def right(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray | None:
        """Return which examples are right `(n,)`; None where nothing is right or wrong."""
        return None

    def badness(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return how wrong each example is `(n,)`; 0 for right ones is not asked for."""
        return np.abs(targets - predictions).max(axis=1)

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Return what a report's figure shows side by side, at least one panel.

        By default, predictions against the truth for the first values.
        """
        columns = zip(measured.labels, measured.targets.T, measured.probabilities.T, strict=True)
        return [
            functools.partial(_against, name=name, true=true, predicted=predicted)
            for name, true, predicted in list(columns)[:PANELS]
        ]

    # Export.

    def answer(self, predictions: Any, outputs: Outputs, activation: str | None) -> dict[str, Any]:
        """Return the outputs of an exported model by name, by TensorFlow operations.

        Args:
            predictions: What the model gives, `(n, size)`.
            outputs: What they mean.
            activation: The activation that the model ends in.
        """
        return {self.output: predictions}

    # Files.

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that an equal task is made with."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Task":
        """Make the task of `get_config`'s answer."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        """Return whether the other task is of the same class and configuration."""
        if not isinstance(other, Task) or type(self) is not type(other):
            return False
        return self.get_config() == other.get_config()

    def __hash__(self) -> int:
        """Return the hash of the class."""
        return hash(type(self))

    def __repr__(self) -> str:
        """Return the name, with the configuration where there is one."""
        config = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({config})"

    def __str__(self) -> str:
        """Return the name."""
        return self.name


def _against(axes, name, true, predicted) -> None:
    panels.draw_predicted_against_true(axes, true, predicted, name)


def labelled_alike(one: Task, other: Task) -> bool:
    """Return whether labels of one task have the form that another one reads."""
    return (one.one_class, one.has_classes) == (other.one_class, other.has_classes)
