"""Every estimator on arrays, and the data that all of them are checked on."""

import inspect

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression

from tl_keras import features, instances, relations

PACKAGES = (instances, features, relations)
CLASSES = {name: getattr(package, name) for package in PACKAGES for name in package.__all__}
# Small settings, for those that have them.
SMALL = {
    "n_components": 2,
    "n_estimators": 4,
    "n_pivots": 2,
    "min_count": 2,
    "iterations": 2,
    "steps": 3,
    "cv": 2,
    "random_state": 0,
    "n_features": 2,
}
# Methods that learn nothing without a few target labels.
TARGET_LABELS = {
    "TrAdaBoostClassifier",
    "TrAdaBoostRegressor",
    "TwoStageTrAdaBoostRegressor",
    "BalancedWeighting",
}

every = pytest.mark.parametrize("name", sorted(CLASSES))


def kinds(kind):
    return [name for name in sorted(CLASSES) if kind(name)]


def is_transformer(name):
    return hasattr(CLASSES[name], "transform")


def is_learner(name):
    return hasattr(CLASSES[name], "predict")


transformers = pytest.mark.parametrize("name", kinds(is_transformer))
weighters = pytest.mark.parametrize(
    "name", kinds(lambda name: not is_transformer(name) and not is_learner(name))
)


def made(name, target="target"):
    kind = CLASSES[name]
    if name == "WeightedEstimator":
        weighter = instances.DomainClassifierWeighting(target)
        return kind(LogisticRegression(), weighter)
    there = inspect.signature(kind).parameters
    given = {key: value for key, value in SMALL.items() if key in there}
    if name == "OptimalTransportMapping":
        pytest.importorskip("ot", reason="pip install tl_keras[transport]")
    return kind(target=target, **given)


def data(name, sources=("a",), targets=("target",), n=40, labelled=10, seed=0):
    """X of five features, y and domain; the first target samples of each domain have labels."""
    random = np.random.default_rng(seed)
    parts = []
    for k, domain in enumerate((*sources, *targets)):
        label = np.arange(n) % 2
        X = random.normal(size=(n, 5))
        X[:, :2] += 2.0 * label[:, None]
        X = X * (1 + 0.2 * k) + 0.4 * k
        y = X[:, 0] + 0.1 * random.normal(size=n) if regression(name) else label
        y = np.where((domain in targets) & (np.arange(n) >= labelled), blank(name), y)
        parts.append((X, y, np.full(n, domain)))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def regression(name):
    return is_learner(name) and is_regressor(made(name))


def blank(name):
    return np.nan if regression(name) else -1


def fitted(model, X, y, domain):
    return model.fit(X, y, domain=domain)


def outcome(model, X, domain):
    """What an estimator is used for, as one array."""
    if hasattr(model, "transform"):
        mapped = model.transform(X, domain=domain)
        return mapped.toarray() if scipy.sparse.issparse(mapped) else np.asarray(mapped)
    if not hasattr(model, "predict"):
        return model.weights_
    return model.predict_proba(X) if is_classifier(model) else model.predict(X)


def check_same(first, second, rtol=1e-6):
    assert first.shape == second.shape
    np.testing.assert_allclose(first, second, rtol=rtol, atol=rtol * np.abs(first).max())
