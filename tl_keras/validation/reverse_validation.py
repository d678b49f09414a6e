"""Reverse validation."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from tl_keras.arrays.checks import is_number
from tl_keras.arrays.domains import Domains
from tl_keras.utils.errors import InputError
from tl_keras.validation.domain_calls import WithDomain, rows_of, score
from tl_keras.validation.domain_scorer import DomainScorer, source_labels
from tl_keras.validation.reversed_fit import kept_labels, reversed_estimator
from tl_keras.validation.shares import groups_of, share


class ReverseValidation(DomainScorer):
    """The scorer that `reverse_validation` returns."""

    def __init__(
        self, metric: Any = None, holdout: float = 0.5, target: Any = None, random_state: Any = 0
    ):
        self.metric = metric
        self.holdout = holdout
        self.target = target
        self.random_state = random_state

    def _score(self, estimator: Any, X: Any, y: Any, domains: Domains) -> float:
        if not is_number(self.holdout, 0, above=True) or self.holdout >= 1:
            raise InputError(f"holdout: expected a share between 0 and 1, got {self.holdout!r}.")
        y = source_labels(estimator, y, domains)
        random = check_random_state(self.random_state)
        rows = np.flatnonzero(domains.source)
        held = np.zeros(len(y), bool)
        held[rows[share(groups_of(y, domains, domains.source)[rows], self.holdout, random)]] = True
        adapted = domains.source & ~held
        if not held.any() or not adapted.any():
            raise InputError(
                f"y: expected enough source samples to hold out a share of {self.holdout}, got "
                f"{len(rows)}. Take fewer folds, or a share nearer to one half."
            )
        kept = kept_labels(estimator, y, domains, adapted, random)
        reverse = reversed_estimator(estimator, X, y, domains, adapted, kept)
        return score(
            self.metric, WithDomain(reverse, domains.label[held]), rows_of(X, held), y[held]
        )


def reverse_validation(
    metric: Any = None, *, holdout: float = 0.5, target: Any = None, random_state: Any = 0
) -> ReverseValidation:
    """Return a scorer that needs no target labels: can the way back be learned?

    The fitted estimator labels the target samples. A clone of it learns the reverse problem, from
    the target with these labels to a part of the source samples without theirs. The score is its
    metric on the source samples held out. An estimator that labels the target wrongly leads to a
    clone that fails on the source.

    Within cross-validation all of that happens in the test part of a split, whose source labels
    the estimator has not seen. It should hold enough samples to learn from: few folds, or
    `SourceTargetShuffleSplit`.

    If some target samples are labelled, the reverse problem keeps the labels of the same share of
    its own target samples, so that methods which need a few target labels work. If all target
    samples are given one class, the clone answers with that class.

    ADAPT's function of this name scores the same source samples that the clone adapted to, as
    `circular_validation` does.

    Args:
        metric: Name of a scikit-learn score, or a function `(estimator, X, y)`; None: accuracy for
            classifiers, R² for regressors.
        holdout: Share of the source samples for scoring, between 0 and 1.
        target: Label of the target domain, or a list of labels; None takes the estimator's
            parameter `target`, or `"target"` if it has none.
        random_state: Seed of the choice. A number, so that candidates are scored on the same
            samples.

    Returns:
        A scorer `(estimator, X, y, *, domain)`, higher is better.

    Raises:
        InputError: When called, if source labels are missing or a side has too few samples.

    Example:
        >>> import numpy as np
        >>> from sklearn.linear_model import LogisticRegression
        >>> X = np.array([[0.0], [1.0]] * 10 + [[0.1], [1.1]] * 10)
        >>> y, domain = np.array([0, 1] * 10 + [-1] * 20), np.repeat(["source", "target"], 20)
        >>> model = LogisticRegression().fit(X[:20], y[:20])
        >>> reverse_validation()(model, X, y, domain=domain)
        1.0

    References:
        Zhong, Fan, Yang, Verscheure, Ren: Cross Validation Framework to Choose amongst Models and
        Datasets for Transfer Learning. ECML PKDD, 2010. Ganin et al.: Domain-Adversarial Training
        of Neural Networks. JMLR 17, 2016 (section 5.1.2).
    """
    return ReverseValidation(metric, holdout, target, random_state)
