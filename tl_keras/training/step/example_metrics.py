"""Keras' metric of each example, and its mean over a batch of several domains."""

from collections.abc import Mapping
from typing import Any

from tl_keras.models.closing import ONLY_TASK
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Batch, DomainBatch
from tl_keras.tasks.targets import TargetSpec


def per_example_metrics(y, outputs, targets: TargetSpec | Mapping[str, TargetSpec]):
    """Return Keras' metric per example: accuracy, or absolute error (`mae`) for regression.

    Args:
        y: Targets `(batch, size)`, or task name → that.
        outputs: Predictions of the same form, as `predictions` gives them.
        targets: What the outputs mean.

    Returns:
        Metric name → `(batch,)`; with several tasks the names start with the task.
    """
    if isinstance(targets, Mapping):
        return {
            f"{task}_{name}": value
            for task, spec in targets.items()
            for name, value in per_example_metrics(y[task], outputs[task], spec).items()
        }
    return targets.task.example_metrics(y, outputs)


def predictions(model: TransferModel, logits):
    """Return what a model predicts: of several labels probabilities, also where it gives logits.

    Args:
        model: Its activation is applied, and, where it has none, that of its kind of targets.
        logits: The head's outputs `(batch, size)`, or task name → that.

    Returns:
        float32 of the same form.
    """
    outputs, targets, activation = model.activate(logits), model.targets, model.activation
    if isinstance(targets, Mapping):
        return {
            task: spec.task.close(outputs[task], activation[task]) for task, spec in targets.items()
        }
    return targets.task.close(outputs, activation)


def batch_metrics(batch: Batch) -> dict[str, Any]:
    """Return this replica's parts of the mean metrics over the labelled examples of a batch.

    Errors of regressions are in the user's unit.

    Returns:
        Metric name → (float32 scalar, number of labelled examples in the whole batch). Where there
        are several domains, the names begin with the domain's.
    """
    means = {}
    for name, domain in batch.labelled.items():
        if domain.forward is None:
            continue
        y, outputs = _comparable(batch.model, domain)
        start = "" if len(batch) == 1 else f"{name}_"
        if not isinstance(batch.targets, Mapping):
            for metric, values in per_example_metrics(y, outputs, batch.targets).items():
                mean = domain.labelled_mean(values)
                means[f"{start}{metric}"] = mean, domain.counts.labelled
            continue
        for task, spec in batch.targets.items():
            values = per_example_metrics(y[task], outputs[task], spec)
            for metric, one in values.items():
                mean = domain.labelled_mean(one, task)
                means[f"{start}{task}_{metric}"] = mean, domain.counts.labelled[task]
    return means


def _comparable(model: TransferModel, domain: DomainBatch) -> tuple[Any, Any]:
    """Return labels and predictions in one unit; of regressions less the targets' mean.

    Without the mean, differences keep their digits where it is large.
    """
    outputs, scales = predictions(model, domain.logits), model.target_scales
    if not isinstance(outputs, Mapping):
        if ONLY_TASK not in scales:
            return domain.y, outputs
        return tuple(one * scales[ONLY_TASK].scale for one in (domain.y, domain.logits))
    y = dict(domain.y)
    for task, layer in scales.items():
        y[task], outputs[task] = (one[task] * layer.scale for one in (y, domain.logits))
    return y, outputs
