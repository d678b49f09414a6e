"""Metrics of Keras and functions of one's own in a report."""

import keras
import numpy as np
import pytest
from sklearn.metrics import f1_score, top_k_accuracy_score

from tl_keras.evaluation.report import Report
from tl_keras.tasks.own_metrics import checked_metrics
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

RANDOM = np.random.default_rng(0)
TRUE = RANDOM.integers(0, 4, 60)
SCORES = RANDOM.dirichlet(np.ones(4), 60).astype(np.float32)


def brier(targets, predictions):
    return np.mean(np.sum((targets - predictions) ** 2, axis=1))


def report():
    return Report.of(TargetSpec("classification", 4), np.eye(4, dtype="float32")[TRUE], SCORES)


def test_metrics_of_keras_and_functions_are_those_of_scikit_learn():
    metrics = [
        keras.metrics.F1Score(average="weighted", name="f1"),
        keras.metrics.TopKCategoricalAccuracy(k=2, name="top_2"),
        brier,
    ]
    one = report()
    for _ in range(2):  # Nothing stays in a metric between two reports.
        one = report()
        one.add(checked_metrics(metrics, None)[""])
    assert one["f1"] == pytest.approx(f1_score(TRUE, SCORES.argmax(1), average="weighted"))
    assert one["top_2"] == pytest.approx(top_k_accuracy_score(TRUE, SCORES, k=2))
    assert one["brier"] == pytest.approx(((np.eye(4)[TRUE] - SCORES) ** 2).sum(axis=1).mean())
    assert "brier" in str(one) and "brier" in one.to_dict()["metrics"]


def test_what_is_no_metric_is_refused():
    with pytest.raises(InputError, match=r"metrics: expected a keras.metrics.Metric .* got 'auc'"):
        checked_metrics(["auc"], None)
    with pytest.raises(InputError, match="two metrics are called 'brier'"):
        checked_metrics([brier, brier], None)
    with pytest.raises(InputError, match=r"there is no task 'sise'. Did you mean 'size'"):
        checked_metrics({"sise": [brier]}, {"size": None, "colour": None})
    with pytest.raises(InputError, match="the model has the tasks"):
        checked_metrics([brier], {"size": None, "colour": None})
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    with pytest.raises(InputError, match="the report has 'accuracy' itself"):
        report().add({"accuracy": accuracy})
    with pytest.raises(InputError, match=r"'f1' gives an array of shape \(4,\)"):
        report().add({"f1": keras.metrics.F1Score(name="f1")})
