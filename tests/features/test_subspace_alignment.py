import feature_domains
import numpy as np
import pytest
import scipy.sparse

from tests import oracles
from tl_keras.features import SubspaceAlignment, subspaces
from tl_keras.utils.errors import InputError


def axes_of(X, count):
    """Principal axes as columns, each with a positive largest entry."""
    _, vectors = np.linalg.eigh(np.cov(X.T))
    axes = vectors[:, ::-1][:, :count]
    return axes * np.sign([axis[np.abs(axis).argmax()] for axis in axes.T])


@pytest.mark.parametrize("seed", range(3))
def test_maps_are_the_papers(seed):
    Xs, Xt = feature_domains.two_domains(seed)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    Ps, Pt = axes_of(Xs, 3), axes_of(Xt, 3)
    mapped = SubspaceAlignment(3).fit_transform(X, domain=domain)
    np.testing.assert_allclose(mapped[:60], (Xs - Xs.mean(0)) @ Ps @ Ps.T @ Pt, atol=1e-10)
    np.testing.assert_allclose(mapped[60:], (Xt - Xt.mean(0)) @ Pt, atol=1e-10)


@pytest.mark.parametrize("count", [2, 4, None])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_adapt(seed, count):
    SA = oracles.adapt("feature_based._sa").SA
    Xs, Xt = feature_domains.two_domains(seed)
    peer = SA(n_components=count, verbose=0)
    expected = peer.fit_transform(Xs, Xt)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    ours = SubspaceAlignment(count).fit(X, domain=domain)
    new = np.random.default_rng(seed).normal(size=(20, 5))
    source = ours.transform(Xs, domain=["source"] * 60)
    np.testing.assert_allclose(source, expected, atol=1e-9)
    np.testing.assert_allclose(ours.transform(new), peer.transform(new, "tgt"), atol=1e-9)
    there = ours.transform(new, domain=["source"] * 20)
    np.testing.assert_allclose(there, peer.transform(new, "src"), atol=1e-9)


def test_the_map_is_the_target_s_where_nothing_has_shifted():
    Xs, _ = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xs)
    mapped = SubspaceAlignment(2).fit_transform(X, domain=domain)
    np.testing.assert_allclose(mapped[:60], mapped[60:], atol=1e-12)
    alone = SubspaceAlignment(2).fit_transform(Xs)
    np.testing.assert_allclose(alone, mapped[60:], atol=1e-12)


def test_each_source_has_a_map_of_its_own_to_the_pooled_targets():
    Xa, Xt = feature_domains.two_domains(0)
    Xb, Xu = feature_domains.two_domains(1)
    X, domain = feature_domains.stacked(a=Xa, t=Xt, b=Xb, u=Xu)
    both = SubspaceAlignment(3, target=["t", "u"]).fit(X, domain=domain)
    pooled = np.vstack([Xt, Xu])
    for name, source in (("a", Xa), ("b", Xb)):
        X, domain = feature_domains.stacked(source=source, target=pooled)
        alone = SubspaceAlignment(3).fit_transform(X, domain=domain)
        mapped = both.transform(source, domain=[name] * len(source))
        np.testing.assert_allclose(mapped, alone[: len(source)], atol=1e-10)
    np.testing.assert_allclose(both.transform(pooled), alone[len(Xb) :], atol=1e-10)


def test_sparse_samples_give_the_same_as_dense():
    random = np.random.default_rng(0)
    X = scipy.sparse.random(80, 12, density=0.3, random_state=random, format="csr")
    domain = np.repeat([0, 1], 40)
    dense = SubspaceAlignment(4, target=1).fit_transform(X.toarray(), domain=domain)
    mapped = SubspaceAlignment(4, target=1).fit_transform(X, domain=domain)
    assert isinstance(mapped, np.ndarray)
    np.testing.assert_allclose(mapped, dense, atol=1e-10)


@pytest.mark.parametrize("kind", [np.asarray, scipy.sparse.csr_matrix])
def test_few_axes_of_large_arrays_are_the_same(kind, monkeypatch):
    Xs, Xt = feature_domains.two_domains(features=40)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    expected = SubspaceAlignment(4).fit_transform(X, domain=domain)
    monkeypatch.setattr(subspaces, "LARGE", 10)
    monkeypatch.delattr(subspaces, "_decomposed")  # Only the iteration can answer.
    mapped = SubspaceAlignment(4, random_state=0).fit_transform(kind(X), domain=domain)
    np.testing.assert_allclose(mapped, expected, atol=1e-8)


def test_directions_without_variance_are_left_out():
    Xs, Xt = feature_domains.two_domains(source=60, target=4, features=8)
    Xs[:, 2] = 7.0
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    estimator = SubspaceAlignment().fit(X, domain=domain)
    assert estimator.components_.shape == (3, 8)  # Four samples span three directions.
    assert estimator.transform(Xs, domain=["source"] * 60).shape == (60, 3)
    assert estimator.get_feature_names_out().tolist() == [f"subspacealignment{i}" for i in range(3)]


def test_a_large_mean_does_not_count_as_variance():
    Xs, Xt = feature_domains.two_domains(features=3)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    expected = SubspaceAlignment().fit_transform(X, domain=domain)
    far = np.column_stack([X + 1e6, np.full(len(X), 1e6 / 3)])
    estimator = SubspaceAlignment().fit(far, domain=domain)
    assert estimator.components_.shape == (3, 4)
    mapped = estimator.transform(far, domain=domain)
    np.testing.assert_allclose(mapped, expected, atol=1e-7)


def test_a_linear_model_transfers_better():
    before, after = feature_domains.gains(SubspaceAlignment(2)).T
    assert before.mean() < 0.8  # .71 over these seeds
    assert after.min() > 0.94  # .97


def fails(text, X, domain, **settings):
    with pytest.raises(InputError, match=text):
        SubspaceAlignment(**settings).fit(X, domain=domain)


def test_bad_input_is_refused():
    Xs, Xt = feature_domains.two_domains(target=4, features=8)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    fails(
        r"n_components: expected at most 3, the number of directions in which the target varies "
        r"\(4 samples, 8 features\), got 5",
        X,
        domain,
        n_components=5,
    )
    for count in (0, -1, 1.5, True, "all"):
        fails(
            "n_components: expected a whole number, 1 or more, or None",
            X,
            domain,
            n_components=count,
        )
    one, domain = feature_domains.stacked(source=Xs[:1], target=Xt)
    fails("domain 'source' has 1 sample; two or more are needed", one, domain)
    constant, domain = feature_domains.stacked(source=np.ones((5, 8)), target=Xt)
    fails("all features of domain 'source' are constant", constant, domain)
    constant, domain = feature_domains.stacked(source=Xs, target=np.full((5, 8), 1e9 / 7))
    fails("all features of the target are constant", constant, domain)


def test_a_decomposition_that_would_not_fit_is_refused(little_memory):
    little_memory(1e3)
    Xs, Xt = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    fails("SubspaceAlignment: this needs about .* Ask for fewer components", X, domain)


def test_other_feature_counts_are_refused():
    Xs, Xt = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    with pytest.raises(ValueError, match="X has 4 features, but SubspaceAlignment is expecting 5"):
        SubspaceAlignment().fit(X, domain=domain).transform(X[:, :4])
    with pytest.raises(InputError, match="domain: 'elsewhere' was not seen in fit"):
        SubspaceAlignment().fit(X, domain=domain).transform(X[:1], domain=["elsewhere"])
