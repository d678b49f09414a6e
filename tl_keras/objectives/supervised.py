"""The supervised objective: cross-entropy or squared error against the labels."""

from collections.abc import Mapping
from typing import Any

from keras import ops

from tl_keras.errors import InputError
from tl_keras.objectives.objective import Objective
from tl_keras.targets import TargetSpec


def softmax_cross_entropy(y, logits, label_smoothing: float = 0.0):
    """Return `−Σ ỹ log softmax(logits)` per example, with `ỹ = (1−ε)·y + ε/size`.

    Args:
        y: One-hot or soft targets `(batch, size)`.
        logits: `(batch, size)`.
        label_smoothing: `ε`, 0 … 1 (Szegedy et al., CVPR 2016).
    """
    size = y.shape[-1]
    smooth = y * (1.0 - label_smoothing) + label_smoothing / size
    return -ops.sum(smooth * ops.log_softmax(logits, axis=-1), axis=-1)


def sigmoid_cross_entropy(y, logits, label_smoothing: float = 0.0):
    """Return the mean binary cross-entropy over labels per example, targets pulled towards ½."""
    smooth = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
    pointwise = ops.relu(logits) - logits * smooth + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.mean(pointwise, axis=-1)


def squared_error(y, values):
    """Return the mean squared error over outputs per example."""
    return ops.mean(ops.square(values - y), axis=-1)


class Supervised(Objective):
    """Fits the labels: softmax or sigmoid cross-entropy on logits, squared error for regression.

    Args:
        label_smoothing: Share of each target spread over all classes, 0 … 1.
        class_weight: Weight per class `(size,)`, multiplied into the loss of that class's
            examples; single-label classification only.

    Raises:
        InputError: If the label smoothing is out of range.
    """

    def __init__(self, label_smoothing: float = 0.0, class_weight=None):
        if not 0.0 <= label_smoothing < 1.0:
            raise InputError(
                f"label_smoothing: expected a share from 0 to below 1, got {label_smoothing!r}."
            )
        self.label_smoothing = float(label_smoothing)
        self.class_weight = None if class_weight is None else [float(w) for w in class_weight]

    def losses(self, forward, y, targets: TargetSpec | Mapping[str, TargetSpec]) -> dict[str, Any]:
        """Return the loss per example; with several tasks, their sum and each one."""
        if not isinstance(targets, Mapping):
            return {"loss": self._loss(y, forward.logits, targets)}
        parts = {
            f"{task}_loss": self._loss(y[task], forward.logits[task], spec)
            for task, spec in targets.items()
        }
        return {"loss": sum(parts.values()), **parts}

    def _loss(self, y, logits, spec: TargetSpec):
        if spec.kind == "regression":
            return squared_error(y, logits)
        if spec.kind == "multi_label":
            return sigmoid_cross_entropy(y, logits, self.label_smoothing)
        loss = softmax_cross_entropy(y, logits, self.label_smoothing)
        if self.class_weight is not None:
            weights = ops.convert_to_tensor(self.class_weight, "float32")
            loss = loss * ops.sum(y * weights, axis=-1)
        return loss
