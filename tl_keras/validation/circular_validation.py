"""Circular validation."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from tl_keras.arrays.domains import Domains
from tl_keras.utils.errors import InputError
from tl_keras.validation.domain_calls import WithDomain, rows_of, score
from tl_keras.validation.domain_scorer import DomainScorer, source_labels
from tl_keras.validation.reversed_fit import kept_labels, reversed_estimator


class CircularValidation(DomainScorer):
    """The scorer that `circular_validation` returns."""

    def __init__(self, metric: Any = None, target: Any = None, random_state: Any = 0):
        self.metric = metric
        self.target = target
        self.random_state = random_state

    def _score(self, estimator: Any, X: Any, y: Any, domains: Domains) -> float:
        y = source_labels(estimator, y, domains)
        random = check_random_state(self.random_state)
        kept = kept_labels(estimator, y, domains, domains.source, random)
        scored = np.flatnonzero(domains.source & ~kept)
        if not scored.size:
            raise InputError(
                "y: all target samples are labelled, so that the circle has nothing to find out. "
                "Score with tl.validation.domain_score()."
            )
        reverse = reversed_estimator(estimator, X, y, domains, domains.source, kept)
        bound = WithDomain(reverse, domains.label[scored])
        return score(self.metric, bound, rows_of(X, scored), y[scored])


def circular_validation(
    metric: Any = None, *, target: Any = None, random_state: Any = 0
) -> CircularValidation:
    """Return a scorer that needs no target labels: there and back to the same source samples.

    The fitted estimator labels the target samples. A clone of it learns the reverse problem, from
    the target with these labels to all source samples without theirs, and labels those. The score
    compares these labels with the true ones. Unlike `reverse_validation` nothing is held out,
    which takes fewer samples and is more optimistic.

    If some target samples are labelled, the reverse problem keeps the labels of the same share of
    the source samples, which are not scored. If all target samples are given one class, the clone
    answers with that class.

    Args:
        metric: Name of a scikit-learn score, or a function `(estimator, X, y)`; None: accuracy for
            classifiers, R² for regressors.
        target: Label of the target domain, or a list of labels; None takes the estimator's
            parameter `target`, or `"target"` if it has none.
        random_state: Seed of the choice of labels that are kept.

    Returns:
        A scorer `(estimator, X, y, *, domain)`, higher is better.

    Raises:
        InputError: When called, if source labels are missing or all target samples have some.

    Example:
        >>> import numpy as np
        >>> from sklearn.linear_model import LogisticRegression
        >>> X = np.array([[0.0], [1.0]] * 10 + [[0.1], [1.1]] * 10)
        >>> y, domain = np.array([0, 1] * 10 + [-1] * 20), np.repeat(["source", "target"], 20)
        >>> model = LogisticRegression().fit(X[:20], y[:20])
        >>> circular_validation()(model, X, y, domain=domain)
        1.0

    References:
        Bruzzone, Marconcini: Domain Adaptation Problems: A DASVM Classification Technique and a
        Circular Validation Strategy. IEEE Transactions on Pattern Analysis and Machine
        Intelligence 32, 2010.
    """
    return CircularValidation(metric, target, random_state)
