"""Evaluate a model on labelled examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tl_keras.data.domains import as_domains
from tl_keras.data.examples import as_examples
from tl_keras.evaluation.positive import positive_classes
from tl_keras.evaluation.predict import predict
from tl_keras.evaluation.report import Report
from tl_keras.evaluation.task_reports import TaskReports
from tl_keras.models.model_inputs import warn_of_doubtful_values
from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.own_metrics import Metric, checked_metrics
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.arguments import whole
from tl_keras.utils.by_task import by_task, partly_labelled
from tl_keras.utils.errors import InputError
from tl_keras.utils.misplaced import OF_EVALUATION, points_from


@points_from(OF_EVALUATION)
def evaluate(
    model: TransferModel,
    data: Any,
    *,
    positive: str | int | Mapping | None = None,
    metrics: Sequence[Metric] | Mapping[str, Sequence[Metric]] | None = None,
    batch_size: int = 32,
    verbose: bool = True,
) -> Report | TaskReports:
    """Measure a model on test examples and print what came out.

    Args:
        model: A model from `build_transfer_model`, with a head.
        data: Labelled examples: `(x, y)` arrays, a `tf.data.Dataset` of such pairs, or an image
            folder. Of several tasks, each is measured on the examples that have its label.
        positive: Of two classes, the one that precision, recall and F1 are about, by name or by
            number; by default the last one. The report names it. Of several tasks, a dict from
            task to class.
        metrics: More metrics for the report, each a `keras.metrics.Metric` or a function of targets
            and predictions `(n, size)` to a number; of several tasks, task name → metrics. Targets
            are one-hot or multi-hot rows, or values; predictions are probabilities, or values.
        batch_size: Examples in a batch; changes speed and memory, not the result.
        verbose: Print the tables, and a progress bar if it takes long.

    Returns:
        The report; for a model with several named tasks one report for each.

    Raises:
        InputError: If the model has no head or does not come from `build_transfer_model`, or the
            data have no labels, no examples, or labels that the model does not know, or there is
            no such class, or something is no metric or called as one that the report has.

    Example:
        >>> report = tl.evaluate(model, (x_test, y_test))  # doctest: +SKIP
        >>> report["accuracy"], report["f1_macro"]  # doctest: +SKIP
        (0.9375, 0.9291)
        >>> report.plot("report.png")  # doctest: +SKIP
    """
    spec = targets_of(model)
    positive = positive_classes(spec, positive)
    own = checked_metrics(metrics, spec)
    batch_size = whole(batch_size, "batch_size")
    examples = as_examples(data, wanted=model.modality.spec)
    warn_of_doubtful_values(model, {"data": as_domains(examples, "data")})
    targets, (outputs,) = predict(
        [model], examples, asked_of_labels(spec), batch_size, progress=verbose
    )
    report = report_of(spec, targets, outputs, positive)
    reports = report.tasks if isinstance(report, TaskReports) else by_task(report)
    for task, metrics_of_task in own.items():
        reports[task].add(metrics_of_task)
    if verbose:
        print(report)
    return report


def targets_of(model: Any, argument: str = "model") -> TargetSpec | dict[str, TargetSpec]:
    """Return what a model predicts.

    Args:
        model: What the user gave as a model.
        argument: What errors call it.

    Raises:
        InputError: If it is no transfer model, or one without a head.
    """
    if not isinstance(model, TransferModel):
        raise InputError(
            f"{argument}: expected a model from build_transfer_model, got "
            f"{type(model).__name__}. A plain Keras model does not say what its outputs mean: wrap "
            "it with tl_keras.build_transfer_model(model, num_classes=…)."
        )
    if model.targets is None:
        raise InputError(
            f"{argument}: expected a model with a head, got one that gives features only. Pass "
            "num_classes to build_transfer_model and train the head first."
        )
    return model.targets


def asked_of_labels(
    spec: TargetSpec | dict[str, TargetSpec],
) -> TargetSpec | dict[str, TargetSpec]:
    """Return what labels are read by: of several tasks, some may be missing for an example."""
    return spec if isinstance(spec, TargetSpec) else partly_labelled(spec)


def report_of(
    spec: TargetSpec | dict[str, TargetSpec],
    targets: Any,
    outputs: Any,
    positive: Any = None,
) -> Report | TaskReports:
    """Return the report of targets and outputs, for one task or for several.

    Args:
        spec: What the model predicts.
        targets: Encoded targets `(n, size)`, or task name → that; rows of NaN have no label.
        outputs: Predictions of the same form.
        positive: What `positive_classes` gives.

    Raises:
        InputError: If no example has a label of a task.
    """
    if isinstance(spec, TargetSpec):
        return Report.of(spec, targets, outputs, positive)
    reports = {}
    for task, part in spec.items():
        known = ~np.isnan(targets[task]).any(axis=1)
        if not known.any():
            raise InputError(f"data: no example has a label of task {task!r}. Add some that have.")
        reports[task] = Report.of(
            part, targets[task][known], outputs[task][known], positive and positive[task]
        )
    return TaskReports(reports)
