"""Log loss is scikit-learn's, to the clipping of probabilities that are sure and wrong."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from tl_keras.evaluation import Report, TaskReports
from tl_keras.tasks.targets import TargetSpec


def sure_probabilities(classes, dtype, seed, n=40):
    """True classes, and probabilities of which some are exactly 0 or 1, right and wrong."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) * rng.choice([1, 2000], (n, 1))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return true, (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(dtype)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 5])
def test_classes(classes, dtype, seed):
    true, probabilities = sure_probabilities(classes, dtype, seed)
    spec = TargetSpec("classification", classes)
    expected = log_loss(true, probabilities, labels=np.arange(classes))
    assert expected > 1
    found = Report.of(spec, spec.encode(true), probabilities)
    assert found["log_loss"] == pytest.approx(expected, rel=1e-6)
    tasks = TaskReports({"one": found})
    assert tasks["one/log_loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_class_that_never_occurs(dtype):
    probabilities = np.array([[0, 0, 1], [0.5, 0, 0.5]], dtype)
    spec = TargetSpec("classification", 3)
    found = Report.of(spec, spec.encode([0, 0]), probabilities)
    assert found["log_loss"] == pytest.approx(log_loss([0, 0], probabilities, labels=[0, 1, 2]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 4])
def test_labels_each_on_their_own(size, dtype, seed):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 2, (50, size)).astype(np.float32)
    probabilities = rng.choice([0, 1, 0.3, 0.9], (50, size)).astype(dtype)
    expected = np.mean(
        [log_loss(t, p, labels=[0, 1]) for t, p in zip(true.T, probabilities.T, strict=True)]
    )
    assert expected > 1
    found = Report.of(TargetSpec("multi_label", size), true, probabilities)
    assert found["log_loss"] == pytest.approx(expected, rel=1e-6)
