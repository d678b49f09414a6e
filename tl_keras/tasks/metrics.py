"""Metrics as pure functions of NumPy arrays.

Every function takes what is true and what was predicted, both `(n, size)`, and gives a dict from
metric name to float, NaN where the data leave it undefined: the AUC of a class without examples.
"""

import numpy as np
from sklearn import metrics as sklearn_metrics

CALIBRATION_BINS = 15
TOP_K = (3, 5)
LOWER_IS_BETTER = frozenset(
    {"log_loss", "expected_calibration_error", "mean_absolute_error", "root_mean_squared_error"}
)


def classification_metrics(
    targets: np.ndarray, probabilities: np.ndarray, positive: int = 1
) -> dict[str, float]:
    """Metrics of a classifier that gives each example one class.

    The class of an example is the largest entry of its row. Precision, recall and F1 come as
    averages over classes (`_macro`) and weighted by the number of examples (`_weighted`), over the
    classes that are true or predicted for at least one example; a ratio with denominator 0 counts
    as 0, as in scikit-learn. Balanced accuracy is the mean recall of the classes that
    there are examples of. `auc` is the area under the ROC curve: of the positive class if there
    are two, otherwise the mean over classes of one against the rest; classes without examples
    are left out of that mean.

    Args:
        targets: One-hot or soft rows `(n, classes)`.
        probabilities: Rows `(n, classes)` that sum to 1.
        positive: Which of two classes is the positive one; of more classes it plays no part.

    Returns:
        `accuracy`, `balanced_accuracy`, for two classes `precision`, `recall` and `f1` of the
        positive one, `precision_macro` … `f1_weighted`, `top_3_accuracy` for more than 3 and
        `top_5_accuracy` for more than 5 classes, `auc`, `log_loss` (see `cross_entropy`) and
        `expected_calibration_error`.
    """
    classes = targets.shape[1]
    true, predicted = targets.argmax(axis=1), probabilities.argmax(axis=1)
    rows = classification_rows(targets, probabilities)
    recalls = [row["recall"] for row in rows if row["support"]]
    result = {
        "accuracy": sklearn_metrics.accuracy_score(true, predicted),
        "balanced_accuracy": np.mean(recalls),
    }
    if classes == 2:
        result.update(_ratios(true == positive, predicted == positive, average="binary"))
    for average in ("macro", "weighted"):
        ratios = _ratios(true, predicted, average=average)
        result.update({f"{name}_{average}": value for name, value in ratios.items()})
    for k in TOP_K:
        if classes > k:
            result[f"top_{k}_accuracy"] = sklearn_metrics.top_k_accuracy_score(
                true, probabilities, k=k, labels=np.arange(classes)
            )
    areas = [row["auc"] for row in rows]
    result["auc"] = areas[positive] if classes == 2 else _mean_of_defined(areas)
    result["log_loss"] = cross_entropy(targets, probabilities)
    result["expected_calibration_error"] = expected_calibration_error(targets, probabilities)
    return _floats(result)


def classification_rows(targets: np.ndarray, probabilities: np.ndarray) -> list[dict[str, float]]:
    """Precision, recall, F1, AUC (one against the rest) and support of each class.

    A ratio with denominator 0 is NaN: the precision of a class that is never predicted, the
    recall of a class without examples.

    Args:
        targets: One-hot or soft rows `(n, classes)`.
        probabilities: Rows `(n, classes)` that sum to 1.

    Returns:
        One dict for each class, in the order of the columns.
    """
    classes = np.arange(targets.shape[1])
    true, predicted = targets.argmax(axis=1), probabilities.argmax(axis=1)
    return _rows(true[:, None] == classes, predicted[:, None] == classes, probabilities)


def multi_label_metrics(
    targets: np.ndarray, probabilities: np.ndarray, threshold: float = 0.5
) -> dict[str, float]:
    """Metrics of a classifier that gives each example any number of labels.

    Args:
        targets: Multi-hot rows `(n, labels)`; a value above one half counts as present.
        probabilities: Independent probabilities `(n, labels)`, each 0 … 1.
        threshold: Probability from which a label counts as predicted.

    Returns:
        `exact_match` (share of examples with every label right), precision, recall and F1 as
        `_micro` (over all decisions) and `_macro` (mean over labels, 0 where undefined),
        `mean_average_precision` and `auc` (means over the labels for which they are defined) and
        `log_loss` (mean binary cross-entropy of a decision, in nats; see `cross_entropy`).
    """
    true, predicted = targets > 0.5, probabilities >= threshold
    rows = multi_label_rows(targets, probabilities, threshold)
    result = {"exact_match": (true == predicted).all(axis=1).mean()}
    micro = _ratios(true.ravel(), predicted.ravel(), average="binary")
    result.update({f"{name}_micro": value for name, value in micro.items()})
    for name in micro:
        result[f"{name}_macro"] = np.nan_to_num([row[name] for row in rows]).mean()
    result["mean_average_precision"] = _mean_of_defined([row["average_precision"] for row in rows])
    result["auc"] = _mean_of_defined([row["auc"] for row in rows])
    both = cross_entropy(targets, probabilities) + cross_entropy(1 - targets, 1 - probabilities)
    result["log_loss"] = both / targets.shape[1]
    return _floats(result)


def multi_label_rows(
    targets: np.ndarray, probabilities: np.ndarray, threshold: float = 0.5
) -> list[dict[str, float]]:
    """Precision, recall, F1, AUC, average precision and support of each label.

    Args:
        targets: Multi-hot rows `(n, labels)`.
        probabilities: Probabilities `(n, labels)`.
        threshold: Probability from which a label counts as predicted.

    Returns:
        One dict for each label, NaN where the data leave a value undefined.
    """
    true = targets > 0.5
    rows = _rows(true, probabilities >= threshold, probabilities)
    for row, present, scores in zip(rows, true.T, probabilities.T, strict=True):
        row["average_precision"] = (
            float(sklearn_metrics.average_precision_score(present, scores))
            if present.any()
            else np.nan
        )
    return rows


def regression_metrics(targets: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Mean absolute error, root mean squared error and R², as means over the regressed values.

    Args:
        targets: True values `(n, size)`.
        predictions: Predicted values `(n, size)`.

    Returns:
        `mean_absolute_error`, `root_mean_squared_error` in units of the targets, and `r2`, which
        is NaN if the targets are constant.
    """
    rows = regression_rows(targets, predictions)
    names = ("mean_absolute_error", "root_mean_squared_error")
    result = {name: float(np.mean([row[name] for row in rows])) for name in names}
    result["r2"] = _mean_of_defined([row["r2"] for row in rows])
    return _floats(result)


def regression_rows(targets: np.ndarray, predictions: np.ndarray) -> list[dict[str, float]]:
    """The metrics of `regression_metrics` for each regressed value.

    Args:
        targets: True values `(n, size)`.
        predictions: Predicted values `(n, size)`.

    Returns:
        One dict for each column.
    """
    rows = []
    for true, predicted in zip(targets.T, predictions.T, strict=True):
        varies = len(true) > 1 and np.ptp(true) > 0
        row = {
            "mean_absolute_error": sklearn_metrics.mean_absolute_error(true, predicted),
            "root_mean_squared_error": sklearn_metrics.root_mean_squared_error(true, predicted),
            "r2": sklearn_metrics.r2_score(true, predicted) if varies else np.nan,
        }
        rows.append(_floats(row))
    return rows


def cross_entropy(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Return −1/n Σ t · log p in nats, as `sklearn.metrics.log_loss` does for one-hot rows.

    So that one sure error stays finite, probabilities are clipped to ε … 1 − ε, where ε is the
    machine epsilon of their type: 1.2e-7 for float32.

    Args:
        targets: One-hot or soft rows `(n, classes)`.
        probabilities: Rows `(n, classes)`.
    """
    probabilities = np.asarray(probabilities)
    if probabilities.dtype.kind != "f":
        probabilities = probabilities.astype(np.float64)
    least = np.finfo(probabilities.dtype).eps
    logs = np.log(np.clip(probabilities, least, 1 - least).astype(np.float64))
    return float(-(targets * logs).sum(axis=1).mean())


def calibration_bins(
    targets: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort examples by confidence into bins (0, 1/bins], … (1 − 1/bins, 1].

    Args:
        targets: One-hot or soft rows `(n, classes)`.
        probabilities: Rows `(n, classes)`; confidence is the largest entry of a row.
        bins: Number of bins of equal width.

    Returns:
        Count, accuracy and mean confidence of each bin, `(bins,)`; NaN for an empty bin.
    """
    confidence = np.asarray(probabilities, np.float64).max(axis=1)
    right = targets.argmax(axis=1) == probabilities.argmax(axis=1)
    index = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    counts = np.bincount(index, minlength=bins)
    divisor = np.where(counts > 0, counts, np.nan)
    accuracy = np.bincount(index, right, minlength=bins) / divisor
    return counts, accuracy, np.bincount(index, confidence, minlength=bins) / divisor


def expected_calibration_error(
    targets: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS
) -> float:
    """Mean gap between confidence and accuracy, Σ |B|/n · |accuracy(B) − confidence(B)|.

    0 means that predictions made with confidence c are right in a share c of cases. Guo et al.,
    "On Calibration of Modern Neural Networks", ICML 2017, with their 15 bins of equal width.

    Args:
        targets: One-hot or soft rows `(n, classes)`.
        probabilities: Rows `(n, classes)` that sum to 1.
        bins: Number of bins.

    Returns:
        The error, 0 … 1.
    """
    counts, accuracy, confidence = calibration_bins(targets, probabilities, bins)
    return float(np.nansum(counts * np.abs(accuracy - confidence)) / counts.sum())


def _ratios(true: np.ndarray, predicted: np.ndarray, average: str, undefined: float = 0.0) -> dict:
    ratios_of = sklearn_metrics.precision_recall_fscore_support
    values = ratios_of(true, predicted, average=average, zero_division=undefined)
    return dict(zip(("precision", "recall", "f1"), values, strict=False))


def _rows(true: np.ndarray, predicted: np.ndarray, scores: np.ndarray) -> list[dict[str, float]]:
    rows = []
    for present, chosen, score in zip(true.T, predicted.T, scores.T, strict=True):
        row = _ratios(present, chosen, average="binary", undefined=np.nan)
        both = present.any() and not present.all()
        row["auc"] = sklearn_metrics.roc_auc_score(present, score) if both else np.nan
        rows.append({**_floats(row), "support": int(present.sum())})
    return rows


def _mean_of_defined(values: list[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _floats(metrics: dict[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}
