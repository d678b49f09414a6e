import tracemalloc

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from scipy.spatial.distance import cdist
from sklearn.naive_bayes import GaussianNB

from tests import oracles
from tl_keras import InputError
from tl_keras.divergences import (
    coral_distance,
    frechet_distance,
    maximum_mean_discrepancy,
    mmd,
    proxy_a_distance,
)

ALL = (maximum_mean_discrepancy, coral_distance, frechet_distance, proxy_a_distance)


def two_domains(seed=0, n=30, m=20, features=3, shift=1.0):
    random = np.random.default_rng(seed)
    mix = random.normal(size=(features, features))
    return random.normal(size=(n, features)), random.normal(size=(m, features)) @ mix + shift


def rbf(a, b, gamma):
    return np.exp(-gamma * cdist(a, b, "sqeuclidean"))


def laplacian(a, b, gamma):
    return np.exp(-gamma * cdist(a, b, "cityblock"))


def polynomial(a, b, gamma):
    return (gamma * a @ b.T + 1) ** 3


def cosine(a, b, gamma):
    return 1 - cdist(a, b, "cosine")


def linear(a, b, gamma):
    return a @ b.T


KERNELS = [rbf, laplacian, polynomial, cosine, linear]


@pytest.mark.parametrize("kernel", KERNELS)
def test_mmd_is_the_mean_over_all_pairs(kernel):
    source, target = two_domains()
    ss, tt, st = (
        kernel(a, b, 0.3) for a, b in ((source, source), (target, target), (source, target))
    )
    biased = ss.mean() + tt.mean() - 2 * st.mean()
    n, m = st.shape
    unbiased = (
        (ss.sum() - np.trace(ss)) / (n * (n - 1))
        + (tt.sum() - np.trace(tt)) / (m * (m - 1))
        - 2 * st.mean()
    )
    given = {"kernel": kernel.__name__, "gamma": 0.3}
    assert maximum_mean_discrepancy(source, target, **given) == pytest.approx(biased, rel=1e-9)
    value = maximum_mean_discrepancy(source, target, **given, biased=False)
    assert value == pytest.approx(unbiased, rel=1e-9)
    assert value != pytest.approx(biased, rel=1e-3)


def test_mmd_with_the_linear_kernel_is_the_squared_distance_of_the_means():
    source, target = two_domains()
    expected = np.sum((source.mean(0) - target.mean(0)) ** 2)
    value = maximum_mean_discrepancy(source, target, kernel="linear")
    assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "polynomial"])
@pytest.mark.parametrize("biased", [True, False])
def test_mmd_does_not_depend_on_the_blocks(monkeypatch, kernel, biased):
    source, target = two_domains()
    whole = maximum_mean_discrepancy(source, target, kernel=kernel, gamma=0.2, biased=biased)
    monkeypatch.setattr(mmd, "BLOCK", 7)
    blocks = maximum_mean_discrepancy(source, target, kernel=kernel, gamma=0.2, biased=biased)
    assert blocks == pytest.approx(whole, rel=1e-10)


def test_mmd_takes_the_mean_of_several_widths():
    source, target = two_domains()
    single = [maximum_mean_discrepancy(source, target, gamma=g) for g in (0.1, 0.5, 2.0)]
    for solver in ("exact", "nystroem"):
        several = maximum_mean_discrepancy(source, target, gamma=(0.1, 0.5, 2.0), solver=solver)
        assert several == pytest.approx(np.mean(single), rel=1e-6)
    assert np.ptp(single) > 0.01


def test_mmd_takes_one_over_the_median_squared_distance():
    source, target = two_domains()
    both = np.vstack([source, target])
    pairs = cdist(both, both, "sqeuclidean")[np.triu_indices(len(both), 1)]
    expected = maximum_mean_discrepancy(source, target, gamma=1 / np.median(pairs))
    assert maximum_mean_discrepancy(source, target) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("solver", ["exact", "nystroem"])
@pytest.mark.parametrize("biased", [True, False])
def test_mmd_with_whole_weights_counts_samples_several_times(solver, biased):
    source, target = two_domains()
    times = np.arange(len(source)) % 3
    given = {"gamma": 0.4, "solver": solver}
    weighted = maximum_mean_discrepancy(
        source, target, source_weight=times * 5.0, biased=biased, **given
    )
    ss, tt, st = rbf(source, source, 0.4), rbf(target, target, 0.4), rbf(source, target, 0.4)
    w = times / times.sum()
    if biased:
        repeated = maximum_mean_discrepancy(np.repeat(source, times, axis=0), target, **given)
        assert weighted == pytest.approx(repeated, rel=1e-6)
        expected = w @ ss @ w + tt.mean()
    else:
        m = len(target)
        off = ~np.eye(len(w), dtype=bool)
        expected = np.sum(np.outer(w, w)[off] * ss[off]) / np.sum(np.outer(w, w)[off])
        expected += (tt.sum() - m) / (m * (m - 1))
    assert weighted == pytest.approx(expected - 2 * w @ st.mean(1), rel=1e-6)


def test_low_rank_mmd_is_exact_when_all_samples_are_landmarks():
    source, target = two_domains()
    for kernel in ("rbf", "laplacian", "polynomial"):
        exact = maximum_mean_discrepancy(source, target, kernel=kernel, solver="exact")
        low = maximum_mean_discrepancy(source, target, kernel=kernel, solver="nystroem")
        assert low == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_low_rank_mmd_is_near_the_exact_value(seed):
    # Over eight seeds the relative error was 0.0065 at the most, and 0.010 with half the landmarks.
    source, target = two_domains(seed, 1500, 1000, 16, shift=0.3)
    exact = maximum_mean_discrepancy(source, target, gamma=0.02, solver="exact")
    low = maximum_mean_discrepancy(
        source, target, gamma=0.02, solver="nystroem", landmarks=256, random_state=seed
    )
    assert low == pytest.approx(exact, rel=0.015)
    assert low != exact


def test_many_samples_take_the_low_rank_way(monkeypatch):
    source, target = two_domains()
    given = {"landmarks": 5, "random_state": 0}
    low = maximum_mean_discrepancy(source, target, solver="nystroem", **given)
    exact = maximum_mean_discrepancy(source, target, solver="exact", **given)
    assert maximum_mean_discrepancy(source, target, **given) == exact
    monkeypatch.setattr(mmd, "EXACT_SAMPLES", 49)
    assert maximum_mean_discrepancy(source, target, **given) == low != exact


@pytest.mark.parametrize("solver", ["exact", "nystroem"])
def test_mmd_never_holds_all_pairs(solver):
    source, target = two_domains(0, 4000, 4000, 2)
    tracemalloc.start()
    maximum_mean_discrepancy(source, target, gamma=1.0, solver=solver, landmarks=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * 8 * 4000 * 4000


def test_unbiased_mmd_of_one_distribution_is_zero_on_average():
    values = [
        [
            maximum_mean_discrepancy(*two_domains_alike(seed), gamma=0.5, biased=biased)
            for seed in range(60)
        ]
        for biased in (True, False)
    ]
    assert min(values[0]) > 0
    assert min(values[1]) < 0 < max(values[1])
    assert abs(np.mean(values[1])) < 3 * np.std(values[1]) / np.sqrt(60) < np.mean(values[0]) / 3


def two_domains_alike(seed, n=20, features=2):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, features)), random.normal(size=(n, features))


@pytest.mark.parametrize("solver", ["exact", "nystroem"])
def test_mmd_keeps_its_digits_far_from_the_origin(solver):
    source, target = two_domains()
    near = maximum_mean_discrepancy(source, target, solver=solver)
    far = maximum_mean_discrepancy(source + 1e7, target + 1e7, solver=solver)
    assert far == pytest.approx(near, rel=1e-6)


def test_equal_sets_have_no_distance():
    source, _ = two_domains()
    for kernel in KERNELS:
        assert maximum_mean_discrepancy(source, source, kernel=kernel.__name__) < 1e-12
    assert coral_distance(source, source) == 0
    assert frechet_distance(source, source[::-1]) < 1e-12


def test_coral_distance_compares_covariances():
    source, target = two_domains()
    covariances = []
    for X in (source, target):
        C = np.zeros((3, 3))
        for x in X:
            C += np.outer(x - X.mean(0), x - X.mean(0)) / (len(X) - 1)
        covariances.append(C)
    expected = np.sum((covariances[0] - covariances[1]) ** 2) / (4 * 3**2)
    assert coral_distance(source, target) == pytest.approx(expected, rel=1e-12)
    assert coral_distance(source + 5, target - 3) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_one_feature():
    source, target = two_domains(features=1)
    expected = (source.mean() - target.mean()) ** 2 + (source.std(ddof=1) - target.std(ddof=1)) ** 2
    assert frechet_distance(source, target) == pytest.approx(expected, rel=1e-12)


def test_frechet_distance_is_that_of_gaussians():
    source, target = two_domains()
    a, b = np.cov(source.T), np.cov(target.T)
    root = scipy.linalg.sqrtm(a)
    overlap = scipy.linalg.sqrtm(root @ b @ root).real
    expected = np.sum((source.mean(0) - target.mean(0)) ** 2) + np.trace(a + b - 2 * overlap)
    assert frechet_distance(source, target) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_singular_covariances():
    # One direction each: tr C_s + tr C_t − 2 |u·v| σ_s σ_t.
    random = np.random.default_rng(0)
    u, v = np.array([1.0, 0.0, 0.0]), np.array([0.6, 0.8, 0.0])
    s, t = random.normal(size=50), 2 * random.normal(size=40)
    sd, td = s.std(ddof=1), t.std(ddof=1)
    expected = np.sum((s.mean() * u - t.mean() * v) ** 2) + sd**2 + td**2 - 2 * 0.6 * sd * td
    assert frechet_distance(np.outer(s, u), np.outer(t, v)) == pytest.approx(expected, rel=1e-9)
    constant = np.ones((5, 3))
    assert frechet_distance(constant, 3 * constant) == pytest.approx(12.0)


@pytest.mark.parametrize("distance", [coral_distance, frechet_distance])
def test_more_features_than_samples(distance):
    source, target = two_domains(n=8, m=6, features=40)
    wide = distance(source, target)
    a, b = np.cov(source.T), np.cov(target.T)
    if distance is coral_distance:
        expected = np.sum((a - b) ** 2) / (4 * 40**2)
    else:
        roots = [(X - X.mean(0)) / np.sqrt(len(X) - 1) for X in (source, target)]
        overlap = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
        apart = np.sum((source.mean(0) - target.mean(0)) ** 2)
        expected = apart + np.trace(a) + np.trace(b) - 2 * overlap
    assert wide == pytest.approx(expected, rel=1e-9)
    assert distance(
        scipy.sparse.csr_matrix(source), scipy.sparse.csr_matrix(target)
    ) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("divergence", ALL)
def test_sparse_samples(divergence):
    source, target = two_domains(n=40, m=30)
    source[np.abs(source) < 0.5] = 0
    target[np.abs(target) < 0.5] = 0
    given = {"random_state": 0} if divergence is proxy_a_distance else {}
    dense = divergence(source, target, **given)
    sparse = divergence(scipy.sparse.csr_matrix(source), scipy.sparse.coo_array(target), **given)
    assert sparse == pytest.approx(dense, rel=1e-6, abs=0.06 if given else 0)
    assert sparse > 0
    if divergence is maximum_mean_discrepancy:
        low = divergence(scipy.sparse.csr_matrix(source), target, solver="nystroem")
        assert low == pytest.approx(dense, rel=1e-6)


def test_proxy_a_distance_is_two_for_domains_apart_and_near_zero_for_one():
    source, target = two_domains(n=100, m=100)
    assert proxy_a_distance(source, target + 50, random_state=0) == 2.0
    # By chance: at most 0.22 over 30 seeds.
    assert all(proxy_a_distance(*two_domains_alike(s, 200), random_state=s) < 0.4 for s in range(4))


def test_proxy_a_distance_follows_from_the_error_in_closed_form():
    # The threshold between two overlapping steps errs on a quarter of each domain.
    source = np.repeat([0.0, 0.0, 0.0, 1.0], 25)[:, None]
    target = np.repeat([1.0, 1.0, 1.0, 0.0], 25)[:, None]
    expected = 2 * (1 - 2 * 0.25)
    assert proxy_a_distance(source, target, random_state=0) == pytest.approx(expected)
    # The larger set does not outweigh the smaller one.
    value = proxy_a_distance(np.repeat(source, 9, axis=0), target, random_state=0)
    assert value == pytest.approx(expected)


def test_proxy_a_distance_uses_a_classifier_of_the_users():
    random = np.random.default_rng(0)
    source, target = random.normal(size=(200, 2)), 6 * random.normal(size=(200, 2))
    classifier = GaussianNB()
    curved = proxy_a_distance(source, target, classifier=classifier, random_state=0)
    assert curved > 1.5
    assert not hasattr(classifier, "classes_")
    assert proxy_a_distance(source, target, random_state=0) < 0.5
    again = proxy_a_distance(source, target, classifier=classifier, random_state=0)
    assert again == curved


@pytest.mark.parametrize("divergence", ALL)
@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        (np.zeros((9, 3)), np.zeros((9, 2)), "target: expected as many features as the source, 3,"),
        (np.full((9, 3), np.nan), np.zeros((9, 3)), "Input source contains NaN"),
        (np.zeros((9, 3)), np.full((9, 3), np.inf), "Input target contains infinity"),
        (np.zeros((9, 3)), np.zeros(9), "Expected 2D array"),
        (np.zeros((9, 3)), np.full((9, 3), 1e80), "target: expected values up to 1e"),
        (np.zeros((9, 3)), np.zeros((0, 3)), r"target: expected .* samples.* or more, got 0"),
    ],
)
def test_sets_that_do_not_compare(divergence, source, target, text):
    with pytest.raises(ValueError, match=text):
        divergence(source, target)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"kernel": "gauss"}, "kernel: expected one of linear, rbf, .* got 'gauss'"),
        ({"solver": "fast"}, "solver: expected 'auto', 'exact' or 'nystroem', got 'fast'"),
        ({"gamma": -1}, "gamma: expected a number above 0, .* got -1"),
        ({"gamma": ()}, "gamma: expected at least one width, got none"),
        ({"landmarks": 0, "solver": "nystroem"}, "landmarks: expected 1 or more, got 0"),
        ({"source_weight": [1.0]}, "source_weight: expected 30 finite weights .* shape"),
        ({"source_weight": [-1.0] * 30}, "with negative or infinite values"),
        ({"source_weight": [0.0] * 30}, "source_weight: expected weights above 0 for 1 samples"),
        (
            {"source_weight": [1.0] + [0.0] * 29, "biased": False},
            "source_weight: expected weights above 0 for 2 samples or more, got 1",
        ),
    ],
)
def test_bad_settings_of_mmd(given, text):
    with pytest.raises(InputError, match=text):
        maximum_mean_discrepancy(*two_domains(), **given)


def test_too_few_samples():
    one, several = np.zeros((1, 2)), np.ones((5, 2))
    with pytest.raises(InputError, match="source: expected 2 samples or more, got 1"):
        coral_distance(one, several)
    with pytest.raises(InputError, match="target: expected 2 samples or more, got 1"):
        frechet_distance(several, one)
    with pytest.raises(InputError, match="target: expected 2 samples or more, got 1"):
        maximum_mean_discrepancy(several, one, biased=False)
    assert maximum_mean_discrepancy(several, one, kernel="linear") == pytest.approx(2.0)
    with pytest.raises(InputError, match="source: expected as many samples as folds, 5, or more"):
        proxy_a_distance(one, several)
    with pytest.raises(InputError, match="folds: expected 2 or more, got 1"):
        proxy_a_distance(several, several, folds=1)


@pytest.mark.parametrize("distance", [coral_distance, frechet_distance])
def test_too_little_memory(little_memory, distance):
    little_memory(100.0)
    for wide in (3, 200):
        source, target = two_domains(features=wide)
        with pytest.raises(InputError, match=r"GiB of memory.*Reduce the features first"):
            distance(source, target)
        with pytest.raises(InputError, match=r"GiB of memory.*Reduce the features first"):
            distance(scipy.sparse.csr_matrix(source), target)


def test_inputs_stay_as_they_are():
    source, target = two_domains()
    before = source.copy(), target.copy()
    for divergence in ALL:
        divergence(source, target)
    assert np.array_equal(source, before[0])
    assert np.array_equal(target, before[1])


def test_frechet_distance_agrees_with_adapt():
    metrics = oracles.adapt("metrics")
    for features in (1, 4):
        source, target = two_domains(features=features)
        expected = metrics.frechet_distance(source, target)
        assert frechet_distance(source, target) == pytest.approx(float(expected), rel=1e-9)


def test_frechet_distance_agrees_with_pot():
    gaussian = pytest.importorskip("ot.gaussian", reason="pip install tl_keras[transport]")
    source, target = two_domains()
    moments = source.mean(0), target.mean(0), np.cov(source.T), np.cov(target.T)
    expected = float(gaussian.bures_wasserstein_distance(*moments)) ** 2
    assert frechet_distance(source, target) == pytest.approx(expected, rel=1e-9)
