"""Several tasks at once, weighted by hand or by the uncertainty of each."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tl_keras.objectives.batch import Batch, pooled
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.supervised import Supervised
from tl_keras.utils.arguments import number
from tl_keras.utils.by_task import by_task
from tl_keras.utils.errors import InputError


def uncertainty_weighted(loss, log_variance, share=1.0, *, is_regression: bool):
    """Return `e^(−s) · L + ½ s`, and `½ e^(−s) · L + ½ s` for regression, with `s = log σ²`.

    Args:
        loss: `L`, the task's loss, or a replica's part of it.
        log_variance: `s`.
        share: What `½ s` is multiplied by: the replica's share of the batch.
        is_regression: Whether `L` is a squared error, not a cross-entropy.
    """
    factor = 0.5 if is_regression else 1.0
    return factor * tf.exp(-log_variance) * loss + 0.5 * share * log_variance


@keras.saving.register_keras_serializable("tl_keras")
class TaskUncertainty(keras.layers.Layer):
    """The log-variances of several tasks, 0 at the start.

    Args:
        tasks: Names of the tasks.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, tasks: Sequence[str], **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.tasks = list(tasks)

    def build(self, input_shape: Any = None) -> None:
        """Create the log-variances."""
        self.log_variances = self.add_weight(
            name="log_variances", shape=(len(self.tasks),), initializer="zeros"
        )

    def by_task(self) -> dict[str, Any]:
        """Return task name → log-variance, scalars."""
        values = tf.unstack(tf.convert_to_tensor(self.log_variances))
        return dict(zip(self.tasks, values, strict=True))

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build the same layer."""
        return {**super().get_config(), "tasks": self.tasks}


class MultiTask(Objective):
    """Fits the labels of several named heads: `Σ w_t L_t`, each task over its own labels.

    For a model built with `num_classes={task: …}`; it stands in the place of `Supervised`. An
    example may have labels for some tasks and none (−1, NaN) for others. `L_t` is the mean over the
    task's labelled examples of all domains, as `Supervised` computes it; any number of replicas
    gives what one device does. Validation data is measured by the same sum.

    With `weights="uncertainty"` the weights are learned: `e^(−s_t) L_t + ½ s_t`, half the first
    term for regression, where `s_t` starts at 0. Tasks that are noisy, or measured in large units,
    come to weigh less. The loss can then be negative, and a task without any label in a batch adds
    nothing. The `s_t` are saved with the run, not with the model.

    Kendall, Gal, Cipolla: *Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry
    and Semantics*, CVPR 2018.

    Args:
        weights: Task name → `w_t` ≥ 0, 1 for tasks that are not named; or `"uncertainty"`.
        label_smoothing: Share of each target spread over all classes, from 0 to below 1.
        weight: What the loss is multiplied by.

    Raises:
        InputError: If the model has one unnamed task, or a weight is negative or of no task.
    """

    validates: ClassVar[bool] = True
    partly_labelled: ClassVar[bool] = True

    def __init__(
        self,
        weights: Mapping[str, float] | str | None = None,
        label_smoothing: float = 0.0,
        *,
        weight: Any = 1.0,
    ):
        super().__init__(weight)
        if weights is not None and weights != "uncertainty" and not isinstance(weights, Mapping):
            raise InputError(
                f"weights: expected task name → number ≥ 0, or 'uncertainty', got {weights!r}."
            )
        self.weights = weights
        self.learns = weights == "uncertainty"
        self._factors = dict(weights) if isinstance(weights, Mapping) else {}
        for task, value in self._factors.items():
            number(value, f"weights[{task!r}]", least=0.0)
        self.label_smoothing = label_smoothing
        self._supervised = Supervised(label_smoothing)

    def begin(self, setup: Setup) -> None:
        """Check the tasks, and make the log-variances."""
        targets = setup.model.targets
        if not isinstance(targets, Mapping):
            raise InputError(
                "model: MultiTask needs several named heads. Build the model with "
                "num_classes={'task': …, …}, or use Supervised()."
            )
        strangers = sorted(set(self._factors) - set(targets))
        if strangers:
            raise InputError(f"weights: {strangers} are no tasks; these are {list(targets)}.")
        if self.learns:
            self._uncertainty = TaskUncertainty(list(targets), name="task_uncertainty")
            self._uncertainty.build()

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the layer with the log-variances, if they are learned."""
        return {"uncertainty": self._uncertainty} if self.learns else {}

    def examples_of(self, batch: Batch) -> dict[str, Any]:
        """Return the numbers of labelled examples, as `Supervised` does."""
        return self._supervised.examples_of(batch)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the weighted sum, and the loss of each task before weighting."""
        domain, targets = pooled(list(batch.labelled.values())), by_task(batch.targets)
        parts = self._supervised.domain_losses(domain, batch.targets)
        parts.pop("loss")
        if not self.learns:
            loss = sum(self._factors.get(t, 1.0) * parts[f"{t}_loss"] for t in targets)
            return {"loss": loss, **parts}
        loss = 0.0
        for task, log_variance in self._uncertainty.by_task().items():
            loss += uncertainty_weighted(
                parts[f"{task}_loss"],
                log_variance,
                batch.per_batch(tf.minimum(domain.counts.labelled[task], 1.0)),
                is_regression=not targets[task].task.has_classes,
            )
            parts[f"{task}_log_variance"] = batch.per_batch(log_variance)
        return {"loss": loss, **parts}
