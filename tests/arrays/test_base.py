import pickle

import numpy as np
import pytest
import scipy.sparse
import sklearn
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from tl_keras import InputError
from tl_keras.arrays import DegenerateWeights, DomainTransformer, DomainWeighter

X = np.arange(12.0).reshape(6, 2)
DOMAIN = np.array(["a", "b", "a", "t", "t", "b"])


class Nearness(DomainWeighter):
    """Weights a source sample by its nearness to the target's mean."""

    _sparse = True

    def __init__(self, target="target", power=1.0):
        self.target = target
        self.power = power

    def _estimate(self, source, target):
        centre = np.asarray(target.mean(axis=0)).ravel()
        source = source.toarray() if scipy.sparse.issparse(source) else source
        with np.errstate(over="ignore"):
            return 1 / (1 + np.abs(source - centre).sum(axis=1)) ** self.power


class Centred(DomainTransformer):
    """Subtracts each domain's mean; may answer in sparse form."""

    _sparse = True

    def __init__(self, target="target", sparse=False):
        self.target = target
        self.sparse = sparse

    def _fit(self, X, y, domains):
        self.y_ = y
        names = dict.fromkeys((*domains.sources, *domains.targets))
        self.means_ = {n: np.asarray(X[domains.of(n)].mean(axis=0)).ravel() for n in names}

    def _map(self, X, domain):
        X = X.toarray() if scipy.sparse.issparse(X) else X
        # One domain answers in single precision.
        mapped = (X - self.means_[domain]).astype(np.float32 if domain == "a" else np.float64)
        return scipy.sparse.csr_matrix(mapped) if self.sparse else mapped


class Still(Centred):
    """Leaves the target as it is, and maps the sources."""

    def _map(self, X, domain):
        return X if domain in self.targets_ else super()._map(X, domain)


class OwnTargets(Centred):
    _one_map_per_target = True


def centred(X, domain):
    return np.array([x - X[domain == name].mean(axis=0) for x, name in zip(X, domain, strict=True)])


def test_weights_have_mean_one_over_the_sources_and_are_one_on_the_target():
    model = Nearness("t").fit(X, domain=DOMAIN)
    source = DOMAIN != "t"
    expected = 1 / (1 + np.abs(X[source] - X[~source].mean(0)).sum(1))
    assert model.weights_[source] == pytest.approx(expected / expected.mean())
    assert (model.weights_[~source] == 1).all()
    w = model.weights_[source]
    assert model.effective_sample_size_ == pytest.approx(w.sum() ** 2 / np.sum(w**2))
    assert model.n_features_in_ == 2


def test_sparse_weighting():
    dense = Nearness("t").fit(X, domain=DOMAIN)
    sparse = Nearness("t").fit(scipy.sparse.coo_matrix(X), domain=DOMAIN)
    assert sparse.weights_ == pytest.approx(dense.weights_)


def test_degenerate_weights_are_reported_where_fit_was_called():
    with pytest.warns(DegenerateWeights, match="Nearness: the effective sample size") as caught:
        Nearness("t", power=60).fit(X**2, domain=DOMAIN)
    assert caught[0].filename == __file__
    with pytest.warns(DegenerateWeights, match="all 4 source weights are zero"):
        model = Nearness("t", power=1e6).fit(X * 1e3, domain=DOMAIN)
    assert (model.weights_ == 1).all()


def test_each_domain_takes_its_own_map():
    model = Centred("t").fit(X, domain=DOMAIN)
    assert model.sources_ == ("a", "b")
    assert model.targets_ == ("t",)
    mapped = model.transform(X, domain=DOMAIN)
    assert mapped == pytest.approx(centred(X, DOMAIN))
    assert mapped.dtype == np.float64
    both = Centred("t").fit_transform(X, domain=DOMAIN)
    assert np.array_equal(both, mapped)


def test_single_precision_does_not_spread_to_other_domains():
    exact = X + 1e-9 * np.arange(6)[:, None]
    mapped = Centred("t").fit_transform(exact, domain=DOMAIN)
    others = DOMAIN != "a"
    assert np.abs(mapped - centred(exact, DOMAIN))[others].max() < 1e-14


def test_without_a_domain_samples_are_of_the_target():
    model = Centred("t").fit(X, domain=DOMAIN)
    assert model.transform(X) == pytest.approx(X - X[DOMAIN == "t"].mean(axis=0))
    assert model.transform(X[:1], domain=["b"]) == pytest.approx(X[:1] - model.means_["b"])


def test_sparse_maps_keep_the_order_of_the_samples():
    model = Centred("t", sparse=True).fit(scipy.sparse.csr_matrix(X), domain=DOMAIN)
    mapped = model.transform(X, domain=DOMAIN)
    assert scipy.sparse.issparse(mapped)
    assert mapped.format == "csr"
    assert mapped.toarray() == pytest.approx(centred(X, DOMAIN))
    assert scipy.sparse.issparse(model.transform(X))


@pytest.mark.parametrize("form", [np.array, scipy.sparse.csr_matrix])
def test_what_stays_as_it_is_is_a_copy(form):
    samples = form(X)
    model = Still("t").fit(samples, domain=DOMAIN)
    for mapped in (
        model.transform(samples),
        model.transform(samples, domain=["t"] * 6),
        Still("t").fit_transform(samples),
    ):
        values, given = (x.data if scipy.sparse.issparse(x) else x for x in (mapped, samples))
        assert np.array_equal(values, given) and not np.shares_memory(values, given)


def test_several_targets():
    model = Centred(["t", "b"]).fit(X, domain=DOMAIN)
    assert model.targets_ == ("b", "t")
    assert model.transform(X) == pytest.approx(X - X[DOMAIN == "b"].mean(axis=0))
    own = OwnTargets(["t", "b"]).fit(X, domain=DOMAIN)
    with pytest.raises(InputError, match=r"domain: OwnTargets has a map for each .*\['b', 't'\]"):
        own.transform(X)
    assert own.transform(X, domain=DOMAIN) == pytest.approx(centred(X, DOMAIN))
    assert OwnTargets("t").fit(X, domain=DOMAIN).transform(X).shape == (6, 2)


@pytest.mark.parametrize("kind", [np.int64, object, np.float64])
def test_numbers_as_labels(kind):
    domain = np.array([0, 1, 0, 2, 2, 1]).astype(kind)
    model = Centred(2).fit(X, domain=domain)
    assert model.transform(X, domain=domain) == pytest.approx(centred(X, domain))
    assert model.transform(X, domain=domain.tolist()) == pytest.approx(centred(X, domain))


def test_labels_reach_the_method():
    assert Centred("t").fit(X, [0, 1, 0, -1, -1, 1], domain=DOMAIN).y_.tolist()[-1] == 1
    assert Centred("t").fit(X, domain=DOMAIN).y_ is None
    words = ["no", "yes", "no", -1, None, "yes"]
    assert Centred("t").fit(X, words, domain=DOMAIN).y_.tolist() == words
    with pytest.raises(InputError, match=r"y: expected one label per sample of X, 6 .* got .*\(2,"):
        Centred("t").fit(X, [0, 1], domain=DOMAIN)


@pytest.mark.parametrize("kind", [Centred, Nearness])
@pytest.mark.parametrize(
    ("samples", "domain", "text"),
    [
        (X, DOMAIN[:3], r"domain: expected one label per sample, .*\(6,\), got shape \(3,\)"),
        (X, ["a"] * 6, "target: no sample belongs to domain 't'"),
        (X, ["t"] * 6, "domain: all samples belong to target domains"),
        (np.where(X == 3, np.nan, X), DOMAIN, "contains NaN"),
        (np.where(X == 3, np.inf, X), DOMAIN, "contains infinity"),
        (X[0], DOMAIN, "Expected 2D array"),
        (X[:0], DOMAIN[:0], "minimum of 1 is required"),
    ],
)
def test_bad_input_of_fit(kind, samples, domain, text):
    with pytest.raises(ValueError, match=text):
        kind("t").fit(samples, domain=domain)


def test_bad_input_of_transform():
    model = Centred("t").fit(X, domain=DOMAIN)
    with pytest.raises(InputError, match=r"domain: 'z' was not seen in fit, .*\['a', 'b', 't'\]"):
        model.transform(X, domain=["a"] * 5 + ["z"])
    with pytest.raises(InputError, match="domain: expected one label per sample"):
        model.transform(X, domain=["a"])
    with pytest.raises(InputError, match="domain: expected a label for every sample, got None"):
        model.transform(X, domain=["a"] * 5 + [None])
    with pytest.raises(ValueError, match="X has 3 features, but Centred is expecting 2"):
        model.transform(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="is not fitted yet"):
        Centred("t").transform(X)


@pytest.mark.parametrize("kind", [Centred, Nearness])
def test_copies(kind):
    model = kind("t").fit(X, domain=DOMAIN)
    for copy in (clone(model).fit(X, domain=DOMAIN), pickle.loads(pickle.dumps(model))):
        if kind is Nearness:
            assert np.array_equal(copy.weights_, model.weights_)
        else:
            assert np.array_equal(
                copy.transform(X, domain=DOMAIN), model.transform(X, domain=DOMAIN)
            )


def test_domain_is_routed_without_a_request():
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(Centred("t"), Centred("t")).fit(X, domain=DOMAIN)
        mapped = model.transform(X, domain=DOMAIN)
    assert mapped == pytest.approx(centred(X, DOMAIN))
    with sklearn.config_context(enable_metadata_routing=False):
        model = make_pipeline(Centred("t")).fit(X, centred__domain=DOMAIN)
    assert model.transform(X) == pytest.approx(X - X[DOMAIN == "t"].mean(axis=0))


@pytest.mark.parametrize("kind", [Centred, Nearness])
def test_scikit_learns_checks(kind):
    check_estimator(kind())
