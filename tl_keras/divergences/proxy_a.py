"""Proxy A-distance."""

from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tl_keras.divergences.samples import checked_pair
from tl_keras.utils.errors import InputError


def proxy_a_distance(
    source: Any,
    target: Any,
    *,
    classifier: Any = None,
    folds: int = 5,
    random_state: Any = None,
) -> float:
    """Return the proxy A-distance: how well a classifier tells two sets of samples apart.

    `2 (1 − 2 ε)`, where `ε` is the classifier's cross-validated error, the mean of the errors on
    source and on target samples, so that it does not matter which set is larger. Errors above one
    half, which chance brings about, count as one half.

    Use it where a learner will meet these features: what the classifier cannot tell apart does
    not hinder a learner of its kind. A linear one sees no difference of covariances.

    Args:
        source: `(n, features)`, dense or sparse.
        target: `(m, features)`.
        classifier: Any scikit-learn classifier, which is cloned; by default a logistic regression
            on standardised features with balanced classes.
        folds: Folds of the cross-validation, 2 or more.
        random_state: Seed of the folds.

    Returns:
        The distance, from 0 (cannot be told apart) to 2.

    Raises:
        InputError: If the sets do not fit together, or a set has fewer samples than folds.
        ValueError: If a set is not finite.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(40, 2))
        >>> proxy_a_distance(features[:20], features[20:] + 9.0, random_state=0)
        2.0

    References:
        Ben-David, Blitzer, Crammer, Pereira: Analysis of Representations for Domain Adaptation.
        NIPS, 2006.
    """
    if folds < 2:
        raise InputError(f"folds: expected 2 or more, got {folds}.")
    source, target = checked_pair(source, target)
    for name, X in (("source", source), ("target", target)):
        if X.shape[0] < folds:
            raise InputError(
                f"{name}: expected as many samples as folds, {folds}, or more, got {X.shape[0]}. "
                "Add samples or take fewer folds."
            )
    sparse = scipy.sparse.issparse(source) or scipy.sparse.issparse(target)
    X = scipy.sparse.vstack([source, target], "csr") if sparse else np.vstack([source, target])
    is_target = np.arange(X.shape[0]) >= source.shape[0]
    if classifier is None:
        classifier = make_pipeline(
            StandardScaler(with_mean=not sparse),
            LogisticRegression(class_weight="balanced", max_iter=1000),
        )
    splits = StratifiedKFold(folds, shuffle=True, random_state=random_state)
    told = cross_val_predict(clone(classifier), X, is_target.astype(np.int64), cv=splits) == 1
    wrong = told != is_target
    error = (wrong[~is_target].mean() + wrong[is_target].mean()) / 2
    return float(max(2.0 * (1.0 - 2.0 * error), 0.0))
