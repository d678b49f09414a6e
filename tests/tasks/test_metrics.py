import math
import warnings

import numpy as np
import pytest
from scipy.stats import binom
from sklearn import metrics as reference

from tl_keras.evaluation.comparison import mcnemar
from tl_keras.tasks import metrics


def classifier_outputs(n=60, classes=4, seed=0):
    """One-hot targets and probabilities that know something about them."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[true]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return true, np.eye(classes, dtype=np.float32)[true], probabilities


def test_multi_class_agrees_with_scikit_learn():
    true, targets, probabilities = classifier_outputs(classes=7)
    predicted = probabilities.argmax(axis=1)
    ranked = list(zip(true, np.argsort(probabilities, axis=1), strict=True))
    result = metrics.classification_metrics(targets, probabilities)
    summary = reference.classification_report(true, predicted, output_dict=True)
    expected = {
        "accuracy": summary["accuracy"],
        "balanced_accuracy": reference.balanced_accuracy_score(true, predicted),
        "precision_macro": summary["macro avg"]["precision"],
        "recall_macro": summary["macro avg"]["recall"],
        "f1_macro": summary["macro avg"]["f1-score"],
        "precision_weighted": summary["weighted avg"]["precision"],
        "recall_weighted": summary["weighted avg"]["recall"],
        "f1_weighted": summary["weighted avg"]["f1-score"],
        "top_3_accuracy": np.mean([t in ranking[-3:] for t, ranking in ranked]),
        "top_5_accuracy": np.mean([t in ranking[-5:] for t, ranking in ranked]),
        "auc": reference.roc_auc_score(true, probabilities, multi_class="ovr"),
        "log_loss": reference.log_loss(true, probabilities),
    }
    calibration = result.pop("expected_calibration_error")
    assert 0 < calibration < 1
    assert result == pytest.approx(expected, abs=1e-12)


def test_rows_agree_with_scikit_learn():
    true, targets, probabilities = classifier_outputs()
    rows = metrics.classification_rows(targets, probabilities)
    summary = reference.classification_report(true, probabilities.argmax(axis=1), output_dict=True)
    for index, row in enumerate(rows):
        expected = summary[str(index)]
        assert row["precision"] == pytest.approx(expected["precision"])
        assert row["recall"] == pytest.approx(expected["recall"])
        assert row["f1"] == pytest.approx(expected["f1-score"])
        assert row["support"] == expected["support"]
        assert row["auc"] == pytest.approx(
            reference.roc_auc_score(true == index, probabilities[:, index])
        )


def test_two_classes_report_the_positive_class():
    targets = np.eye(2)[[1, 1, 1, 0, 0, 0, 0, 1]]
    scores = np.array([0.9, 0.8, 0.3, 0.6, 0.2, 0.1, 0.4, 0.7])
    result = metrics.classification_metrics(targets, np.stack([1 - scores, scores], axis=1))
    assert result["precision"] == pytest.approx(3 / 4)
    assert result["recall"] == pytest.approx(3 / 4)
    assert result["f1"] == pytest.approx(3 / 4)
    # Of the 16 pairs (positive, negative) only 0.3 < 0.6 and 0.3 < 0.4 are in the wrong order.
    assert result["auc"] == pytest.approx(14 / 16)
    assert "top_3_accuracy" not in result


def test_absent_classes_are_undefined_and_left_out_of_means():
    true = np.array([0, 0, 1, 1])
    probabilities = np.array(
        [[0.8, 0.1, 0.1, 0], [0.3, 0.6, 0.1, 0], [0.2, 0.7, 0.1, 0], [0.3, 0.1, 0.6, 0]]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = metrics.classification_metrics(np.eye(4)[true], probabilities)
        rows = metrics.classification_rows(np.eye(4)[true], probabilities)
    assert result["balanced_accuracy"] == pytest.approx(0.5)
    assert math.isnan(rows[2]["recall"]) and rows[2]["precision"] == 0
    assert all(math.isnan(rows[3][name]) for name in ("precision", "recall", "f1", "auc"))
    assert result["auc"] == pytest.approx((rows[0]["auc"] + rows[1]["auc"]) / 2)
    # Classes 0, 1 and 2 are true or predicted; class 3 is neither.
    assert result["recall_macro"] == pytest.approx((0.5 + 0.5 + 0) / 3)


def test_one_class_alone_has_no_area():
    targets = np.eye(2)[[1, 1]]
    result = metrics.classification_metrics(targets, np.array([[0.2, 0.8], [0.6, 0.4]]))
    assert math.isnan(result["auc"])
    assert result["accuracy"] == 0.5


def test_soft_targets_give_cross_entropy():
    targets = np.array([[0.7, 0.3], [0.1, 0.9]])
    probabilities = np.array([[0.6, 0.4], [0.5, 0.5]])
    expected = -(0.7 * np.log(0.6) + 0.3 * np.log(0.4) + np.log(0.5)) / 2
    assert metrics.cross_entropy(targets, probabilities) == pytest.approx(expected)
    for dtype in (np.float32, np.float64):
        sure = metrics.cross_entropy(np.eye(2)[[0]], np.array([[0.0, 1.0]], dtype))
        assert sure == pytest.approx(-np.log(np.finfo(dtype).eps))


def test_calibration_error_by_hand():
    # With 5 bins: (0.4, 0.6] has confidence 0.6 and accuracy 1/2, (0.8, 1.0] 0.95 and 1/2.
    confidence = np.array([0.6, 0.6, 0.9, 1.0])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    targets = np.eye(2)[[0, 1, 0, 1]]
    error = metrics.expected_calibration_error(targets, probabilities, bins=5)
    assert error == pytest.approx(0.5 * 0.1 + 0.5 * 0.45)
    counts, accuracy, mean_confidence = metrics.calibration_bins(targets, probabilities, bins=5)
    assert counts.tolist() == [0, 0, 2, 0, 2]
    assert accuracy[[2, 4]] == pytest.approx([0.5, 0.5])
    assert mean_confidence[[2, 4]] == pytest.approx([0.6, 0.95])
    assert np.isnan(accuracy[[0, 1, 3]]).all()


def test_calibration_error_is_small_where_confidence_is_honest():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20000)
    true = (rng.uniform(size=20000) > confidence).astype(int)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    honest = metrics.expected_calibration_error(np.eye(2)[true], probabilities)
    boastful = metrics.expected_calibration_error(
        np.eye(2)[true], np.round(probabilities) * 0.98 + 0.01
    )
    assert honest < 0.015
    assert boastful == pytest.approx(0.99 - 0.75, abs=0.02)


def test_multi_label_agrees_with_scikit_learn():
    rng = np.random.default_rng(3)
    targets = (rng.uniform(size=(50, 4)) < 0.4).astype(np.float32)
    probabilities = np.clip(0.35 * targets + rng.uniform(0.05, 0.6, (50, 4)), 0, 1)
    predicted = probabilities >= 0.5
    result = metrics.multi_label_metrics(targets, probabilities)
    expected = {
        "exact_match": reference.accuracy_score(targets, predicted),
        "mean_average_precision": reference.average_precision_score(targets, probabilities),
        "auc": reference.roc_auc_score(targets, probabilities),
        "log_loss": np.mean(
            [reference.log_loss(t, p) for t, p in zip(targets.T, probabilities.T, strict=True)]
        ),
    }
    for average in ("micro", "macro"):
        expected[f"precision_{average}"] = reference.precision_score(
            targets, predicted, average=average
        )
        expected[f"recall_{average}"] = reference.recall_score(targets, predicted, average=average)
        expected[f"f1_{average}"] = reference.f1_score(targets, predicted, average=average)
    assert result == pytest.approx(expected, abs=1e-9)


def test_a_label_that_never_occurs_is_left_out_of_the_mean():
    targets = np.array([[1, 0], [0, 0], [1, 0]], np.float32)
    probabilities = np.array([[0.9, 0.2], [0.8, 0.1], [0.4, 0.3]])
    result = metrics.multi_label_metrics(targets, probabilities)
    # Ranked 0.9 (right), 0.8 (wrong), 0.4 (right): precision 1 and 2/3 at the two hits.
    assert result["mean_average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert result["auc"] == pytest.approx(0.5)
    assert result["f1_macro"] == pytest.approx(0.25)


def test_one_label_alone():
    targets = np.array([[1], [0], [1]], np.float32)
    result = metrics.multi_label_metrics(targets, np.array([[0.9], [0.6], [0.2]]))
    assert result["exact_match"] == pytest.approx(1 / 3)
    assert result["f1_micro"] == result["f1_macro"] == pytest.approx(0.5)


def test_regression_agrees_with_numpy():
    rng = np.random.default_rng(1)
    targets = rng.normal(size=(30, 2))
    predictions = targets + rng.normal(scale=0.3, size=(30, 2))
    gap = targets - predictions
    r2 = 1 - (gap**2).sum(axis=0) / ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)
    assert metrics.regression_metrics(targets, predictions) == pytest.approx(
        {
            "mean_absolute_error": np.abs(gap).mean(),
            "root_mean_squared_error": np.sqrt((gap**2).mean(axis=0)).mean(),
            "r2": r2.mean(),
        }
    )
    rows = metrics.regression_rows(targets, predictions)
    assert [row["r2"] for row in rows] == pytest.approx(r2.tolist())


def test_constant_targets_have_no_r2():
    result = metrics.regression_metrics(np.ones((4, 1)), np.zeros((4, 1)))
    assert math.isnan(result["r2"])
    assert result["mean_absolute_error"] == 1


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (1, 7), (4, 4)])
def test_mcnemar_is_the_binomial_tail(gained, lost):
    before = np.array([False] * gained + [True] * lost + [True, True, False])
    after = np.array([True] * gained + [False] * lost + [True, True, False])
    few, both = min(gained, lost), gained + lost
    tail = sum(math.comb(both, k) for k in range(few + 1)) / 2**both
    assert mcnemar(before, after) == pytest.approx(min(1.0, 2 * tail))
    assert tail == pytest.approx(binom.cdf(few, both, 0.5))
