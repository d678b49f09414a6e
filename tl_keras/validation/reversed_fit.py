"""The reverse problem: source and target domains have swapped their parts."""

from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.dummy import DummyClassifier

from tl_keras.arrays.domains import Domains
from tl_keras.validation.domain_calls import call, fit, known_labels, rows_of
from tl_keras.validation.domain_scorer import target_parameters
from tl_keras.validation.shares import share


def reversed_estimator(
    estimator: Any, X: Any, y: np.ndarray, domains: Domains, adapted: np.ndarray, kept: np.ndarray
) -> Any:
    """Return a clone fitted on the reverse problem.

    The target domains, labelled by the estimator's predictions, are its sources, and the source
    domains its targets. If all predictions are one class, it answers with that class.

    Args:
        estimator: Fitted.
        X: Samples.
        y: Their labels `(n,)`.
        domains: Which sample belongs where.
        adapted: Mask `(n,)` of the source samples that it adapts to.
        kept: Mask `(n,)` of those among them whose labels it sees.
    """
    target = domains.target
    told = call(estimator, "predict", rows_of(X, target), domains.label[target])
    if is_classifier(estimator) and np.unique(told).size < 2:
        # It knows the other classes too, for metrics of probabilities.
        classes = getattr(estimator, "classes_", told)
        constant = DummyClassifier(strategy="constant", constant=told[0])
        return constant.fit(np.zeros((len(classes), 1)), classes)
    labels = _unlabelled_like(told, y, is_classifier(estimator))
    labels[target] = told
    labels[kept] = y[kept]
    rows = np.flatnonzero(target | adapted)
    sources = domains.sources[0] if len(domains.sources) == 1 else list(domains.sources)
    reverse = clone(estimator)
    reverse.set_params(**dict.fromkeys(target_parameters(reverse), sources))
    return fit(reverse, rows_of(X, rows), labels[rows], domains.label[rows])


def kept_labels(
    estimator: Any,
    y: np.ndarray,
    domains: Domains,
    adapted: np.ndarray,
    random: np.random.RandomState,
) -> np.ndarray:
    """Return the mask `(n,)` of source samples whose labels the reverse problem keeps.

    It mirrors the problem: the same share of its target samples is labelled, and one sample of
    each class at least if any is.

    Args:
        estimator: Fitted.
        y: Labels `(n,)`.
        domains: Which sample belongs where.
        adapted: Mask `(n,)` of the source samples that the reverse problem adapts to.
        random: Chooses the samples.
    """
    part = float(known_labels(estimator, y)[domains.target].mean())
    kept = np.zeros(len(y), bool)
    if part == 0.0:
        return kept
    rows = np.flatnonzero(adapted)
    group = np.unique(y[rows], return_inverse=True)[1]
    chosen = share(group, part, random)
    if is_classifier(estimator):
        for missing in np.setdiff1d(group, group[chosen]):
            chosen[random.choice(np.flatnonzero(group == missing))] = True
    kept[rows[chosen]] = True
    return kept


def _unlabelled_like(told: Any, y: np.ndarray, classes: bool) -> np.ndarray:
    """Return `(n,)` marks of unlabelled samples, of a type that holds labels of `told` and `y`."""
    kinds = {np.asarray(told).dtype.kind, y.dtype.kind}
    if classes and kinds <= set("biu"):
        return np.full(len(y), -1, np.int64)
    if kinds <= set("biuf"):
        return np.full(len(y), np.nan)
    return np.full(len(y), None, object)
