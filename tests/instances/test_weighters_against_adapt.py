"""The weighters against ADAPT 0.4.5, where it solves the same problem."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import pairwise_kernels

from tests import oracles
from tl_keras.instances import (
    RULSIF,
    ULSIF,
    BalancedWeighting,
    DomainClassifierWeighting,
    NearestNeighborWeighting,
)
from tl_keras.instances.density_ratio import squared_distances
from tl_keras.instances.kernel_mean_matching import exact_kernels, match_means
from tl_keras.instances.kliep import TOLERANCE, mixture_proportions, normalized_kernels


@pytest.fixture(scope="module")
def adapt():
    """ADAPT's module `adapt.instance_based`."""
    return oracles.adapt("instance_based")


def two_domains(seed, source=90, target=70, features=3):
    random = np.random.default_rng(seed)
    Xs, Xt = random.normal(size=(source, features)), random.normal(0.5, 0.8, (target, features))
    return Xs, Xt, np.vstack([Xs, Xt]), np.repeat(["source", "target"], [source, target])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("kernel", "gamma"), [("rbf", 0.05), ("rbf", 2.0), ("laplacian", 0.3)])
@pytest.mark.parametrize(("bound", "epsilon"), [(1000.0, None), (5.0, 0.1)])
def test_kernel_mean_matching_is_at_least_as_good(adapt, seed, kernel, gamma, bound, epsilon):
    pytest.importorskip("cvxopt", reason="pip install cvxopt")
    Xs, Xt, *_ = two_domains(seed)
    peer = adapt.KMM(kernel=kernel, gamma=gamma, B=bound, eps=epsilon, verbose=0, random_state=0)
    theirs = peer.fit_weights(Xs, Xt)
    epsilon = 1 - 1 / np.sqrt(90) if epsilon is None else epsilon
    ours = match_means(*exact_kernels(Xs, Xt, kernel, gamma), bound, epsilon)
    K = pairwise_kernels(Xs, metric=kernel, gamma=gamma)
    kappa = 90 * pairwise_kernels(Xs, Xt, metric=kernel, gamma=gamma).mean(axis=1)
    best = theirs @ K @ theirs / 2 - kappa @ theirs
    beta = ours.weights
    assert ours.converged
    assert (beta >= 0).all() and (beta <= bound).all() and abs(beta.mean() - 1) <= epsilon + 1e-7
    assert beta @ K @ beta / 2 - kappa @ beta <= best + 2e-8 * abs(best)


@pytest.mark.parametrize("gamma", [0.05, 0.5, 5.0])
def test_kliep_is_at_least_as_likely(adapt, gamma):
    for seed in range(3):
        Xs, Xt, *_ = two_domains(seed)
        peer = adapt.KLIEP(gamma=gamma, max_centers=40, verbose=0, random_state=0)
        theirs = peer.fit_weights(Xs, Xt)
        basis = -gamma * squared_distances(Xt, peer.centers_)
        basis -= normalized_kernels(squared_distances(Xs, peer.centers_), gamma)[1]
        ours = np.log(np.exp(basis) @ mixture_proportions(basis)).mean()
        ratio = peer.predict_weights(Xt) / theirs.mean()
        assert ours >= np.log(ratio).mean() - TOLERANCE


@pytest.mark.parametrize("seed", range(3))
def test_least_squares_ratios_are_the_same(adapt, seed):
    Xs, Xt, X, domain = two_domains(seed)
    parameters = {"gamma": 0.4, "verbose": 0, "max_centers": 70, "lambdas": 0.2}
    for ours, peer in (
        (ULSIF(gamma=0.4, regularization=0.2), adapt.ULSIF(**parameters)),
        (
            RULSIF(gamma=0.4, regularization=0.2, alpha=0.3),
            adapt.RULSIF(alpha=0.3, **parameters),
        ),
    ):
        theirs = peer.fit_weights(Xs, Xt)
        ours.fit(X, domain=domain)
        np.testing.assert_allclose(ours.density_ratio(Xs), theirs, rtol=1e-6)
        np.testing.assert_allclose(ours.weights_[:90], theirs / theirs.mean(), rtol=1e-6)


def test_classifier_weights_are_proportional(adapt):
    Xs, Xt, X, domain = two_domains(0)
    settings = {"C": 0.5, "tol": 1e-10, "max_iter": 1000}
    theirs = adapt.IWC(
        classifier=LogisticRegression(**settings), verbose=0, random_state=0
    ).fit_weights(Xs, Xt)
    ours = DomainClassifierWeighting(classifier=LogisticRegression(**settings))
    ours.fit(X, domain=domain)
    np.testing.assert_allclose(ours.weights_[:90], theirs / theirs.mean(), rtol=1e-6)


def test_neighbor_counts_are_the_same(adapt):
    Xs, Xt, X, domain = two_domains(1)
    theirs = adapt.NearestNeighborsWeighting(verbose=0).fit_weights(Xs, Xt)
    ours = NearestNeighborWeighting(n_neighbors=5, smoothing=0.0).fit(X, domain=domain)
    np.testing.assert_allclose(ours.weights_[:90], theirs / theirs.mean())


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_balanced_weights_are_the_same(adapt, ratio):
    Xs, Xt, X, domain = two_domains(2)
    peer = adapt.BalancedWeighting(gamma=ratio, verbose=0)
    theirs, *_ = peer.fit_weights(Xs, Xt, np.zeros(90), np.zeros(70))
    ours = BalancedWeighting(ratio=ratio).fit(X, domain=domain)
    np.testing.assert_allclose(ours.weights_, theirs)
