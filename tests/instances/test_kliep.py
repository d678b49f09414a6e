import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from tl_keras.instances import KLIEP
from tl_keras.instances.density_ratio import MULTIPLES
from tl_keras.instances.kliep import held_out_likelihood, mixture_proportions
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


@pytest.mark.parametrize("seed", range(5))
def test_proportions_are_those_that_scipy_finds(seed):
    logarithm = np.random.default_rng(seed).normal(size=(30, 5)) * 2
    found = mixture_proportions(logarithm)
    wanted = minimize(
        lambda p: -np.log(np.exp(logarithm) @ p).mean(),
        np.full(5, 0.2),
        bounds=[(0, 1)] * 5,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        options={"ftol": 1e-12},
    )
    assert found.sum() == pytest.approx(1.0) and (found >= 0).all()
    assert -np.log(np.exp(logarithm) @ found).mean() == pytest.approx(wanted.fun, abs=1e-6)
    np.testing.assert_allclose(found, wanted.x, atol=5e-3)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0, 1000.0])
def test_proportions_are_optimal_whatever_the_width(scale):
    for seed in range(8):
        random = np.random.default_rng(seed)
        samples = random.normal(size=(200, 1 + seed))
        logarithm = -scale * ((samples[:, None] - samples[None, :40]) ** 2).sum(-1)
        logarithm += random.normal(size=40) * scale
        shares = mixture_proportions(logarithm, tolerance=1e-9)
        values = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
        # The derivative of the mean log-likelihood in each proportion, one where it is used.
        slope = (values / (values @ shares)[:, None]).mean(axis=0)
        assert slope.max() <= 1.0 + 2e-9


def test_held_out_likelihood_by_a_loop():
    X, domain, _ = gaussians(0, 60, 2)
    source, target = X[domain == "source"], X[domain == "target"]
    fold = np.arange(60) % 3
    squared = [((x[:, None] - target[None, :20]) ** 2).sum(-1) for x in (source, target)]
    total = 0.0
    for sample in range(60):
        centers = target[:20][fold[:20] != fold[sample]]
        others = target[fold != fold[sample]]
        basis = kernel(others, centers, 0.7) / kernel(source, centers, 0.7).mean(axis=0)
        alpha = mixture_proportions(np.log(basis))
        here = kernel(target[[sample]], centers, 0.7) / kernel(source, centers, 0.7).mean(axis=0)
        total += np.log(here @ alpha).item()
    found = held_out_likelihood(*squared, 0.7, fold)
    assert found == pytest.approx(total / 60, abs=1e-3)


@pytest.mark.parametrize("features", [1, 3])
def test_estimates_the_ratio_of_two_gaussians(features):
    for seed in range(4):
        X, domain, ratio = gaussians(seed, features=features)
        model = KLIEP(random_state=seed).fit(X, domain=domain)
        source = X[domain == "source"]
        assert np.corrcoef(model.weights_[:400], ratio(source))[0, 1] > 0.65
        new = np.random.default_rng(seed + 100).normal(0.0, 0.8, (400, features))
        error = np.abs(model.density_ratio(new) - ratio(new))
        assert np.median(error) < 0.3 * ratio(new).mean()


def test_the_ratio_has_mean_one_over_the_source():
    X, domain, _ = gaussians(1, features=5)
    model = KLIEP(gamma=0.3, random_state=0).fit(X, domain=domain)
    np.testing.assert_allclose(
        model.density_ratio(X[domain == "source"]), model.weights_[domain == "source"], rtol=1e-6
    )


def test_the_width_with_the_greatest_likelihood_is_chosen():
    X, domain, _ = gaussians(2, 150)
    model = KLIEP(random_state=0).fit(X, domain=domain)
    assert len(model.scores_) == len(MULTIPLES)
    assert model.gamma_ == max(model.scores_, key=model.scores_.get)
    assert min(model.scores_) < model.gamma_ < max(model.scores_)
    chosen = KLIEP(gamma=[0.001, 1.0, 1e4], random_state=0).fit(X, domain=domain)
    assert chosen.gamma_ == 1.0 and list(chosen.scores_) == [0.001, 1.0, 1e4]
    assert KLIEP(gamma=0.3).fit(X, domain=domain).scores_ == {}


def test_centres_are_bounded_and_come_from_the_target(monkeypatch):
    X, domain, _ = gaussians(3, 150)
    monkeypatch.setattr("tl_keras.instances.kliep.VALIDATED", 50)
    model = KLIEP(centers=20, random_state=0).fit(X, domain=domain)
    assert model.centers_.shape == (20, 1)
    assert np.isin(model.centers_, X[domain == "target"]).all()


@pytest.mark.filterwarnings("ignore::tl_keras.arrays.DegenerateWeights")
@pytest.mark.parametrize("gamma", ["cv", 1e-3, 1e3])
def test_domains_far_apart_do_not_overflow(gamma):
    X, domain, _ = gaussians(4, 100)
    X[domain == "target"] += 1e4
    model = KLIEP(gamma=gamma, random_state=0).fit(X, domain=domain)
    assert np.isfinite(model.weights_).all()
    assert np.isfinite(model.density_ratio(X)).all()
    # The nearest source sample has the most weight.
    assert model.weights_[:100].argmax() == X[:100, 0].argmax()


def test_far_from_the_origin_the_widths_are_the_same():
    X, domain, _ = gaussians(5, 100)
    near = KLIEP(random_state=0).fit(X, domain=domain)
    far = KLIEP(random_state=0).fit(X + 1e6, domain=domain)
    np.testing.assert_allclose(far.weights_, near.weights_, atol=1e-2)


def test_more_centers_than_samples_to_validate_with(monkeypatch):
    X, domain, _ = gaussians(6, 60)
    model = KLIEP(centers=30, random_state=0)
    monkeypatch.setattr("tl_keras.instances.kliep.VALIDATED", 30)
    expected = model.fit(X, domain=domain).scores_
    monkeypatch.setattr("tl_keras.instances.kliep.VALIDATED", 20)
    assert model.fit(X, domain=domain).scores_ == expected


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gamma": "silverman"}, "gamma: expected 'cv', 'median', 'scale', a number above 0 or a"),
        ({"gamma": [1.0, -1.0]}, "gamma: expected a number above 0.*got -1.0"),
        ({"gamma": []}, r"gamma: expected 'cv'.*got \[\]"),
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
        KLIEP(**parameters).fit(X, domain=domain)
