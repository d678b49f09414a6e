"""What every weighter does: scikit-learn's checks, domains of all kinds, sparse input, errors."""

import pickle

import numpy as np
import pytest
import scipy.sparse
import sklearn
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from tl_keras.arrays import effective_sample_size
from tl_keras.instances import (
    KLIEP,
    RULSIF,
    ULSIF,
    BalancedWeighting,
    DomainClassifierWeighting,
    KernelMeanMatching,
    NearestNeighborWeighting,
)
from tl_keras.utils.errors import InputError

ESTIMATED = [
    KernelMeanMatching(random_state=0),
    KernelMeanMatching(solver="nystroem", landmarks=30, random_state=0),
    KLIEP(random_state=0),
    ULSIF(random_state=0),
    RULSIF(random_state=0),
    DomainClassifierWeighting(random_state=0),
    NearestNeighborWeighting(),
]
ALL = [*ESTIMATED, BalancedWeighting()]


def of(weighters):
    return pytest.mark.parametrize(
        "weighter", weighters, ids=lambda w: type(w).__name__ + ("N" if "nys" in repr(w) else "")
    )


def two_domains(seed=0, features=3):
    random = np.random.default_rng(seed)
    source, target = random.normal(size=(60, features)), random.normal(0.5, 0.8, (45, features))
    return np.vstack([source, target]), np.repeat(["source", "target"], [60, 45])


@of(ALL)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(weighter):
    check_estimator(weighter, on_skip=None)


@of(ALL)
def test_order_of_samples_and_names_of_domains_do_not_matter(weighter):
    X, domain = two_domains()
    weights = clone(weighter).fit(X, domain=domain).weights_
    renamed = clone(weighter).set_params(target=3)
    np.testing.assert_allclose(
        renamed.fit(X, domain=np.where(domain == "target", 3, 8)).weights_, weights
    )
    # Source and target samples in turn, each side in its order.
    order = np.argsort(np.r_[np.arange(60) / 60, np.arange(45) / 45], kind="stable")
    mixed = clone(weighter).fit(X[order], domain=domain[order]).weights_
    np.testing.assert_allclose(mixed, weights[order], rtol=1e-6)


@of(ALL)
def test_several_sources_and_targets_are_pooled(weighter):
    X, domain = two_domains()
    names = np.array([f"{name}{index % 3}" for index, name in enumerate(domain)])
    several = clone(weighter).set_params(target=["target0", "target1", "target2"])
    np.testing.assert_allclose(
        several.fit(X, domain=names).weights_, clone(weighter).fit(X, domain=domain).weights_
    )


@of(ESTIMATED)
def test_weights_have_mean_one_and_count_what_is_used(weighter):
    X, domain = two_domains()
    model = clone(weighter).fit(X, domain=domain)
    source = model.weights_[:60]
    assert source.mean() == pytest.approx(1.0) and (source >= 0).all() and source.std() > 0.1
    assert (model.weights_[60:] == 1.0).all()
    assert model.effective_sample_size_ == pytest.approx(effective_sample_size(source))
    # The weighted source is where the target is.
    moved = np.average(X[:60], axis=0, weights=source)
    assert np.linalg.norm(moved - X[60:].mean(axis=0)) < 0.7 * np.linalg.norm(
        X[:60].mean(axis=0) - X[60:].mean(axis=0)
    )


@of(ALL)
def test_without_domains_nothing_has_shifted(weighter):
    X, _ = two_domains()
    every = {"landmarks": 300} if isinstance(weighter, KernelMeanMatching) else {}
    weights = clone(weighter).set_params(**every).fit(X).weights_
    np.testing.assert_allclose(weights, 1.0, atol=0.35)


@of(ESTIMATED)
def test_sparse_is_as_dense(weighter):
    X, domain = two_domains()
    X[X < -0.5] = 0.0
    dense = clone(weighter).fit(X, domain=domain).weights_
    for form in (scipy.sparse.csr_matrix, scipy.sparse.csr_array):
        sparse = clone(weighter).fit(form(X), domain=domain).weights_
        np.testing.assert_allclose(sparse, dense, rtol=1e-3, atol=1e-3)


@of(ESTIMATED)
def test_single_precision_is_as_double(weighter):
    X, domain = two_domains()
    single = clone(weighter).fit(X.astype(np.float32), domain=domain).weights_
    assert single.dtype == np.float64
    np.testing.assert_allclose(
        single, clone(weighter).fit(X.astype(np.float32) * 1.0, domain=domain).weights_, atol=0.02
    )


@of(ALL)
def test_repeats_clones_and_pickles(weighter):
    X, domain = two_domains()
    first, second = (clone(weighter).fit(X, domain=domain) for _ in range(2))
    np.testing.assert_array_equal(first.weights_, second.weights_)
    copy = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(copy.weights_, first.weights_)
    if hasattr(first, "density_ratio"):
        np.testing.assert_array_equal(copy.density_ratio(X), first.density_ratio(X))


@of([weighter for weighter in ESTIMATED if hasattr(weighter, "density_ratio")])
def test_the_density_ratio_gives_the_weights_and_knows_the_features(weighter):
    X, domain = two_domains()
    model = clone(weighter).fit(X, domain=domain)
    ratio = model.density_ratio(X[:60])
    np.testing.assert_allclose(ratio / ratio.mean(), model.weights_[:60], rtol=1e-8)
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 3 features"):
        model.density_ratio(X[:, :2])
    with pytest.raises(sklearn.exceptions.NotFittedError):
        clone(weighter).density_ratio(X)


@of(ALL)
@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (["source"] * 105, "target: no sample belongs to domain 'target'"),
        (["target"] * 105, "all samples belong to target domains"),
        (["source"] * 104, r"domain: expected one label per sample.* shape \(105,\)"),
        (["source"] * 60 + [None] * 45, "domain: expected a label for every sample"),
    ],
)
def test_domains_that_do_not_fit(weighter, domain, message):
    X, _ = two_domains()
    with pytest.raises(InputError, match=message):
        clone(weighter).fit(X, domain=domain)


@of(ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite(weighter, bad):
    X, domain = two_domains()
    X[3, 1] = bad
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        clone(weighter).fit(X, domain=domain)


@of(ESTIMATED)
@pytest.mark.filterwarnings("ignore::tl_keras.arrays.DegenerateWeights")
def test_hard_features_raise_nothing(weighter):
    X, domain = two_domains()
    cases = {
        "constant": np.ones_like(X),
        "one constant feature": X * [1.0, 0.0, 1.0],
        "dependent features": X[:, :1] * np.ones(3),
        "few different samples": np.round(X / 3),
        "far apart": X + 1e6 * (domain == "target")[:, None],
        "tiny": X * 1e-150,
        "huge": X * 1e150,
    }
    for name, features in cases.items():
        try:
            weights = clone(weighter).fit(features, domain=domain).weights_
        except InputError as error:
            assert name == "huge" and "StandardScaler" in str(error)
        else:
            assert np.isfinite(weights).all(), name
    single = np.r_[0, 60:64]
    weights = clone(weighter).fit(X[single], domain=domain[single]).weights_
    assert (weights == 1.0).all()
    single = np.r_[0:5, 60]
    assert np.isfinite(clone(weighter).fit(X[single], domain=domain[single]).weights_).all()
