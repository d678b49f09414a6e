import numpy as np
import pytest
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import pairwise_kernels

from tl_keras.instances import KernelMeanMatching
from tl_keras.instances import kernel_mean_matching as module
from tl_keras.utils.errors import InputError


def shifted(seed, count=150, features=4):
    random = np.random.default_rng(seed)
    source = random.normal(size=(count, features))
    target = random.normal(size=(count // 2, features)) * 0.8 + 0.5
    return np.vstack([source, target]), np.repeat(["source", "target"], [count, count // 2])


def discrepancy(X, domain, weights, kernel="rbf", **parameters):
    """Squared maximum mean discrepancy of the weighted source, as the paper defines it."""
    source, target = X[domain == "source"], X[domain == "target"]
    w = weights[domain == "source"] / len(source)
    pairs = [(source, source), (source, target), (target, target)]
    ss, st, tt = (pairwise_kernels(a, b, metric=kernel, **parameters) for a, b in pairs)
    return w @ ss @ w - 2 * w @ st.mean(axis=1) + tt.mean()


@pytest.mark.parametrize("solver", ["exact", "nystroem"])
@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "linear", "polynomial", "cosine"])
def test_brings_the_kernel_means_together(solver, kernel):
    X, domain = shifted(0)
    model = KernelMeanMatching(kernel=kernel, gamma=0.2, solver=solver, landmarks=60)
    weights = model.set_params(random_state=0).fit(X, domain=domain).weights_
    parameters = {} if kernel in ("linear", "cosine") else {"gamma": 0.2}
    before = discrepancy(X, domain, np.ones(len(X)), kernel, **parameters)
    assert discrepancy(X, domain, weights, kernel, **parameters) < 0.3 * before
    assert weights[domain == "source"].mean() == pytest.approx(1.0)
    assert (weights[domain == "target"] == 1.0).all()


def test_exact_objective_is_what_the_paper_writes():
    X, domain = shifted(1, 40)
    model = KernelMeanMatching(gamma=0.3, bound=4.0, epsilon=0.1).fit(X, domain=domain)
    source, target = X[:40], X[40:]
    gram, linear = module.exact_kernels(source, target, "rbf", 0.3)
    found = module.match_means(gram, linear, 4.0, 0.1)
    K = np.exp(-0.3 * ((source[:, None] - source[None]) ** 2).sum(-1))
    kappa = 40 * np.exp(-0.3 * ((source[:, None] - target[None]) ** 2).sum(-1)).mean(axis=1)
    beta = found.weights
    assert model.objective_ == pytest.approx(beta @ K @ beta / 2 - kappa @ beta, rel=1e-9)
    assert (beta >= 0).all() and beta.max() <= 4.0 and abs(beta.mean() - 1) <= 0.1 + 1e-6
    np.testing.assert_allclose(model.weights_[:40], beta / beta.mean(), rtol=1e-9)
    # No step of any two weights against each other, within the bounds, lowers it.
    slope = K @ beta - kappa
    up, down = beta < 4.0 - 1e-3, beta > 1e-3
    assert slope[down].max() - slope[up].min() <= 1e-3 * np.abs(kappa).max()


@pytest.mark.parametrize("solver", ["exact", "nystroem"])
def test_without_shift_all_weights_are_one(solver):
    X, _ = shifted(2)
    model = KernelMeanMatching(gamma=2.0, solver=solver, landmarks=2000).fit(X)
    np.testing.assert_allclose(model.weights_, 1.0, atol=0.02)


def test_recovers_the_ratio_of_two_gaussians():
    for seed in range(5):
        random = np.random.default_rng(seed)
        X = np.concatenate([random.normal(size=400), random.normal(0.5, 0.7, 400)])[:, None]
        domain = np.repeat(["source", "target"], 400)
        weights = KernelMeanMatching(bound=6.0, gamma=3.0).fit(X, domain=domain).weights_[:400]
        ratio = norm.pdf(X[:400, 0], 0.5, 0.7) / norm.pdf(X[:400, 0])
        # Kernel means see the weights through the kernel's width only: compare in parts.
        order = np.array_split(np.argsort(X[:400, 0]), 8)
        parts = np.array([[weights[part].mean(), ratio[part].mean()] for part in order])
        assert np.abs(parts[:, 0] - parts[:, 1]).mean() < 0.35
        assert np.abs(1.0 - parts[:, 1]).mean() > 0.45


@pytest.mark.parametrize("seed", range(3))
def test_landmarks_at_every_sample_make_the_approximation_exact(seed):
    X, domain = shifted(seed, 80)
    exact = KernelMeanMatching(gamma=0.5, solver="exact").fit(X, domain=domain)
    low_rank = KernelMeanMatching(gamma=0.5, solver="nystroem", landmarks=1000)
    low_rank.fit(X, domain=domain)
    assert low_rank.objective_ == pytest.approx(exact.objective_, rel=2e-5)


@pytest.mark.filterwarnings("ignore::tl_keras.arrays.DegenerateWeights")
@pytest.mark.parametrize("features", [2, 32])
def test_few_landmarks_come_near_the_exact_optimum(features):
    for seed in range(3):
        X, domain = shifted(seed, 600, features)
        exact, low_rank = (
            KernelMeanMatching(solver=solver, landmarks=150, random_state=seed)
            for solver in ("exact", "nystroem")
        )
        gamma = exact.fit(X, domain=domain).gamma_
        low_rank.set_params(gamma=gamma).fit(X, domain=domain)
        before = discrepancy(X, domain, np.ones(len(X)), gamma=gamma)
        best = discrepancy(X, domain, exact.weights_, gamma=gamma)
        near = discrepancy(X, domain, low_rank.weights_, gamma=gamma)
        assert near - best < 0.03 * (before - best)


@pytest.mark.parametrize("solver", ["exact", "nystroem"])
def test_far_from_the_origin_nothing_changes(solver):
    X, domain = shifted(3)
    X = np.round(X * 2**20) / 2**20  # Exact also where 2²⁷ is added.
    model = KernelMeanMatching(solver=solver, landmarks=60, random_state=0)
    near = model.fit(X, domain=domain).weights_
    far = model.fit(X + 2.0**27, domain=domain).weights_
    np.testing.assert_allclose(far, near, atol=1e-4)


def test_solver_is_chosen_by_size(monkeypatch):
    X, domain = shifted(0, 60)
    assert KernelMeanMatching().fit(X, domain=domain).solver_ == "exact"
    monkeypatch.setattr(module, "EXACT_SAMPLES", 59)
    assert KernelMeanMatching().fit(X, domain=domain).solver_ == "nystroem"


@pytest.mark.parametrize("solver", ["exact", "nystroem"])
def test_memory_is_refused_before_it_is_taken(little_memory, solver):
    X, domain = shifted(0, 60)
    little_memory(10_000)
    with pytest.raises(InputError, match=rf"KernelMeanMatching\(solver='{solver}'\): this needs"):
        KernelMeanMatching(solver=solver).fit(X, domain=domain)


def test_few_steps_are_reported(monkeypatch):
    X, domain = shifted(0, 60)
    monkeypatch.setattr("tl_keras.instances.quadratic_program.STEPS", 2)
    with pytest.warns(ConvergenceWarning, match="did not converge in 2 steps"):
        KernelMeanMatching().fit(X, domain=domain)


@pytest.mark.parametrize("solver", ["exact", "nystroem"])
@pytest.mark.parametrize("kernel", ["rbf", "linear", "polynomial"])
def test_equal_samples_and_constant_features_do_no_harm(solver, kernel):
    X, domain = shifted(0, 60)
    X[:, 1:] = 3.0
    X[10:40] = X[9]
    weights = KernelMeanMatching(kernel=kernel, solver=solver).fit(X, domain=domain).weights_
    assert np.isfinite(weights).all() and (weights >= 0).all()
    same = KernelMeanMatching(kernel=kernel, solver=solver).fit(np.ones_like(X), domain=domain)
    np.testing.assert_allclose(same.weights_, 1.0, atol=1e-3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bound": 1.0}, "bound: expected a number above 1, the mean of the weights, got 1.0"),
        ({"bound": "10"}, "bound: expected a number above 1, the mean of the weights, got '10'"),
        ({"epsilon": "0.1"}, "epsilon: expected None or a number from 0 up, got '0.1'"),
        ({"epsilon": -0.1}, "epsilon: expected None or a number from 0 up, got -0.1"),
        ({"solver": "cvxopt"}, "solver: expected 'auto', 'exact' or 'nystroem', got 'cvxopt'"),
        ({"landmarks": 1}, "landmarks: expected a whole number of 2 or more, got 1"),
        ({"landmarks": "10"}, "landmarks: expected a whole number of 2 or more, got '10'"),
        ({"landmarks": 100.0}, "landmarks: expected a whole number of 2 or more, got 100.0"),
        ({"kernel": "rbff"}, "kernel: expected one of linear, rbf.*got 'rbff'"),
        ({"gamma": -1.0}, "gamma: expected a number above 0, 'median' or 'scale', got -1.0"),
    ],
)
def test_parameters_that_do_not_fit(parameters, message):
    X, domain = shifted(0, 20)
    with pytest.raises(InputError, match=message):
        KernelMeanMatching(**parameters).fit(X, domain=domain)


def test_the_bound_limits_the_weights():
    X, domain = shifted(0)
    for solver in ("exact", "nystroem"):
        model = KernelMeanMatching(bound=2.0, epsilon=0.0, solver=solver).fit(X, domain=domain)
        assert 1.9 < model.weights_.max() <= 2.0 + 1e-6
