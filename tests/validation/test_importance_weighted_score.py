import numpy as np
import pytest
import sklearn
from shifted import shifted
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import make_scorer, max_error
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests import oracles
from tl_keras import InputError
from tl_keras.arrays import DegenerateWeights, DomainTransformer, DomainWeighter, LabelledOnly
from tl_keras.validation import cross_validate, importance_weighted_score


class DensityRatio(DomainWeighter):
    """The ratio of two kernel density estimates."""

    def __init__(self, target="target"):
        self.target = target

    def _estimate(self, source, target):
        logs = [KernelDensity().fit(X).score_samples(source) for X in (target, source)]
        return np.exp(logs[0] - logs[1])


class Scaled(DomainTransformer):
    """Scales each domain by a factor of its own."""

    def __init__(self, target="target", source_factor=1.0):
        self.target = target
        self.source_factor = source_factor

    def _fit(self, X, y, domains):
        self.fitted_ = True

    def _map(self, X, domain):
        return X * (self.source_factor if domain in self.sources_ else 1.0)


def normal(x, mean):
    return np.exp(-((x - mean) ** 2) / 2)


class TrueRatio(DomainWeighter):
    """The ratio of the densities that `covariate_shift` draws from."""

    def __init__(self, target="target"):
        self.target = target

    def _estimate(self, source, target):
        return normal(source[:, 0], 1.0) / normal(source[:, 0], 0.0)


def covariate_shift(seed, n=3000):
    """Labels depend on x alike, |x| < 1; a threshold fails on the source where few targets are."""
    random = np.random.default_rng(seed)
    X = np.concatenate([random.normal(0, 1, n), random.normal(1, 1, n)])[:, None]
    truth = (X[:, 0] > 0).astype(int)
    truth[X[:, 0] < -0.5] = 1
    return X, truth, np.repeat(["source", "target"], n)


def test_it_estimates_the_score_on_the_target():
    for seed in range(4):
        X, truth, domain = covariate_shift(seed)
        model = LogisticRegression().fit(X[:, :1], X[:, 0] > 0)  # errs below −0.5 only
        model.classes_ = np.array([0, 1])
        y = np.where(domain == "source", truth, -1)
        real = np.mean(model.predict(X[domain == "target"]) == truth[domain == "target"])
        plain = np.mean(model.predict(X[domain == "source"]) == truth[domain == "source"])
        assert real - plain > 0.2
        for weighter in (TrueRatio(), None):
            value = importance_weighted_score(weighter=weighter)(model, X, y, domain=domain)
            # Over ten seeds it was off by 0.016 at the most.
            assert value == pytest.approx(real, abs=0.03)


def test_it_is_the_weighted_mean():
    X, y, domain, _ = shifted(move=0.5)
    model = LogisticRegression().fit(X[:60], y[:60])
    w = DensityRatio().fit(X, domain=domain).weights_[:60]
    right = model.predict(X[:60]) == y[:60]
    expected = np.sum(w * right) / np.sum(w)
    value = importance_weighted_score(weighter=DensityRatio())(model, X, y, domain=domain)
    assert value == pytest.approx(expected, rel=1e-12)
    assert value != pytest.approx(np.mean(right), abs=1e-6)
    loss = importance_weighted_score("neg_log_loss", weighter=DensityRatio())
    told = model.predict_proba(X[:60])[np.arange(60), y[:60]]
    expected = np.sum(w * np.log(told)) / np.sum(w)
    assert loss(model, X, y, domain=domain) == pytest.approx(expected, rel=1e-9)


def test_it_agrees_with_skada():
    skada = oracles.skada("metrics")
    X, y, domain, _ = shifted(move=0.5)

    class Plain(LogisticRegression):
        def score(self, X, y, sample_weight=None, sample_domain=None, allow_source=False):
            return super().score(X, y, sample_weight=sample_weight)

    model = Plain().fit(X[:60], y[:60])
    with sklearn.config_context(enable_metadata_routing=True):
        model.set_score_request(sample_weight=True)
        peer = skada.ImportanceWeightedScorer()
        expected = peer(model, X, y, sample_domain=np.where(y == -1, -2, 1))
    value = importance_weighted_score(weighter=DensityRatio())(model, X, y, domain=domain)
    assert value == pytest.approx(expected, rel=1e-9)


def test_the_space_decides_where_densities_are_compared_and_how_samples_are_mapped():
    X, y, domain, _ = shifted(move=0.5)
    model = make_pipeline(Scaled(source_factor=-2.0), LabelledOnly(LogisticRegression()))
    with sklearn.config_context(enable_metadata_routing=True):
        model.fit(X, y, domain=domain)
    learner = model[-1]
    for space, mapped in (("mapped", -2 * X[:60]), ("input", X[:60])):
        w = DensityRatio().fit(np.vstack([mapped, X[60:]]), domain=domain).weights_[:60]
        expected = np.sum(w * (learner.predict(mapped) == y[:60])) / np.sum(w)
        scorer = importance_weighted_score(weighter=DensityRatio(), space=space)
        assert scorer(model, X, y, domain=domain) == pytest.approx(expected, rel=1e-12)
    assert importance_weighted_score(space="input")(model, X, y, domain=domain) < 0.2
    assert importance_weighted_score()(model, X, y, domain=domain) > 0.9


def test_several_sources_and_targets_and_regression():
    X, y, domain, truth = shifted(sources=("a", "b"), targets=("c", "d"), move=0.3)
    model = LogisticRegression().fit(X[:120], y[:120])
    scorer = importance_weighted_score(target=["c", "d"])
    assert 0.8 < scorer(model, X, y, domain=domain) <= 1
    assert clone(scorer)(model, X, y, domain=domain) == scorer(model, X, y, domain=domain)
    linear = LinearRegression().fit(X[:120], truth[:120])
    y = np.where(y == -1, np.nan, y)
    assert 0.3 < scorer(linear, X, y, domain=domain) < 1


def test_weights_on_few_samples_are_reported():
    X, y, domain, _ = shifted(move=0.0)
    X[domain == "target"] += 30
    model = LogisticRegression().fit(X[:60], y[:60])
    with pytest.warns(DegenerateWeights, match="effective sample size"):
        importance_weighted_score(weighter=DensityRatio())(model, X, y, domain=domain)


def test_cross_validation():
    X, y, domain, _ = shifted(move=0.5)
    model = make_pipeline(StandardScaler(), LabelledOnly(LogisticRegression()))
    scores = cross_validate(model, X, y, domain=domain, scoring=importance_weighted_score())
    assert scores["test_score"].shape == (5,)
    assert np.isfinite(scores["test_score"]).all()


def test_errors():
    X, y, domain, _ = shifted()
    model = LogisticRegression().fit(X[:60], y[:60])
    with pytest.raises(InputError, match="space: expected 'mapped' or 'input', got 'latent'"):
        importance_weighted_score(space="latent")(model, X, y, domain=domain)
    with pytest.raises(InputError, match="metric: expected a score that takes sample_weight"):
        importance_weighted_score(make_scorer(max_error))(model, X, y, domain=domain)
    with pytest.raises(InputError, match="y: 60 source samples have no label"):
        importance_weighted_score()(model, X, np.full(120, -1), domain=domain)
