import numpy as np
import pytest
from scipy.stats import norm

from tl_keras.instances import RULSIF, ULSIF
from tl_keras.instances.ulsif import Moments, held_out_errors
from tl_keras.utils.errors import InputError


def gaussians(seed, count=400, features=1):
    """Samples of N(0, 1) and N(0.5, 0.7²) in each feature, and the ratio of their densities."""
    random = np.random.default_rng(seed)
    source = random.normal(size=(count, features))
    target = random.normal(0.5, 0.7, (count, features))
    domain = np.repeat(["source", "target"], count)

    def ratio(x):
        return np.prod(norm.pdf(x, 0.5, 0.7) / norm.pdf(x), axis=1)

    return np.vstack([source, target]), domain, ratio


def kernel(a, b, gamma):
    return np.exp(-gamma * ((a[:, None] - b[None]) ** 2).sum(-1))


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_closed_form(alpha, seed):
    X, domain, _ = gaussians(seed, 50, 2)
    source, target = X[:50], X[50:]
    model = RULSIF(alpha=alpha, gamma=0.6, regularization=0.05, centers=15, random_state=seed)
    model.fit(X, domain=domain)
    phi_s, phi_t = (kernel(x, model.centers_, 0.6) for x in (source, target))
    H = alpha * phi_t.T @ phi_t / 50 + (1 - alpha) * phi_s.T @ phi_s / 50
    theta = np.maximum(np.linalg.solve(H + 0.05 * np.eye(15), phi_t.mean(axis=0)), 0.0)
    np.testing.assert_allclose(model.coefficients_, theta, rtol=1e-8)
    np.testing.assert_allclose(model.density_ratio(source), phi_s @ theta, rtol=1e-8)
    weights = phi_s @ theta
    np.testing.assert_allclose(model.weights_[:50], weights / weights.mean(), rtol=1e-8)
    assert (model.weights_[50:] == 1.0).all()


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_held_out_errors_by_a_loop(alpha):
    random = np.random.default_rng(0)
    X, domain, _ = gaussians(0, 60, 2)
    source, target = X[domain == "source"], X[domain == "target"][:45]
    fold_s, fold_t = random.permutation(np.arange(60) % 3), random.permutation(np.arange(45) % 3)
    penalties = [0.01, 0.1, 1.0]
    phi_s, phi_t = kernel(source, target[:12], 0.5), kernel(target, target[:12], 0.5)
    parts = [Moments.of(phi_s[fold_s == fold], phi_t[fold_t == fold]) for fold in range(3)]
    found = held_out_errors(parts, fold_t[:12], penalties, alpha)
    for penalty, error in zip(penalties, found, strict=True):
        total = 0.0
        for fold in range(3):
            kept = fold_t[:12] != fold
            s, t = phi_s[fold_s != fold][:, kept], phi_t[fold_t != fold][:, kept]
            H = alpha * t.T @ t / len(t) + (1 - alpha) * s.T @ s / len(s)
            theta = np.linalg.solve(H + penalty * np.eye(kept.sum()), t.mean(axis=0))
            theta = np.maximum(theta, 0.0)
            s, t = (p[f == fold][:, kept] @ theta for p, f in ((phi_s, fold_s), (phi_t, fold_t)))
            total += alpha / 2 * np.mean(t**2) + (1 - alpha) / 2 * np.mean(s**2) - np.mean(t)
        assert error == pytest.approx(total / 3, rel=1e-8)


@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5])
def test_estimates_the_ratio_of_two_gaussians(features, alpha):
    for seed in range(4):
        X, domain, ratio = gaussians(seed, features=features)
        model = RULSIF(alpha=alpha, random_state=seed).fit(X, domain=domain)

        def relative(x, ratio=ratio):
            return ratio(x) / (alpha * ratio(x) + 1 - alpha)

        source = X[domain == "source"]
        assert np.corrcoef(model.weights_[:400], relative(source))[0, 1] > 0.85
        new = np.random.default_rng(seed + 100).normal(0.0, 0.8, (400, features))
        error = np.square(model.density_ratio(new) - relative(new)).mean()
        assert error < 0.2 * np.square(relative(new)).mean()


def test_alpha_zero_is_the_plain_ratio_and_towards_one_nothing_is_weighted():
    X, domain, _ = gaussians(1, 100)
    plain = ULSIF(random_state=0).fit(X, domain=domain)
    relative = RULSIF(alpha=0.0, random_state=0).fit(X, domain=domain)
    np.testing.assert_array_equal(plain.weights_, relative.weights_)
    spreads = [
        RULSIF(alpha=alpha, random_state=0).fit(X, domain=domain).weights_.std()
        for alpha in (0.0, 0.5, 0.99)
    ]
    assert spreads[0] > spreads[1] > 5 * spreads[2]


def test_the_least_held_out_error_is_chosen():
    X, domain, _ = gaussians(2, 150)
    model = ULSIF(gamma=[0.001, 1.0, 1e4], regularization=[0.1, 1e5], random_state=0)
    model.fit(X, domain=domain)
    assert (model.gamma_, model.regularization_) == (1.0, 0.1)
    assert len(model.scores_) == 6
    assert model.scores_[1.0, 0.1] == min(model.scores_.values())
    assert ULSIF(gamma=0.3, regularization=1.0).fit(X, domain=domain).scores_ == {}


def test_centres_are_bounded_and_come_from_the_target():
    X, domain, _ = gaussians(3, 150)
    model = ULSIF(centers=20, random_state=0).fit(X, domain=domain)
    assert model.centers_.shape == (20, 1)
    assert np.isin(model.centers_, X[domain == "target"]).all()


@pytest.mark.parametrize("weighter", [ULSIF, RULSIF])
def test_no_overlap_at_all_is_reported(weighter):
    X, domain, _ = gaussians(4, 50)
    X[domain == "target"] += 1e3
    with pytest.warns(UserWarning, match="all 50 source weights are zero"):
        model = weighter(gamma=1.0, random_state=0).fit(X, domain=domain)
    assert (model.weights_ == 1.0).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": 1.0}, "alpha: expected a number from 0 up to 1, got 1.0"),
        ({"alpha": "0.1"}, "alpha: expected a number from 0 up to 1, got '0.1'"),
        ({"alpha": -0.1}, "alpha: expected a number from 0 up to 1, got -0.1"),
        ({"regularization": 0.0}, "regularization: expected 'cv', a number above 0 or a list"),
        ({"regularization": "ridge"}, "regularization: expected 'cv'.*got 'ridge'"),
        ({"regularization": []}, r"regularization: expected 'cv'.*got \[\]"),
        ({"gamma": "silverman"}, "gamma: expected 'cv', 'median', 'scale', a number above 0 or a"),
        ({"centers": 0}, "centers: expected a whole number of 1 or more, got 0"),
        ({"centers": 100.0}, "centers: expected a whole number of 1 or more, got 100.0"),
        ({"centers": "10"}, "centers: expected a whole number of 1 or more, got '10'"),
        ({"folds": 1}, "folds: expected a whole number of 2 or more, got 1"),
        ({"folds": "5"}, "folds: expected a whole number of 2 or more, got '5'"),
    ],
)
def test_parameters_that_do_not_fit(parameters, message):
    X, domain, _ = gaussians(0, 20)
    with pytest.raises(InputError, match=message):
        RULSIF(**parameters).fit(X, domain=domain)


def test_memory_is_refused_before_it_is_taken(little_memory):
    X, domain, _ = gaussians(0, 60)
    little_memory(10_000)
    with pytest.raises(InputError, match=r"ULSIF: this needs about.*Use fewer centers"):
        ULSIF().fit(X, domain=domain)
