"""TrAdaBoost on real data, split as in the paper: mushrooms by the shape of their stalk."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from tests import oracles
from tl_keras.instances import TrAdaBoostClassifier

ESTIMATOR = LogisticRegression(max_iter=1000)


@pytest.fixture(scope="module")
def mushrooms():
    features, y, shape = oracles.mushrooms()
    return OneHotEncoder().fit_transform(features), y, shape


def errors(mushrooms, source_shape, seed):
    """Return the errors of training on the target alone, on both pooled, and of TrAdaBoost."""
    X, y, shape = mushrooms
    source, target = np.flatnonzero(shape == source_shape), np.flatnonzero(shape != source_shape)
    labelled = np.random.default_rng(seed).choice(target, round(0.01 * len(target)), replace=False)
    test = np.setdiff1d(target, labelled)
    rows = np.concatenate([source, labelled])
    domain = np.repeat(["source", "target"], [len(source), len(labelled)])
    if len(np.unique(y[labelled])) > 1:
        alone = clone(ESTIMATOR).fit(X[labelled], y[labelled]).predict(X[test])
    else:
        alone = np.full(len(test), y[labelled][0])
    pooled = clone(ESTIMATOR).fit(X[rows], y[rows]).predict(X[test])
    boosted = TrAdaBoostClassifier(ESTIMATOR).fit(X[rows], y[rows], domain=domain).predict(X[test])
    return [np.mean(answer != y[test]) for answer in (alone, pooled, boosted)]


@pytest.mark.slow
@pytest.mark.parametrize("source_shape", ["e", "t"], ids=["enlarging", "tapering"])
def test_with_one_percent_of_the_target_labels(mushrooms, source_shape):
    rows = np.array([errors(mushrooms, source_shape, seed) for seed in range(10)])
    alone, pooled, boosted = rows.mean(axis=0)
    print(f"mean errors: alone {alone:.4f}, pooled {pooled:.4f}, boosted {boosted:.4f}")
    assert boosted <= alone
    assert boosted < pooled
