import functools
import pickle

import numpy as np
import pytest
import scipy.sparse
from shifted import shifted
from sklearn.base import clone
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, StandardScaler

from tl_keras import InputError
from tl_keras.arrays import LabelledOnly
from tl_keras.divergences import (
    coral_distance,
    frechet_distance,
    maximum_mean_discrepancy,
    proxy_a_distance,
)
from tl_keras.validation import DomainSplit, cross_validate, divergence_score, fit_search

NAMES = {
    "mmd": functools.partial(maximum_mean_discrepancy, random_state=0),
    "coral": coral_distance,
    "proxy_a": functools.partial(proxy_a_distance, random_state=0),
    "frechet": frechet_distance,
}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_minus_the_divergence_of_the_mapped_samples(name):
    X, y, domain, _ = shifted(move=0.5)
    scaler = StandardScaler().fit(X)
    value = divergence_score(name, normalize=False)(scaler, X, y, domain=domain)
    mapped = scaler.transform(X)
    expected = -NAMES[name](mapped[domain == "source"], mapped[domain == "target"])
    assert value == pytest.approx(expected, rel=1e-12)
    assert value < 0
    own = divergence_score(NAMES[name], normalize=False)
    assert own(scaler, X, y, domain=domain) == value


@pytest.mark.parametrize("name", NAMES)
def test_a_map_gains_nothing_by_shrinking(name):
    X, y, domain, _ = shifted(move=0.5)
    whole, small = (
        FunctionTransformer(functools.partial(np.multiply, factor)).fit(X) for factor in (1.0, 1e-3)
    )
    scorer = divergence_score(name)
    assert scorer(small, X, y, domain=domain) == pytest.approx(
        scorer(whole, X, y, domain=domain), rel=1e-9
    )
    if name in ("coral", "frechet"):
        plain = divergence_score(name, normalize=False)
        assert plain(small, X, y, domain=domain) > 0.01 * plain(whole, X, y, domain=domain)
        factor = 1 / np.sqrt(X.var(axis=0).mean())
        scaled = -NAMES[name](factor * X[domain == "source"], factor * X[domain == "target"])
        assert scorer(whole, X, y, domain=domain) == pytest.approx(scaled, rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_scale_keeps_its_digits_far_from_the_origin(dtype):
    X, y, domain, _ = shifted(move=0.5)
    near = np.round(X * 2**10) / 2**10  # Exact in single precision also where 2¹² is added.
    far = (near + 2.0**12).astype(dtype)
    same = FunctionTransformer().fit(near)
    expected = divergence_score("frechet")(same, near, y, domain=domain)
    value = divergence_score("frechet")(same, far, y, domain=domain)
    assert value == pytest.approx(expected, rel=1e-4 if dtype == np.float64 else 1e-2)
    if dtype == np.float64:
        value = divergence_score("frechet")(same, near + 2.0**32, y, domain=domain)
        assert value == pytest.approx(expected, rel=1e-2)


def test_of_a_pipeline_the_steps_before_the_learner_count():
    X, y, domain, _ = shifted()
    scaler = StandardScaler().fit(X)
    expected = divergence_score()(scaler, X, domain=domain)
    learner = LogisticRegression()
    model = make_pipeline(StandardScaler(), learner).fit(X, np.zeros(120, int) + (X[:, 0] > 0))
    assert divergence_score()(model, X, y, domain=domain) == expected
    both = make_pipeline(StandardScaler()).fit(X)
    assert divergence_score()(both, X, y, domain=domain) == expected


def test_sparse_features_and_several_domains():
    X, y, domain, _ = shifted(sources=("a", "b"), targets=("c", "d"))
    X = np.abs(X)
    dense = MaxAbsScaler().fit(X)
    sparse = MaxAbsScaler().fit(scipy.sparse.csr_matrix(X))
    for name in ("mmd", "coral", "frechet"):
        scorer = divergence_score(name, target=["c", "d"])
        expected = scorer(dense, X, y, domain=domain)
        value = scorer(sparse, scipy.sparse.csr_matrix(X), y, domain=domain)
        assert value == pytest.approx(expected, rel=1e-6)


def test_a_search_finds_the_map_that_drops_the_moved_axis():
    X, y, domain, _ = shifted(move=6.0)
    X[:, 0] *= 2
    model = make_pipeline(VarianceThreshold(), LabelledOnly(LogisticRegression()))
    variance = X.var(axis=0)
    assert variance[1] > variance[0]
    steps = {"variancethreshold": [VarianceThreshold(), _First()]}
    search = GridSearchCV(
        model, steps, scoring=divergence_score(), cv=DomainSplit(3, random_state=0)
    )
    fit_search(search, X, y, domain=domain)
    assert isinstance(search.best_params_["variancethreshold"], _First)
    results = cross_validate(
        model,
        X,
        y,
        domain=domain,
        scoring={name: divergence_score(name) for name in NAMES},
        cv=DomainSplit(2, random_state=0),
    )
    assert all((results[f"test_{name}"] < 0).all() for name in NAMES)


class _First(FunctionTransformer):
    def __init__(self):
        super().__init__(lambda X: X[:, :1])

    def get_params(self, deep=True):
        return {}


def test_copies_give_the_same():
    X, y, domain, _ = shifted()
    scaler, scorer = StandardScaler().fit(X), divergence_score("proxy_a")
    expected = scorer(scaler, X, y, domain=domain)
    for copy in (clone(scorer), pickle.loads(pickle.dumps(scorer))):
        assert copy(scaler, X, y, domain=domain) == expected


def test_errors():
    X, y, domain, _ = shifted()
    scaler, learner = StandardScaler().fit(X), LogisticRegression().fit(X[:60], y[:60])
    with pytest.raises(InputError, match=r"divergence: expected one of mmd, .* got 'kl'"):
        divergence_score("kl")(scaler, X, y, domain=domain)
    with pytest.raises(InputError, match="estimator: LogisticRegression does not map features"):
        divergence_score()(learner, X, y, domain=domain)
    constant = FunctionTransformer(np.ones_like).fit(X)
    with pytest.raises(InputError, match="estimator: it maps all samples to one point"):
        divergence_score()(constant, X, y, domain=domain)
    with pytest.raises(InputError, match="domain: DivergenceScore needs the domain"):
        divergence_score()(scaler, X, y)
