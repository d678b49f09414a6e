import numpy as np
import pytest
import scipy.sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from tl_keras.instances import DomainClassifierWeighting
from tl_keras.instances.domain_classifier_weighting import odds
from tl_keras.utils.errors import InputError


def shifted(seed, source=600, target=300, features=2, step=0.5):
    """Samples of N(0, I) and N(step, I), whose ratio of densities is log-linear."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(source + target, features))
    X[source:] += step
    return X, np.repeat(["source", "target"], [source, target])


def log_ratio(X, step=0.5):
    return (step * X - step**2 / 2).sum(axis=1)


@pytest.mark.parametrize("classifier", [None, GaussianNB()])
def test_estimates_the_ratio_of_two_gaussians_with_unequal_counts(classifier):
    for seed in range(5):
        X, domain = shifted(seed)
        model = DomainClassifierWeighting(classifier=classifier).fit(X, domain=domain)
        new, _ = shifted(seed + 100, 500, 0)
        error = np.log(model.density_ratio(new)) - log_ratio(new)
        assert np.abs(error).mean() < 0.35
        expected = np.exp(log_ratio(X[:600]))
        assert np.corrcoef(model.weights_[:600], expected)[0, 1] > 0.88
        assert model.weights_[:600].mean() == pytest.approx(1.0)
        assert (model.weights_[600:] == 1.0).all()


def test_odds_by_hand():
    np.testing.assert_allclose(
        odds(np.array([0.0, 0.5, 0.8, 1.0]), 2.0, 0.05), [2 / 19, 2.0, 8.0, 38.0]
    )


def test_weights_are_those_odds_of_the_classifier():
    X, domain = shifted(0)
    classifier = LogisticRegression(C=0.3)
    weights = DomainClassifierWeighting(classifier=classifier).fit(X, domain=domain).weights_
    own = LogisticRegression(C=0.3).fit(X, domain == "target").predict_proba(X[:600])
    expected = own[:, 1] / own[:, 0]
    np.testing.assert_allclose(weights[:600], expected / expected.mean(), rtol=1e-6)
    assert not hasattr(classifier, "coef_")


def test_the_default_does_not_mind_units():
    X, domain = shifted(1)
    plain = DomainClassifierWeighting().fit(X, domain=domain).weights_
    scaled = DomainClassifierWeighting().fit(X * [1e-3, 1e5], domain=domain).weights_
    np.testing.assert_allclose(scaled, plain, rtol=1e-2)


def test_folds_keep_a_classifier_from_judging_what_it_learnt_by_heart():
    by_heart = KNeighborsClassifier(25, weights="distance")
    for seed in range(4):
        X, domain = shifted(seed, 400, 400)
        same, held = (
            DomainClassifierWeighting(classifier=by_heart, folds=folds, random_state=seed)
            .fit(X, domain=domain)
            .weights_[:400]
            for folds in (None, 5)
        )
        np.testing.assert_allclose(same, 1.0)
        assert np.corrcoef(np.log(held), log_ratio(X[:400]))[0, 1] > 0.6


def test_random_state_makes_forest_and_folds_repeat():
    X, domain = shifted(3, 60, 60)
    first, second, other = (
        DomainClassifierWeighting(classifier=RandomForestClassifier(5), folds=3, random_state=seed)
        .fit(X, domain=domain)
        .weights_
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_separable_domains_have_bounded_odds():
    X, domain = shifted(4, 50, 50, step=100.0)
    model = DomainClassifierWeighting(classifier=RandomForestClassifier(5, random_state=0))
    assert model.fit(X, domain=domain).density_ratio(X).max() == pytest.approx(99.5 / 0.5)


def test_sparse_features_follow_the_classifier():
    X, domain = shifted(5, 40, 40)
    X[X < 0] = 0.0
    dense = DomainClassifierWeighting().fit(X, domain=domain)
    sparse = DomainClassifierWeighting().fit(scipy.sparse.csr_matrix(X), domain=domain)
    # The same optimum, found to the tolerance of the solver.
    np.testing.assert_allclose(sparse.weights_, dense.weights_, rtol=5e-3)
    ratio = sparse.density_ratio(scipy.sparse.csr_matrix(X))
    np.testing.assert_allclose(ratio, dense.density_ratio(X), rtol=5e-3)
    given = dense.density_ratio(scipy.sparse.csr_matrix(X))
    np.testing.assert_array_equal(given, dense.density_ratio(X))
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        DomainClassifierWeighting(classifier=GaussianNB()).fit(
            scipy.sparse.csr_matrix(X), domain=domain
        )


def test_what_does_not_fit():
    X, domain = shifted(6, 20, 20)
    with pytest.raises(InputError, match="expected a classifier with predict_proba, got Ridge"):
        DomainClassifierWeighting(classifier=RidgeClassifier()).fit(X, domain=domain)
    with pytest.raises(InputError, match=r"classifier: expected .* got str"):
        DomainClassifierWeighting(classifier="forest").fit(X, domain=domain)
    for folds in (1, "5", 5.0):
        text = f"folds: expected None or a whole number of 2 or more, got {folds!r}"
        with pytest.raises(InputError, match=text):
            DomainClassifierWeighting(folds=folds).fit(X, domain=domain)
    with pytest.raises(InputError, match="folds: source and target need two samples each"):
        DomainClassifierWeighting(folds=2).fit(X[:21], domain=domain[:21])


def test_features_far_from_the_origin_change_nothing():
    X, domain = shifted(6, 300, 300)
    near = DomainClassifierWeighting().fit(X, domain=domain)
    far = DomainClassifierWeighting().fit(X + 1e4, domain=domain)
    np.testing.assert_allclose(far.weights_, near.weights_, rtol=1e-6)
