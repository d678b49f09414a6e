import feature_domains
import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import LogisticRegression

from tests import oracles
from tl_keras.features import FeatureAugmentation
from tl_keras.utils.errors import InputError


def test_blocks_are_the_papers():
    Xs, Xt = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    mapped = FeatureAugmentation().fit_transform(X, domain=domain)
    np.testing.assert_array_equal(mapped[:60], np.hstack([Xs, Xs, 0 * Xs]))
    np.testing.assert_array_equal(mapped[60:], np.hstack([Xt, 0 * Xt, Xt]))
    new = FeatureAugmentation().fit(X, domain=domain).transform(Xs[:3])
    np.testing.assert_array_equal(new, np.hstack([Xs[:3], 0 * Xs[:3], Xs[:3]]))


def test_agrees_with_adapt_but_for_the_place_of_the_shared_block():
    module = oracles.adapt("feature_based._fa")
    Xs, Xt = feature_domains.two_domains()
    Xb, _ = feature_domains.two_domains(1)
    sources = np.vstack([Xs, Xb])
    number = np.repeat([0, 1], 60)
    expected, _ = module.FA(verbose=0).fit_transform(
        sources, Xt, np.zeros(120), np.zeros(50), domains=number
    )
    X, domain = feature_domains.stacked(a=Xs, b=Xb, target=Xt)
    mapped = FeatureAugmentation().fit_transform(X, domain=domain)
    np.testing.assert_array_equal(mapped, np.hstack([expected[:, 15:], expected[:, :15]]))


def test_a_domain_is_twice_as_close_to_itself():
    Xs, Xt = feature_domains.two_domains()
    Xb, Xu = feature_domains.two_domains(1)
    X, domain = feature_domains.stacked(a=Xs, t=Xt, b=Xb, u=Xu)
    shuffled = np.random.default_rng(0).permutation(len(X))
    X, domain = X[shuffled], domain[shuffled]
    estimator = FeatureAugmentation(target=["t", "u"])
    mapped = estimator.fit_transform(X, domain=domain)
    factor = 1 + (domain[:, None] == domain)
    np.testing.assert_allclose(mapped @ mapped.T, factor * (X @ X.T), atol=1e-12)
    assert estimator.domains_ == ("a", "b", "t", "u")
    with pytest.raises(InputError, match="has a map for each of its target domains"):
        estimator.transform(X)


def test_sparse_samples_stay_sparse():
    X = scipy.sparse.random(30, 7, density=0.3, random_state=0, format="csr")
    domain = np.arange(30) % 3
    estimator = FeatureAugmentation(target=2)
    mapped = estimator.fit_transform(X, domain=domain)
    assert scipy.sparse.issparse(mapped)
    assert mapped.nnz == 2 * X.nnz
    np.testing.assert_array_equal(
        mapped.toarray(), estimator.fit_transform(X.toarray(), domain=domain)
    )


def test_columns_are_named_by_block():
    X = np.zeros((3, 2))
    estimator = FeatureAugmentation().fit(X, domain=["s", "s", "target"])
    expected = ["shared_x0", "shared_x1", "s_x0", "s_x1", "target_x0", "target_x1"]
    assert estimator.get_feature_names_out().tolist() == expected
    assert estimator.get_feature_names_out(["a", "b"]).tolist()[:2] == ["shared_a", "shared_b"]


def test_a_model_learns_what_domains_share_and_what_not():
    """One feature means the same everywhere, the other the opposite in the target."""
    errors = []
    for seed in range(5):
        random = np.random.default_rng(seed)
        X = random.normal(size=(640, 2))
        domain = np.repeat(["source", "target"], [300, 340])
        sign = np.where(domain == "source", 1, -1)
        y = (X[:, 0] + sign * 1.5 * X[:, 1] > 0).astype(int)
        train, test = np.arange(640) < 340, np.arange(640) >= 340  # 40 target samples to learn.
        pooled = LogisticRegression().fit(X[train], y[train]).score(X[test], y[test])
        mapped = FeatureAugmentation().fit_transform(X, domain=domain)
        ours = LogisticRegression().fit(mapped[train], y[train]).score(mapped[test], y[test])
        errors.append((pooled, ours))
    pooled, ours = np.array(errors).T
    assert pooled.max() < 0.7
    assert ours.min() > 0.85


def test_a_dense_result_that_would_not_fit_is_refused(little_memory):
    X, domain = np.ones((40, 3)), np.repeat(["source", "target"], 20)
    estimator = FeatureAugmentation().fit(X, domain=domain)
    little_memory(1e3)
    with pytest.raises(InputError, match="Pass X as a CSR matrix"):
        estimator.transform(X)
    assert estimator.transform(scipy.sparse.csr_matrix(X)).shape == (40, 9)


def test_bad_input_is_refused():
    X = np.ones((4, 3))
    with pytest.raises(InputError, match="there is none to transfer from"):
        FeatureAugmentation().fit(X, domain=["target"] * 4)
    with pytest.raises(InputError, match="target: no sample belongs to domain 'target'"):
        FeatureAugmentation().fit(X, domain=["a", "a", "b", "b"])
    with pytest.raises(InputError, match="domain: expected one label per sample"):
        FeatureAugmentation().fit(X, domain=["a", "target"])
