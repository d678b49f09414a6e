import feature_domains
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

from tests import oracles
from tl_keras.features import LinearMMDFeatureSelection
from tl_keras.features.weighted_discrepancy import (
    kernel_scores,
    largest_gap,
    polynomial_discrepancy,
    rbf_discrepancy,
)
from tl_keras.utils.errors import InputError


def discrepancy(Xs, Xt, kernel):
    """The biased estimate of MMD², pair by pair."""
    mean = lambda A, B: np.mean([[kernel(a, b) for b in B] for a in A])  # noqa: E731
    return mean(Xs, Xs) + mean(Xt, Xt) - 2 * mean(Xs, Xt)


def signs_of(*counts):
    """Weights of the samples of one source and the target."""
    return np.concatenate([np.full(counts[0], 1 / counts[0]), np.full(counts[1], -1 / counts[1])])


def small(seed=0):
    Xs, Xt = feature_domains.two_domains(seed, 12, 9, features=4)
    return Xs, Xt, np.vstack([Xs, Xt]), signs_of(12, 9)[:, None]


@pytest.mark.parametrize("seed", range(3))
def test_linear_scores_are_the_closed_form(seed):
    Xs, Xt = feature_domains.two_domains(seed)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    squared = (Xs.mean(0) - Xt.mean(0)) ** 2
    scores = LinearMMDFeatureSelection().fit(X, domain=domain).scores_
    np.testing.assert_allclose(scores, squared / np.linalg.norm(squared), atol=1e-12)
    # No other unit weights have a larger discrepancy under k(x, x′) = Σ w x x′.
    random = np.random.default_rng(seed)
    for _ in range(3):
        other = np.abs(random.normal(size=5))
        other /= np.linalg.norm(other)
        ours, theirs = (discrepancy(Xs, Xt, lambda a, b, w=w: (w * a) @ b) for w in (scores, other))
        assert ours >= theirs


def test_discrepancies_are_the_definition_and_slopes_their_derivatives():
    Xs, Xt, Z, signs = small()
    weights = np.array([0.3, 0.0, 0.7, 0.5])
    cases = [
        (
            polynomial_discrepancy(Z, signs, 0.4, 3, 0.5),
            lambda a, b: (0.4 * (weights * a) @ b + 0.5) ** 3,
        ),
        (
            rbf_discrepancy(Z, signs, 0.4),
            lambda a, b: np.exp(-0.4 * (weights * (a - b) ** 2).sum()),
        ),
    ]
    for objective, kernel in cases:
        value, slope = objective(weights)
        assert value == pytest.approx(discrepancy(Xs, Xt, kernel), rel=1e-9)
        expected = scipy.optimize.approx_fprime(weights, lambda w, f=objective: f(w)[0], 1e-7)
        np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_squared_inner_products_have_the_perron_vector(seed):
    """MMD² is wᵀ A w then, with A the squared differences of second moments: its first vector."""
    Xs, Xt, Z, signs = small(seed)
    A = (Xs.T @ Xs / len(Xs) - Xt.T @ Xt / len(Xt)) ** 2
    expected = np.abs(np.linalg.eigh(A)[1][:, -1])
    scores = kernel_scores(polynomial_discrepancy(Z, signs, 1.0, 2, 0.0), [np.ones(4)])
    np.testing.assert_allclose(scores, expected, atol=2e-4)


@pytest.mark.parametrize("kernel", ["polynomial", "rbf"])
@pytest.mark.parametrize("seed", range(3))
def test_kernel_scores_beat_random_weights(seed, kernel):
    Xs, Xt, Z, signs = small(seed)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    selection = LinearMMDFeatureSelection(kernel, gamma=0.3).fit(X, domain=domain)
    objective = (
        rbf_discrepancy(Z, signs, 0.3)
        if kernel == "rbf"
        else polynomial_discrepancy(Z, signs, 0.3, 2, 1.0)
    )
    assert np.linalg.norm(selection.scores_) == pytest.approx(1.0)
    assert selection.scores_.min() >= 0
    best = objective(selection.scores_)[0]
    random = np.random.default_rng(seed)
    for _ in range(300):
        other = np.abs(random.normal(size=4))
        assert objective(other / np.linalg.norm(other))[0] <= best * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_objective_is_at_least_adapt_s(seed):
    """ADAPT minimises this objective of its own."""
    module = oracles.adapt("feature_based._fmmd")
    Xs, Xt = feature_domains.two_domains(seed)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    settings = {"linear": {}, "polynomial": {"gamma": 1.0, "degree": 2, "coef0": 1.0}}
    for kernel, ours in settings.items():
        peer_kernel = {"polynomial": "poly"}.get(kernel, kernel)
        objective = module._get_optim_function(Xs, Xt, peer_kernel)
        selection = LinearMMDFeatureSelection(kernel, **ours).fit(X, domain=domain)
        value = float(objective(selection.scores_)[0])
        linear = LinearMMDFeatureSelection().fit(X, domain=domain).scores_
        for other in (np.full(5, 5**-0.5), linear):
            assert value <= float(objective(other)[0]) + 1e-9 * abs(value)


@pytest.mark.parametrize("seed", range(3))
def test_selection_agrees_with_adapt(seed):
    pytest.importorskip("cvxopt", reason="pip install cvxopt==1.3.3")
    module = oracles.adapt("feature_based._fmmd")
    Xs, Xt = feature_domains.two_domains(seed)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    peer = module.fMMD(verbose=0)
    expected = peer.fit_transform(Xs, Xt)
    selection = LinearMMDFeatureSelection().fit(X, domain=domain)
    objective = module._get_optim_function(Xs, Xt)
    ours, theirs = (
        float(objective(scores / np.linalg.norm(scores))[0])
        for scores in (selection.scores_, peer.features_scores_)
    )
    assert ours <= theirs + 1e-9 * abs(theirs)
    np.testing.assert_allclose(selection.scores_, peer.features_scores_, atol=1e-3)
    np.testing.assert_array_equal(selection.transform(Xs), expected)


@pytest.mark.parametrize("kernel", ["linear", "polynomial", "rbf"])
def test_features_that_differ_are_dropped(kernel):
    for seed in range(5):
        random = np.random.default_rng(seed)
        X = random.normal(size=(120, 8))
        X[60:, [2, 5]] += 3.0
        selection = LinearMMDFeatureSelection(kernel, target=1)
        selection.fit(X, domain=[0] * 60 + [1] * 60)
        assert np.flatnonzero(~selection.get_support()).tolist() == [2, 5]
        assert selection.transform(X).shape == (120, 6)
        assert selection.inverse_transform(selection.transform(X)).shape == X.shape


def test_gaussian_kernel_does_not_depend_on_the_origin():
    Xs, Xt = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    near, far = (
        LinearMMDFeatureSelection("rbf").fit(X + offset, domain=domain).scores_
        for offset in (0.0, 1e7)
    )
    np.testing.assert_allclose(near, far, atol=1e-4)


def test_opposite_shifts_of_two_sources_do_not_cancel():
    random = np.random.default_rng(0)
    a, b, t = (random.normal(size=(200, 4)) for _ in range(3))
    a[:, 0] += 2.0
    b[:, 0] -= 2.0
    X, domain = feature_domains.stacked(a=a, b=b, target=t)
    for kernel in ("linear", "polynomial", "rbf"):
        selection = LinearMMDFeatureSelection(kernel, max_samples=100, random_state=0)
        selection.fit(X, domain=domain)
        assert selection.get_support().tolist() == [False, True, True, True]
    # Pooled, the targets' means lie between the sources': nothing has shifted then.
    X, domain = feature_domains.stacked(source=t, u=a, v=b)
    pooled = LinearMMDFeatureSelection(target=["u", "v"]).fit(X, domain=domain).scores_
    squared = (t.mean(0) - np.vstack([a, b]).mean(0)) ** 2
    np.testing.assert_allclose(pooled, squared / np.linalg.norm(squared), atol=1e-12)


@pytest.mark.parametrize("kernel", ["linear", "polynomial", "rbf"])
def test_all_features_stay_where_nothing_has_shifted(kernel):
    Xs, _ = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xs)
    for selection in (
        LinearMMDFeatureSelection(kernel).fit(X, domain=domain),
        LinearMMDFeatureSelection(kernel).fit(Xs),
    ):
        assert selection.get_support().all()
        assert not selection.scores_.any()


def test_threshold_and_largest_gap():
    Xs, Xt = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    scores = LinearMMDFeatureSelection().fit(X, domain=domain).scores_
    middle = np.sort(scores)[2]
    selection = LinearMMDFeatureSelection(threshold=middle).fit(X, domain=domain)
    assert selection.get_support().sum() == 3
    assert selection.threshold_ == middle
    assert largest_gap(np.array([0.1, 0.9, 0.2, 0.95])) == 0.2
    assert largest_gap(np.array([0.5, 0.5])) == 0.5
    assert largest_gap(np.array([1.0])) == 1.0


@pytest.mark.parametrize("kernel", ["linear", "polynomial", "rbf"])
def test_sparse_samples_give_the_same_and_stay_sparse(kernel):
    X = scipy.sparse.random(80, 12, density=0.3, random_state=0, format="csr")
    domain = np.repeat([0, 1], 40)
    selection = LinearMMDFeatureSelection(kernel, target=1)
    dense = selection.fit_transform(X.toarray(), domain=domain)
    mapped = selection.fit_transform(X, domain=domain)
    assert scipy.sparse.issparse(mapped)
    np.testing.assert_array_equal(mapped.toarray(), dense)


def fails(text, X, domain, **settings):
    with pytest.raises(InputError, match=text):
        LinearMMDFeatureSelection(**settings).fit(X, domain=domain)


def test_bad_input_is_refused(little_memory):
    Xs, Xt = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    fails("kernel: expected one of linear, polynomial, rbf, got 'poly'", X, domain, kernel="poly")
    for threshold in (-0.1, "median", None, np.nan):
        fails("threshold: expected a number, 0 or more, or 'auto'", X, domain, threshold=threshold)
    fails("gamma: expected a number above 0 or None, got 0", X, domain, gamma=0)
    fails("degree: expected a whole number, 1 or more, got 1.5", X, domain, degree=1.5)
    fails("coef0: expected a number, 0 or more, got -1", X, domain, coef0=-1)
    fails(
        "max_samples: expected a whole number, 1 or more, or None, got 0", X, domain, max_samples=0
    )
    fails(
        "threshold: no feature has a score of 0 or less; the smallest is .* Raise the threshold",
        X,
        domain,
        threshold=0.0,
    )
    little_memory(1e4)
    fails("needs about .* Give a smaller max_samples", X, domain, kernel="rbf")
