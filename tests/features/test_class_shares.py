"""What maps of features do where the domains' classes make up different shares."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances
from sklearn.preprocessing import StandardScaler

from tests import oracles
from tl_keras.features import (
    CORAL,
    BalancedDistributionAdaptation,
    JointDistributionAdaptation,
    TransferComponentAnalysis,
)

COMPONENTS = (
    TransferComponentAnalysis,
    JointDistributionAdaptation,
    BalancedDistributionAdaptation,
)


def unequal_shares(seed, samples=150):
    """Two classes, 85 % and 15 % of the source, 15 % and 85 % of the target; nothing else differs.

    They lie apart in three of ten features, two standard deviations in each.
    """
    random = np.random.default_rng(seed)
    domain = np.repeat(["source", "target"], samples)
    second = np.where(domain == "source", 0.15, 0.85)
    y = (random.random(2 * samples) < second).astype(int)
    X = random.normal(size=(2 * samples, 10))
    X[:, :3] += 2 * y[:, None]
    return StandardScaler().fit_transform(X), y, domain


def accuracy(X, y, domain):
    source = domain == "source"
    model = LogisticRegression(max_iter=300).fit(X[source], y[source])
    return model.score(X[~source], y[~source])


def mapped(estimator, X, y, domain):
    return estimator.fit_transform(X, np.where(domain == "target", -1, y), domain=domain)


@pytest.mark.parametrize("kind", COMPONENTS)
def test_defaults_do_not_move_classes_onto_each_other(kind):
    adapted, plain, forced = [], [], []
    for seed in range(2):
        X, y, domain = unequal_shares(seed, samples=100)
        plain.append(accuracy(X, y, domain))
        adapted.append(accuracy(mapped(kind(5, random_state=0), X, y, domain), y, domain))
        strong = kind(5, regularization=1e-4, random_state=0)
        forced.append(accuracy(mapped(strong, X, y, domain), y, domain))
    assert np.mean(adapted) > np.mean(plain) - 0.1
    assert np.mean(adapted) > np.mean(forced) + 0.2


def test_coral_s_default_leaves_the_means():
    for seed in range(3):
        X, y, domain = unequal_shares(seed)
        plain = accuracy(X, y, domain)
        assert accuracy(mapped(CORAL(), X, y, domain), y, domain) > plain - 0.05
        moved = accuracy(mapped(CORAL(align_means=True), X, y, domain), y, domain)
        assert moved < plain - 0.2


def test_tumours_by_size_lose_little_against_adapt():
    X, y = load_breast_cancer(return_X_y=True)
    texture, X = X[:, 1], np.delete(X, 1, axis=1)
    domain = np.where(texture <= np.median(texture), "source", "target")
    X, source = StandardScaler().fit_transform(X), domain == "source"
    gamma = 1 / float(np.median(pairwise_distances(X, metric="sqeuclidean")))
    ours = accuracy(
        mapped(TransferComponentAnalysis(20, gamma=gamma, random_state=0), X, y, domain), y, domain
    )
    module = oracles.adapt("feature_based._tca")
    peer = module.TCA(n_components=20, kernel="rbf", gamma=gamma, verbose=0)
    Zs = peer.fit_transform(X[source], X[~source])
    model = LogisticRegression(max_iter=300).fit(Zs, y[source])
    theirs = model.score(peer.transform(X[~source]), y[~source])
    assert ours > theirs - 0.05
    module = oracles.adapt("feature_based._coral")
    peer = module.CORAL(verbose=0)
    model = LogisticRegression(max_iter=300).fit(
        peer.fit_transform(X[source], X[~source]), y[source]
    )
    theirs = model.score(X[~source], y[~source])
    assert accuracy(mapped(CORAL(), X, y, domain), y, domain) > theirs - 0.01


SETTINGS = [
    {"kernel": "rbf", "gamma": 0.1},
    {"kernel": "linear"},
    {"kernel": "primal"},
    {"kernel": "rbf", "gamma": 0.1, "solver": "nystroem", "landmarks": 1000},
]


@pytest.mark.parametrize("regularization", [0.01, 1.0])
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("kind", COMPONENTS)
def test_regularization_means_the_same_at_any_number_of_samples(kind, settings, regularization):
    X, y, domain = unequal_shares(0, samples=60)
    given = {"iterations": 1} if kind is not TransferComponentAnalysis else {}
    if kind is BalancedDistributionAdaptation:
        given["balance"] = 0.5
    make = kind(4, regularization=regularization, random_state=0, **given, **settings)
    once = make.fit(X, y, domain=domain).transform(X)
    ratios = make.criterion_ / make.criterion_[0]
    twice = make.fit(np.tile(X, (2, 1)), np.tile(y, 2), domain=np.tile(domain, 2)).transform(X)
    np.testing.assert_allclose(make.criterion_ / make.criterion_[0], ratios, rtol=1e-6)
    np.testing.assert_allclose(np.abs(twice), np.abs(once), atol=1e-5)


@pytest.mark.parametrize("kernel", ["linear", "primal"])
@pytest.mark.parametrize("kind", COMPONENTS)
def test_regularization_means_the_same_at_any_scale(kind, kernel):
    X, y, domain = unequal_shares(1, samples=60)
    make = kind(4, kernel=kernel, regularization=0.3, random_state=0)
    small, large = (make.fit_transform(X * scale, y, domain=domain) for scale in (1.0, 1000.0))
    np.testing.assert_allclose(np.abs(large), np.abs(small), atol=1e-6)


def test_features_far_from_zero_are_noticed():
    X, _, domain = unequal_shares(0)
    X[domain == "target"] *= 1.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CORAL().fit(X, domain=domain)
        CORAL(align_means=True).fit(X + 100, domain=domain)
    with pytest.warns(UserWarning, match=r"CORAL: the features lie far from zero.*StandardScaler"):
        CORAL().fit(X + 100, domain=domain)
