"""Keras' metric of each example, and its mean over a batch of several domains."""

from collections.abc import Mapping
from typing import Any

from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Batch, DomainBatch
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.by_task import by_task, in_form_of, named


def per_example_metrics(y, outputs, targets: TargetSpec | Mapping[str, TargetSpec]):
    """Return Keras' metric per example: accuracy, or absolute error (`mae`) for regression.

    Args:
        y: Targets `(batch, size)`, or task name → that.
        outputs: Predictions of the same form, as `predictions` gives them.
        targets: What the outputs mean.

    Returns:
        Metric name → `(batch,)`; with several tasks the names start with the task.
    """
    return {
        named(task, name): values
        for task, metrics in _of_tasks(y, outputs, targets).items()
        for name, values in metrics.items()
    }


def _of_tasks(y, outputs, targets) -> dict[str, dict[str, Any]]:
    """Return task → metric name → `(batch,)`."""
    y, outputs = by_task(y), by_task(outputs)
    return {
        task: spec.task.example_metrics(y[task], outputs[task])
        for task, spec in by_task(targets).items()
    }


def predictions(model: TransferModel, logits):
    """Return what a model predicts: of several labels probabilities, also where it gives logits.

    Args:
        model: Its activation is applied, and, where it has none, that of its kind of targets.
        logits: The head's outputs `(batch, size)`, or task name → that.

    Returns:
        float32 of the same form.
    """
    outputs, activation = by_task(model.activate(logits)), by_task(model.activation)
    closed = {
        task: spec.task.close(outputs[task], activation[task])
        for task, spec in by_task(model.targets).items()
    }
    return in_form_of(model.targets, closed)


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
        labelled = by_task(domain.counts.labelled)
        for task, metrics in _of_tasks(y, outputs, batch.targets).items():
            for metric, values in metrics.items():
                mean = domain.labelled_mean(values, task)
                means[start + named(task, metric)] = mean, labelled[task]
    return means


def _comparable(model: TransferModel, domain: DomainBatch) -> tuple[Any, Any]:
    """Return labels and predictions in one unit; of regressions less the targets' mean.

    Without the mean, differences keep their digits where it is large.
    """
    y, outputs = by_task(domain.y), by_task(predictions(model, domain.logits))
    logits = by_task(domain.logits)
    for task, layer in model.target_scales.items():
        y[task], outputs[task] = y[task] * layer.scale, logits[task] * layer.scale
    return in_form_of(domain.y, y), in_form_of(domain.y, outputs)
