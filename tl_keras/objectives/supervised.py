"""The supervised objective: cross-entropy or squared error against the labels."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from tl_keras.objectives.batch import Batch, DomainBatch, pooled
from tl_keras.objectives.class_weights import (
    check_tasks,
    given_class_weight,
    is_by_task,
    weight_of_each_class,
)
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.own_losses import check_losses, loss_of_each, losses_of
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.by_task import ONLY_TASK, by_task, named
from tl_keras.utils.errors import InputError


class Supervised(Objective):
    """Fits the labels: softmax or sigmoid cross-entropy on logits, squared error for regression.

    Args:
        label_smoothing: Share of each target spread over all classes, 0 … 1.
        class_weight: Weights ≥ 0 that are multiplied into the loss of a class's examples: one per
            class in the order of the outputs, or a dict with one for every class, by number or
            label. For one of several tasks: task name → one of these.
        loss: A `keras.losses.Loss` in place of the head's, which must give one number per example;
            of several tasks, task name → that for some of them. It gets logits if it is made with
            `from_logits=True`, probabilities otherwise, and of values the standard units that
            regression heads learn in. Its own reduction is not used.
        weight: What the loss is multiplied by.

    Raises:
        InputError: If the label smoothing or a weight is out of range, or the class weights or
            the loss do not fit the model.
    """

    validates: ClassVar[bool] = True

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weight: Sequence[float] | np.ndarray | Mapping[Any, Any] | None = None,
        *,
        loss: keras.losses.Loss | Mapping[str, keras.losses.Loss] | None = None,
        weight: Any = 1.0,
    ):
        super().__init__(weight)
        if not 0.0 <= label_smoothing < 1.0:
            raise InputError(
                f"label_smoothing: expected a share from 0 to below 1, got {label_smoothing!r}."
            )
        check_losses(loss)
        if label_smoothing and loss is not None:
            raise InputError(
                f"label_smoothing: it belongs to the head's own loss, got {label_smoothing!r} with "
                "a loss. Give it to the loss: keras.losses.CategoricalCrossentropy(label_smoothing="
                "…)."
            )
        self.loss = loss
        self._losses: dict[str, keras.losses.Loss] = {}
        self.label_smoothing = float(label_smoothing)
        self.class_weight = given_class_weight(class_weight)
        self._of_each_class: Any = None if isinstance(class_weight, Mapping) else self.class_weight

    def begin(self, setup: Setup) -> None:
        """Give every class of the model its weight, and every task its loss."""
        targets = setup.model.targets
        self._losses = losses_of(self.loss, targets)
        of_classes = (spec.task.has_classes for spec in by_task(targets).values())
        if self.label_smoothing and not any(of_classes):
            raise InputError(
                f"label_smoothing: the model predicts values, which have no classes to spread "
                f"{self.label_smoothing:g} over. Leave it out."
            )
        if self.class_weight is not None:
            if is_by_task(self.class_weight, targets):
                check_tasks(self.class_weight, targets)
                self._of_each_class = {
                    task: weight_of_each_class(weights, targets[task])
                    for task, weights in self.class_weight.items()
                }
            else:
                self._of_each_class = weight_of_each_class(self.class_weight, targets)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the mean over all labelled examples; with several tasks, their sum and each."""
        return self.domain_losses(pooled(list(batch.labelled.values())), batch.targets)

    def examples_of(self, batch: Batch) -> dict[str, Any]:
        """Return the numbers of labelled examples; of several tasks, the loss has the largest."""
        labelled = by_task(pooled(list(batch.labelled.values())).counts.labelled)
        counts = {named(task, "loss"): labelled[task] for task in by_task(batch.targets)}
        return {"loss": ops.max(ops.stack(list(counts.values()))), **counts}

    def domain_losses(
        self, domain: DomainBatch, targets: TargetSpec | Mapping[str, TargetSpec] | None
    ) -> dict[str, Any]:
        """Return the losses on the labelled examples of one domain."""
        y, logits = by_task(domain.y), by_task(domain.logits)
        parts = {
            named(task, "loss"): domain.labelled_mean(
                self.per_example(y[task], logits[task], spec, task), task
            )
            for task, spec in by_task(targets).items()
        }
        return {"loss": sum(parts.values()), **parts}

    def per_example(self, y: Any, logits: Any, spec: TargetSpec, task: str = ONLY_TASK) -> Any:
        """Return the loss of each example `(b,)` of one task."""
        own = self._losses.get(task)
        if own is None:
            loss = spec.task.loss(y, logits, self.label_smoothing)
        else:
            loss = loss_of_each(own, y, logits, spec.task)
        weights = self._of_each_class if spec.task.one_class else None
        if isinstance(weights, Mapping):
            weights = weights.get(task)
        if weights is not None:
            weights = ops.convert_to_tensor(weights, "float32")
            loss = loss * ops.sum(y * weights, axis=-1)
        return loss

    def config(self) -> dict[str, Any]:
        """Return class and constructor arguments; without `loss`, as before there was one."""
        config = super().config()
        return config if self.loss is not None else {k: v for k, v in config.items() if k != "loss"}
