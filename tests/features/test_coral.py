import feature_domains
import numpy as np
import pytest
import scipy.linalg
from sklearn.covariance import LedoitWolf

from tests import oracles
from tl_keras.features import CORAL
from tl_keras.utils.errors import InputError


def whitened_and_coloured(Xs, Xt, ridge):
    identity = np.eye(Xs.shape[1])
    Cs, Ct = np.cov(Xs.T) + ridge * identity, np.cov(Xt.T) + ridge * identity
    return scipy.linalg.inv(scipy.linalg.sqrtm(Cs)) @ scipy.linalg.sqrtm(Ct)


@pytest.mark.parametrize("ridge", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_map_is_the_papers(seed, ridge):
    Xs, Xt = feature_domains.two_domains(seed)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    matrix = whitened_and_coloured(Xs, Xt, ridge)
    mapped = CORAL(ridge, align_means=False).fit_transform(X, domain=domain)
    np.testing.assert_allclose(mapped[:60], Xs @ matrix, atol=1e-9)
    mapped = CORAL(ridge, align_means=True).fit_transform(X, domain=domain)
    np.testing.assert_allclose(mapped[:60], (Xs - Xs.mean(0)) @ matrix + Xt.mean(0), atol=1e-9)
    np.testing.assert_array_equal(mapped[60:], Xt)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_adapt(seed):
    module = oracles.adapt("feature_based._coral")
    Xs, Xt = feature_domains.two_domains(seed)
    peer = module.CORAL(lambda_=1e-5, verbose=0)
    expected = peer.fit_transform(Xs, Xt)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    ours = CORAL(1e-5, align_means=False).fit(X, domain=domain)
    mapped = ours.transform(X, domain=domain)
    np.testing.assert_allclose(mapped[:60], expected, atol=1e-9)
    new = np.random.default_rng(seed).normal(size=(20, 5))
    there = ours.transform(new, domain=["source"] * 20)
    np.testing.assert_allclose(there, peer.transform(new, "src"), atol=1e-9)


def test_automatic_shrinkage_is_ledoit_and_wolf_s():
    Xs, Xt = feature_domains.two_domains(source=12, target=9)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    Cs, Ct = (LedoitWolf().fit(part).covariance_ for part in (Xs, Xt))
    matrix = scipy.linalg.inv(scipy.linalg.sqrtm(Cs)) @ scipy.linalg.sqrtm(Ct)
    mapped = CORAL("auto", align_means=False).fit_transform(X, domain=domain)
    np.testing.assert_allclose(mapped[:12], Xs @ matrix, atol=1e-9)


def test_source_gets_the_moments_of_the_target():
    Xs, Xt = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    mapped = CORAL(0.0, align_means=True).fit_transform(X, domain=domain)[:60]
    np.testing.assert_allclose(np.cov(mapped.T), np.cov(Xt.T), atol=1e-10)
    np.testing.assert_allclose(mapped.mean(0), Xt.mean(0), atol=1e-10)


def test_more_features_than_samples_need_no_large_matrix():
    Xs, Xt = feature_domains.two_domains(source=6, target=5, features=30)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    for align in (True, False):
        estimator = CORAL(0.1, align_means=align).fit(X, domain=domain)
        assert not estimator._matrices
        base, away = (Xs.mean(0), Xt.mean(0)) if align else (0.0, 0.0)
        new = np.random.default_rng(0).normal(size=(4, 30))
        expected = (new - base) @ whitened_and_coloured(Xs, Xt, 0.1) + away
        mapped = estimator.transform(new, domain=["source"] * 4)
        np.testing.assert_allclose(mapped, expected, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 1.0, "auto"])
def test_the_map_is_the_identity_where_nothing_has_shifted(ridge):
    Xs, _ = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xs)
    mapped = CORAL(ridge).fit_transform(X, domain=domain)
    np.testing.assert_allclose(mapped[:60], Xs, atol=1e-10)
    np.testing.assert_array_equal(CORAL(ridge).fit_transform(Xs), Xs)


def test_each_source_has_a_map_of_its_own_to_the_pooled_targets():
    Xa, Xt = feature_domains.two_domains(0)
    Xb, Xu = feature_domains.two_domains(1)
    X, domain = feature_domains.stacked(a=Xa, t=Xt, b=Xb, u=Xu)
    mapped = CORAL(0.0, target=("t", "u")).fit_transform(X, domain=domain)
    pooled = np.vstack([Xt, Xu])
    for name in ("a", "b"):
        part = mapped[domain == name]
        np.testing.assert_allclose(np.cov(part.T), np.cov(pooled.T), atol=1e-10)
    np.testing.assert_array_equal(mapped[np.isin(domain, ["t", "u"])], pooled)


def test_target_samples_come_back_as_a_copy():
    Xs, Xt = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    mapped = CORAL().fit(X, domain=domain).transform(Xt)
    np.testing.assert_array_equal(mapped, Xt)
    assert not np.shares_memory(mapped, Xt)


def test_a_constant_feature_of_the_source_stays_finite():
    Xs, Xt = feature_domains.two_domains()
    Xs[:, 1] = 3.0
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    for ridge in (1e-5, 1.0, "auto"):
        mapped = CORAL(ridge, align_means=True).fit_transform(X, domain=domain)[:60]
        np.testing.assert_allclose(mapped.mean(0), Xt.mean(0), atol=1e-8)
        assert np.abs(mapped).max() < 3 * np.abs(Xt).max()


def test_single_precision_stays_single():
    Xs, Xt = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    mapped = CORAL().fit_transform(X.astype(np.float32), domain=domain)
    assert mapped.dtype == np.float32
    np.testing.assert_allclose(mapped, CORAL().fit_transform(X, domain=domain), atol=1e-4)


def test_a_linear_model_transfers_better():
    before, after = feature_domains.gains(CORAL(align_means=True)).T
    assert before.mean() < 0.8  # .71 over these seeds
    assert after.min() > 0.97  # .99


def fails(text, X, domain, **settings):
    with pytest.raises(InputError, match=text):
        CORAL(**settings).fit(X, domain=domain)


def test_bad_input_is_refused():
    Xs, Xt = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    for ridge in (-1.0, np.nan, np.inf, "large", None, True):
        fails("ridge: expected a number, 0 or more, or 'auto', got", X, domain, ridge=ridge)
    few, where = feature_domains.stacked(source=Xs[:3], target=Xt)
    fails(
        r"ridge: the covariance of domain 'source' is singular \(it varies in 2 of 5 directions\) "
        r"and cannot be inverted with ridge=0.0. Give a number above 0.",
        few,
        where,
        ridge=0.0,
    )
    one, where = feature_domains.stacked(source=Xs, target=Xt[:1])
    fails("CORAL: the target has 1 sample; two or more are needed", one, where)
    constant, where = feature_domains.stacked(source=Xs, target=np.ones((4, 5)))
    fails("CORAL: all features of the target are constant", constant, where)
    fails("target: no sample belongs to domain 'new'", X, domain, target="new")


def test_shrinkage_of_all_variance_is_no_division_by_zero():
    # Ledoit and Wolf shrink variances that are equal in all directions to one number.
    random = np.random.default_rng(0)
    X = np.linalg.qr(random.normal(size=(40, 4)))[0] * np.sqrt(40)
    domain = np.repeat(["source", "target"], 20)
    X[20:] = np.linalg.qr(random.normal(size=(20, 4)) - 0.0)[0]
    aligned = CORAL(ridge="auto").fit_transform(X, domain=domain)
    assert np.isfinite(aligned).all()
