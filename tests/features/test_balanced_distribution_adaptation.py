import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from tl_keras.features import (
    BalancedDistributionAdaptation,
    JointDistributionAdaptation,
    TransferComponentAnalysis,
)
from tl_keras.features.balanced_distribution_adaptation import estimated_balance
from tl_keras.utils.errors import InputError


def class_shifts(seed, source=60, target=50, features=4):
    """Three classes, each of which shifts its own way; target labels are −1."""
    random = np.random.default_rng(seed)
    y = np.arange(source + target) % 3
    X = random.normal(size=(source + target, features))
    X[:, :2] += 4 * np.array([[0, 0], [1, 0], [0, 1]])[y]
    X[source:, 2] += np.array([3, 0, -3])[y[source:]]
    domain = np.repeat(["source", "target"], [source, target])
    return X, np.where(domain == "target", -1, y), domain, y


def test_without_weight_on_classes_it_is_transfer_component_analysis():
    X, y, domain, _ = class_shifts(0)
    Z = BalancedDistributionAdaptation(3, balance=0).fit_transform(X, y, domain=domain)
    expected = TransferComponentAnalysis(3).fit_transform(X, domain=domain)
    np.testing.assert_allclose(Z, expected, atol=1e-8)


def test_in_the_middle_it_is_joint_distribution_adaptation():
    X, _, domain, truth = class_shifts(1)
    balanced = BalancedDistributionAdaptation(3, balance=0.5, regularization=0.1)
    joint = JointDistributionAdaptation(3, regularization=0.2)
    Z = balanced.fit_transform(X, truth, domain=domain)
    expected = joint.fit_transform(X, truth, domain=domain)
    np.testing.assert_allclose(Z, expected, atol=1e-8)
    np.testing.assert_allclose(balanced.criterion_, 2 * joint.criterion_, rtol=1e-10)


@pytest.mark.parametrize("class_weighted", [False, True])
def test_is_the_papers_solution(class_weighted):
    X, _, domain, y = class_shifts(2)
    y[70:90] = 0  # class shares that differ between the domains
    adaptation = BalancedDistributionAdaptation(
        3, balance=0.7, kernel="linear", class_weighted=class_weighted, regularization=2.0
    ).fit(X, y, domain=domain)
    K, n, source = X @ X.T, len(X), domain == "source"
    M = 0.3 * np.outer(e := source / source.sum() - ~source / (~source).sum(), e)
    for c in range(3):
        s, t = source & (y == c), ~source & (y == c)
        ps, pt = (s.sum() / source.sum(), t.sum() / (~source).sum()) if class_weighted else (1, 1)
        for i in range(n):
            for j in range(n):
                if s[i] and s[j]:
                    M[i, j] += 0.7 * ps / s.sum() ** 2
                elif t[i] and t[j]:
                    M[i, j] += 0.7 * pt / t.sum() ** 2
                elif (s[i] and t[j]) or (t[i] and s[j]):
                    M[i, j] -= 0.7 * np.sqrt(ps * pt) / (s.sum() * t.sum())
    variance = K @ (np.eye(n) - np.full((n, n), 1 / n)) @ K
    cost = K @ M @ K + 2.0 * np.trace(variance) / n * np.eye(n)
    values, vectors = scipy.linalg.eigh(variance, cost, subset_by_index=[n - 3, n - 1])
    np.testing.assert_allclose(adaptation.criterion_, values[::-1], rtol=1e-7)
    angles = scipy.linalg.subspace_angles(K @ vectors, adaptation.transform(X))
    assert angles.max() < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_estimate_goes_where_the_domains_differ(seed):
    random = np.random.default_rng(seed)
    target, y = np.arange(400) % 2 == 1, random.integers(2, size=400)
    X = random.normal(size=(400, 5))
    swapped = X.copy()
    swapped[:, 0] += 4 * (y ^ target)  # classes change places, the domains as a whole do not
    assert estimated_balance(swapped, target, y, seed) > 0.8
    more = np.where(random.random(400) < np.where(target, 0.95, 0.05), 1, 0)
    frequent = X.copy()
    frequent[:, 0] += 8 * more  # only how frequent the classes are differs
    assert estimated_balance(frequent, target, more, seed) < 0.3
    moved = X + 6 * target[:, None]  # both differ as much as can be
    assert estimated_balance(moved, target, y, seed) == pytest.approx(0.5)
    assert estimated_balance(scipy.sparse.csr_matrix(moved), target, y, seed) == pytest.approx(0.5)


def test_estimate_leaves_out_what_cannot_be_compared():
    X = np.random.default_rng(0).normal(size=(40, 3))
    target, y = np.arange(40) >= 20, np.zeros(40, int)
    y[0] = 1  # one sample on one side
    assert 0 <= estimated_balance(X, target, y, 0) <= 1
    assert estimated_balance(X, target, np.arange(40), 0) == 0.5


def test_automatic_balance_is_kept_and_repeats():
    X, y, domain, _ = class_shifts(3)
    adaptation = BalancedDistributionAdaptation(3, random_state=0).fit(X, y, domain=domain)
    again = clone(adaptation).fit(X, y, domain=domain)
    assert 0 < adaptation.balance_ < 1 and again.balance_ == adaptation.balance_
    np.testing.assert_array_equal(again.transform(X), adaptation.transform(X))
    assert adaptation.set_params(balance=0.25).fit(X, y, domain=domain).balance_ == 0.25


@pytest.mark.parametrize("balance", [-0.1, 1.5, "half", None, True])
def test_bad_balance(balance):
    X, y, domain, _ = class_shifts(4)
    with pytest.raises(InputError, match="balance: expected a number from 0 to 1 or 'auto', got"):
        BalancedDistributionAdaptation(balance=balance).fit(X, y, domain=domain)


def test_scikit_learns_checks():
    check_estimator(BalancedDistributionAdaptation())
