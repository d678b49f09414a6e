"""What a model predicts of validation data, for metrics that are no means over examples."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import DomainBatch
from tl_keras.tasks.own_metrics import measured
from tl_keras.training.plan import RunPlan
from tl_keras.training.step.domain_pass import ForwardPass, domain_pass, global_counts
from tl_keras.training.step.example_metrics import predictions
from tl_keras.utils.by_task import by_task, named
from tl_keras.utils.compat import counted_alone


class OwnMetrics:
    """Measures the metrics that a user brings on all of the validation data.

    Args:
        plan: Of the run.
        element_spec: Spec of the distributed dataset's `(x, y)`, dicts by domain.
        forward: Function of `(x, training)` to a `Forward`.
    """

    def __init__(self, plan: RunPlan, element_spec: Any, forward: ForwardPass):
        self._metrics = plan.metrics
        self._outputs = _outputs_step(plan, element_spec, forward)
        self._parts: list[Any] = []

    def add(self, x: Any, y: Any) -> None:
        """Add a distributed batch."""
        self._parts.append(tf.nest.map_structure(np.asarray, self._outputs(x, y)))

    def results(self) -> dict[str, float]:
        """Return name → value over what was added, NaN where nothing has a label; and forget it.

        Names of several tasks begin with the task's, and those of several domains with the
        domain's.
        """
        whole = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *self._parts)
        self._parts = []
        found = {}
        for domain, tasks in whole.items():
            start = "" if len(whole) == 1 else f"{domain}_"
            for task, metrics in self._metrics.items():
                targets, outputs, known = tasks[task]
                values = dict.fromkeys(metrics, float("nan"))
                if known.any():
                    values = measured(metrics, targets[known > 0], outputs[known > 0])
                found |= {start + named(task, name): value for name, value in values.items()}
        return found


def _outputs_step(plan: RunPlan, element_spec: Any, forward: ForwardPass) -> Callable:
    """Return the compiled function of a distributed batch to what its metrics are of.

    Returns:
        Function of `(x, y)` to domain name → task name → targets `(n, size)`, predictions of the
        same shape, and 1 where there is a label, float32 `(n,)`; of all replicas.
    """
    model = plan.model

    def replica_step(x, y):
        batch = domain_pass(model, forward, x, y, global_counts(x, y))
        context = tf.distribute.get_replica_context()
        return {
            name: {
                task: tuple(context.all_gather(one, axis=0) for one in parts)
                for task, parts in _of_tasks(model, domain).items()
            }
            for name, domain in batch.labelled.items()
        }

    @tf.function(input_signature=list(element_spec), autograph=False)
    def run(x, y):
        results = plan.strategy.run(replica_step, args=(x, y))
        return tf.nest.map_structure(
            lambda one: plan.strategy.experimental_local_results(one)[0], results
        )

    return counted_alone(run)


def _of_tasks(model: TransferModel, domain: DomainBatch) -> dict[str, tuple[Any, ...]]:
    """Return task → targets and predictions in the user's units, and who has a label."""
    outputs, y, labelled = map(
        by_task, (predictions(model, domain.logits), domain.y, domain.labelled)
    )
    for task, scale in model.target_scales.items():
        y[task] = scale(y[task])
    real = tf.cast(domain.real, tf.float32)
    return {task: (y[task], outputs[task], labelled[task] * real) for task in y}
