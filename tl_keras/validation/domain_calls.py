"""Calls of estimators with the domain of each sample, where they take it.

All of these expect metadata routing to be switched on around them.
"""

import functools
from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.metadata_routing import get_routing_for_object

from tl_keras.arrays.labels import unlabelled
from tl_keras.arrays.marks import is_missing, keep_marks
from tl_keras.utils.errors import InputError

RESPONSES = ("predict", "predict_proba", "predict_log_proba", "decision_function")


def rows_of(X: Any, rows: np.ndarray) -> Any:
    """Return some rows of an array, sparse matrix, data frame or list, in its own form."""
    return _safe_indexing(X, np.flatnonzero(rows) if rows.dtype == bool else rows)


def known_labels(estimator: Any, y: np.ndarray) -> np.ndarray:
    """Return the mask `(n,)` of labelled samples; for regressors −1 is a value."""
    if is_regressor(estimator):
        return np.array([not is_missing(value) for value in y.tolist()], bool)
    return ~unlabelled(y)


def plain_labels(y: np.ndarray) -> np.ndarray:
    """Return labels without the type `object`: numbers, with NaN for missing ones, or strings.

    Strings with marks of unlabelled samples among them stay objects.
    """
    if y.dtype != object:
        return y
    values = y.tolist()
    if not any(isinstance(value, str) for value in values):
        return np.array([np.nan if is_missing(value) else value for value in values])
    return np.asarray(keep_marks(values))


def takes_domain(estimator: Any, method: str) -> bool:
    """Return whether a method of an estimator, or of a step of it, asks for `domain`."""
    return "domain" in get_routing_for_object(estimator).consumes(method, ["domain"])


def call(estimator: Any, method: str, X: Any, domain: Any) -> Any:
    """Return what a method answers for samples, which belong to `domain` if it takes that."""
    given = {"domain": domain} if takes_domain(estimator, method) else {}
    return getattr(estimator, method)(X, **given)


def fit(estimator: Any, X: Any, y: np.ndarray, domain: np.ndarray) -> Any:
    """Fit an estimator; one that knows no domains gets the labelled samples only."""
    if takes_domain(estimator, "fit"):
        return estimator.fit(X, y, domain=domain)
    known = known_labels(estimator, y)
    return estimator.fit(rows_of(X, known), plain_labels(y[known]))


class WithDomain:
    """A fitted estimator whose predictions are for samples of known domains.

    scikit-learn's scorers ask it for predictions and know nothing of domains.

    Args:
        estimator: Fitted.
        domain: Domain of each sample that predictions will be asked for.
    """

    def __init__(self, estimator: Any, domain: np.ndarray):
        self._estimator, self._domain = estimator, domain

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the estimator, its predictions with the domain bound."""
        value = getattr(self._estimator, name)
        if name not in RESPONSES:
            return value

        @functools.wraps(value)
        def respond(X: Any) -> Any:
            return call(self._estimator, name, X, self._domain)

        return respond


def score(metric: Any, estimator: Any, X: Any, y: np.ndarray, weight: Any = None) -> float:
    """Return a scikit-learn score.

    Args:
        metric: Name of a scikit-learn score, or a function `(estimator, X, y)`; None: accuracy for
            classifiers, R² for regressors.
        estimator: Fitted.
        X: Samples.
        y: Their labels.
        weight: Weights of the samples; the metric must take `sample_weight` then.

    Raises:
        InputError: If there are weights and the metric takes none.
    """
    if metric is None:
        metric = "r2" if is_regressor(estimator) else "accuracy"
    scorer = get_scorer(metric) if isinstance(metric, str) else metric
    if weight is None:
        return float(scorer(estimator, X, y))
    try:
        return float(scorer(estimator, X, y, sample_weight=weight))
    except TypeError as error:
        raise InputError(
            f"metric: expected a score that takes sample_weight, got {metric!r}. Take another, "
            "such as 'accuracy', 'balanced_accuracy', 'neg_log_loss' or 'r2'."
        ) from error


def mapped_features(estimator: Any, X: Any, domain: np.ndarray) -> Any:
    """Return the features that the learner at the end of an estimator sees; None: as they came.

    A transformer maps them itself; of a pipeline that ends in a learner all steps before it do.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    if isinstance(estimator, Pipeline) and hasattr(estimator[-1], "predict"):
        return call(estimator[:-1], "transform", X, domain) if len(estimator) > 1 else None
    if hasattr(estimator, "predict") or not hasattr(estimator, "transform"):
        return None
    return call(estimator, "transform", X, domain)
