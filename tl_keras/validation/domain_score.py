"""A usual score on the samples of one side only."""

from typing import Any

import numpy as np

from tl_keras.arrays.domains import Domains
from tl_keras.arrays.marks import keep_marks
from tl_keras.utils.errors import InputError
from tl_keras.validation.domain_calls import (
    WithDomain,
    known_labels,
    plain_labels,
    rows_of,
    score,
)
from tl_keras.validation.domain_scorer import DomainScorer


class DomainScore(DomainScorer):
    """The scorer that `domain_score` returns."""

    _metadata = ("domain", "target_labels")

    def __init__(self, metric: Any = None, on: str = "target", target: Any = None):
        self.metric = metric
        self.on = on
        self.target = target

    def __call__(
        self,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        domain: Any = None,
        target_labels: Any = None,
    ) -> float:
        """Score a fitted estimator; `target_labels` `(n,)` take the place of `y` if given."""
        y = y if target_labels is None else target_labels
        return super().__call__(estimator, X, y, domain=domain)

    def _score(self, estimator: Any, X: Any, y: Any, domains: Domains) -> float:
        if self.on not in ("target", "source"):
            raise InputError(f"on: expected 'target' or 'source', got {self.on!r}.")
        if y is None:
            raise InputError("y: this score needs labels, got None.")
        y = np.asarray(keep_marks(y))
        if y.shape != domains.label.shape:
            raise InputError(f"y: expected shape {domains.label.shape}, got {y.shape}.")
        rows = domains.target if self.on == "target" else domains.source
        rows = np.flatnonzero(rows & known_labels(estimator, y))
        if not rows.size:
            raise InputError(
                f"y: no {self.on} sample has a label. Hand over labels as target_labels=…, or take "
                "a score that needs none, such as reverse_validation."
            )
        bound = WithDomain(estimator, domains.label[rows]) if self.on == "target" else estimator
        return score(self.metric, bound, rows_of(X, rows), plain_labels(y[rows]))


def domain_score(metric: Any = None, *, on: str = "target", target: Any = None) -> DomainScore:
    """Return a scorer on the labelled samples of the target domains, or of the sources.

    Use it where target labels are there after all: to compare methods on data with known labels
    that the estimators must not see, or where a part of the target is labelled. The labels come
    from `y`, or from `target_labels`, which `cross_validate` and `fit_search` hand over to scorers
    only. `on="source"` scores source samples as if they were target samples, which is what an
    estimator without adaptation is chosen by.

    Args:
        metric: Name of a scikit-learn score, or a function `(estimator, X, y)`; None: accuracy for
            classifiers, R² for regressors.
        on: `"target"` or `"source"`.
        target: Label of the target domain, or a list of labels; None takes the estimator's
            parameter `target`, or `"target"` if it has none.

    Returns:
        A scorer `(estimator, X, y, *, domain, target_labels)`, higher is better.

    Raises:
        InputError: When called, if no sample of that side has a label.

    Example:
        >>> import numpy as np
        >>> from sklearn.linear_model import LogisticRegression
        >>> X, domain = np.array([[0.0], [1.0], [0.2], [0.4]]), ["source"] * 2 + ["target"] * 2
        >>> model = LogisticRegression().fit(X[:2], [0, 1])
        >>> domain_score()(model, X, [0, 1, 0, 1], domain=domain)
        0.5
    """
    return DomainScore(metric, on, target)
