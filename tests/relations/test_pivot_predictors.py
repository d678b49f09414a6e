import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from sklearn.feature_selection import mutual_info_classif

from tl_keras.relations import pivot_predictors
from tl_keras.relations.pivot_predictors import (
    Centred,
    leading_subspace,
    least_squares_predictors,
    modified_huber_predictors,
    mutual_information,
    presence,
)


def counts(seed=0, samples=80, features=12, pivots=3):
    """Word counts, and the presence of pivots that depends on them."""
    random = np.random.default_rng(seed)
    X = random.poisson(0.7, (samples, features)).astype(float)
    there = X @ random.normal(size=(features, pivots)) + random.normal(size=(samples, pivots)) > 0
    return X, there.astype(float)


def test_presence():
    dense = np.array([[0.0, 1.0, -1.0], [2.0, 2.0, 3.0], [0.5, 3.0, 1.0]])
    assert presence(dense).toarray().tolist() == [[0, 0, 0], [1, 0, 1], [1, 1, 0]]
    stored = scipy.sparse.csr_matrix(([0.0, -2.0, 3.0], ([0, 1, 2], [0, 1, 1])), (3, 2))
    assert presence(stored).toarray().tolist() == [[0, 0], [0, 1], [0, 1]]
    assert stored.nnz == 3  # the input is left as it is


@pytest.mark.parametrize("classes", [2, 4])
def test_mutual_information_is_scikit_learns(classes):
    random = np.random.default_rng(classes)
    codes = random.integers(classes, size=200)
    there = scipy.sparse.csr_matrix(
        (random.random((200, 6)) < 0.1 + 0.2 * codes[:, None] * np.arange(6) / 6).astype(float)
    )
    there[:, 5] = 1.0  # in every sample
    expected = mutual_info_classif(there, codes, discrete_features=True)
    np.testing.assert_allclose(mutual_information(there, codes), expected, atol=1e-12)
    assert expected[4] > 0.02


@pytest.mark.parametrize("offset", [0.0, 2.0**23, 2.0**27])
def test_moments_far_from_the_origin(offset):
    X, _ = counts()
    data = Centred(X + offset)  # whole numbers, so that nothing is rounded
    expected = np.cov(X, rowvar=False, ddof=0)
    np.testing.assert_allclose(data.gram() / 80, expected, atol=1e-10)
    np.testing.assert_allclose(data.mean_square(), np.trace(expected), rtol=1e-10)
    np.testing.assert_allclose(data.largest() ** 2 / 80, np.linalg.norm(expected, 2), rtol=0.03)


def test_constant_features_have_no_moments():
    X = np.tile([0.1, 1e3 + 0.1, 1e8 / 3], (1000, 1))
    given = X.copy()
    assert Centred(X).mean_square() == 0
    np.testing.assert_array_equal(X, given)  # the input is left as it is


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("formed", [1500, 1], ids=["cholesky", "gradients"])
def test_least_squares_has_the_closed_form(formed, sparse, monkeypatch):
    monkeypatch.setattr(pivot_predictors, "FORMED", formed)
    monkeypatch.setattr(pivot_predictors, "BATCH", 2)
    X, Y = counts()
    penalty = 0.05
    # Minimise over the weights and the constant: the constant has no penalty.
    with_one = np.hstack([X, np.ones((80, 1))])
    ridge = penalty * np.diag([1.0] * 12 + [0.0])
    expected = np.linalg.solve(with_one.T @ with_one / 80 + ridge, with_one.T @ Y / 80)[:-1]
    data = Centred(scipy.sparse.csr_matrix(X) if sparse else X)
    weights = least_squares_predictors(data, scipy.sparse.csr_matrix(Y), penalty)
    np.testing.assert_allclose(weights, expected, atol=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_modified_huber_finds_the_minimum(seed, sparse, monkeypatch):
    monkeypatch.setattr(pivot_predictors, "BATCH", 2)
    X, Y = counts(seed)
    penalty = 0.02
    data = Centred(scipy.sparse.csr_matrix(X) if sparse else X)
    weights = modified_huber_predictors(data, scipy.sparse.csr_matrix(Y), penalty, 1e-6, 5000)
    for pivot in range(3):
        signs = 2 * Y[:, pivot] - 1

        def objective(parameters, signs=signs):
            margin = signs * (X @ parameters[:-1] + parameters[-1])
            loss = np.where(margin >= -1, np.maximum(0, 1 - margin) ** 2, -4 * margin)
            return loss.mean() + penalty * (parameters[:-1] ** 2).sum()

        best = scipy.optimize.minimize(
            objective, np.zeros(13), method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}
        )
        np.testing.assert_allclose(weights[:, pivot], best.x[:-1], atol=2e-4)


def test_default_tolerance_of_modified_huber_is_enough_for_the_subspace():
    X, Y = counts(4, samples=300, features=30, pivots=12)
    data, there = Centred(X), scipy.sparse.csr_matrix(Y)
    bases = [
        leading_subspace(modified_huber_predictors(data, there, 0.01, tolerance, 5000), 4)
        for tolerance in (1e-3, 1e-8)
    ]
    assert scipy.linalg.subspace_angles(*bases).max() < 0.02


def test_leading_subspace_is_that_of_the_singular_values():
    weights = np.random.default_rng(0).normal(size=(9, 5))
    vectors = np.linalg.svd(weights)[0][:, :3]
    basis = leading_subspace(weights, 3)
    np.testing.assert_allclose(np.abs(basis), np.abs(vectors), atol=1e-10)
    assert (basis[np.abs(basis).argmax(axis=0), range(3)] > 0).all()
    repeated = np.outer(weights[:, 0], [1.0, 2.0])
    assert leading_subspace(repeated, 2).shape == (9, 1)
    assert leading_subspace(np.zeros((9, 2)), 2).shape == (9, 0)
