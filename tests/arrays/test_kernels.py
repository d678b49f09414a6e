import numpy as np
import pytest
import scipy.sparse
from scipy.spatial.distance import cdist, pdist

from tl_keras import InputError
from tl_keras.arrays.kernels import (
    KERNELS,
    NystroemFeatures,
    choose_landmarks,
    kernel_matrix,
    median_gamma,
    resolve_gamma,
)

X = np.random.default_rng(0).normal(size=(40, 3))


def test_the_median_width():
    assert median_gamma(X) == pytest.approx(1 / np.median(pdist(X) ** 2), rel=1e-12)
    assert median_gamma(scipy.sparse.csr_matrix(X)) == pytest.approx(median_gamma(X), rel=1e-9)
    assert median_gamma(X.astype(np.float32)) == pytest.approx(median_gamma(X), rel=1e-5)


def test_the_median_width_far_from_the_origin():
    assert median_gamma(X + 1e7) == pytest.approx(median_gamma(X), rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 / 3])
def test_constant_features_have_width_one(value):
    assert median_gamma(np.full((10, 3), value)) == 1.0
    assert median_gamma(scipy.sparse.csr_matrix(np.full((10, 3), value))) == 1.0
    assert resolve_gamma("scale", np.full((10, 3), value)) == 1.0
    assert resolve_gamma("scale", scipy.sparse.csr_matrix(np.full((10, 3), value))) == 1.0


def test_where_most_samples_are_equal_the_mean_distance_counts():
    several = np.array([[0.0]] * 9 + [[1.0]])
    # Nine of the 45 pairs are one apart.
    assert median_gamma(several) == pytest.approx(5.0)
    assert median_gamma(X[:1]) == 1.0


def test_the_median_of_many_samples_takes_a_thousand():
    many = np.random.default_rng(1).normal(size=(3000, 2))
    exact = 1 / np.median(pdist(many) ** 2)
    first = median_gamma(many, random_state=0)
    assert first == pytest.approx(exact, rel=0.1)
    assert first == median_gamma(many, random_state=0) != median_gamma(many, random_state=1)


def test_the_width_by_scale():
    assert resolve_gamma("scale", X) == pytest.approx(1 / (3 * X.var()))
    thin = X * (np.abs(X) > 1)
    expected = pytest.approx(1 / (3 * thin.var()), rel=1e-12)
    assert resolve_gamma("scale", scipy.sparse.csr_matrix(thin)) == expected


def test_the_width_by_scale_does_not_fill_sparse_samples():
    wide = scipy.sparse.csr_matrix(([1.0, 2.0], ([0, 5], [3, 10**7])), shape=(10**6, 10**8))
    count = 10**14
    expected = 1 / (10**8 * (5 / count - (3 / count) ** 2))
    assert resolve_gamma("scale", wide) == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.5, 3, np.float32(0.5), np.int64(2)])
def test_numbers_stay(gamma):
    assert resolve_gamma(gamma, X) == float(gamma)


@pytest.mark.parametrize("gamma", [0, -1.0, np.nan, np.inf, "auto", None, [1.0]])
def test_other_widths_are_refused(gamma):
    with pytest.raises(InputError, match="gamma: expected a number above 0, 'median' or 'scale',"):
        resolve_gamma(gamma, X)


def by_hand(A, B, kernel, gamma):
    return {
        "linear": lambda: A @ B.T,
        "rbf": lambda: np.exp(-gamma * cdist(A, B, "sqeuclidean")),
        "laplacian": lambda: np.exp(-gamma * cdist(A, B, "cityblock")),
        "polynomial": lambda: (gamma * A @ B.T + 1) ** 3,
        "cosine": lambda: 1 - cdist(A, B, "cosine"),
    }[kernel]()


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels(kernel):
    expected = by_hand(X, X[:7], kernel, 0.3)
    assert kernel_matrix(X, X[:7], kernel, 0.3) == pytest.approx(expected, rel=1e-10, abs=1e-12)
    sparse = kernel_matrix(scipy.sparse.csr_matrix(X), scipy.sparse.csr_matrix(X[:7]), kernel, 0.3)
    assert sparse == pytest.approx(expected, rel=1e-8, abs=1e-10)
    single = kernel_matrix(X.astype(np.float32), X[:7].astype(np.float32), kernel, 0.3)
    assert single.dtype == np.float64
    assert single == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_gaussian_kernel_far_from_the_origin():
    near = np.round(X * 2**20) / 2**20  # Exact also where 2²⁷ is added.
    far = near + 2.0**27
    expected = by_hand(near, near[:7], "rbf", 0.3)
    assert kernel_matrix(far, far[:7], "rbf", 0.3) == pytest.approx(expected, rel=1e-12)
    for A in (far, far.astype(np.float32), scipy.sparse.csr_matrix(far)):
        assert (kernel_matrix(A, A, "rbf", 0.3).diagonal() == 1.0).all()
    features = NystroemFeatures(far[:8], "rbf", 0.3)
    assert features(far) == pytest.approx(NystroemFeatures(near[:8], "rbf", 0.3)(near), abs=1e-9)


def test_kernels_that_do_not_work():
    with pytest.raises(InputError, match=r"kernel: expected one of linear, .* got 'gauss'"):
        kernel_matrix(X, X, "gauss", 1.0)
    with pytest.raises(InputError, match="X: the polynomial kernel of these features overflows"):
        kernel_matrix(X * 1e110, X * 1e110, "polynomial", 1.0)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "polynomial", "linear", "cosine"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_low_rank_features_are_exact_on_what_the_landmarks_span(kernel, dtype):
    A = X.astype(dtype)
    features = NystroemFeatures(A, kernel, 0.3)
    expected = by_hand(A.astype(np.float64), A.astype(np.float64), kernel, 0.3)
    assert features(A) @ features(A).T == pytest.approx(expected, rel=1e-7, abs=1e-7)
    assert np.isfinite(features.projection).all()
    if kernel in ("linear", "cosine"):
        assert features.projection.shape[1] == 3


def test_low_rank_features_leave_out_what_equal_landmarks_repeat():
    features = NystroemFeatures(np.repeat(X[:5], 4, axis=0), "rbf", 0.3)
    assert features.projection.shape == (20, 5)
    expected = kernel_matrix(X[:5], X[:5], "rbf", 0.3)
    assert features(X[:5]) @ features(X[:5]).T == pytest.approx(expected, abs=1e-9)


def test_low_rank_features_by_the_projection_of_nystroem():
    landmarks = X[:8]
    features = NystroemFeatures(landmarks, "rbf", 0.3)
    across, within = by_hand(X, landmarks, "rbf", 0.3), by_hand(landmarks, landmarks, "rbf", 0.3)
    expected = across @ np.linalg.solve(within, across.T)
    assert features(X) @ features(X).T == pytest.approx(expected, abs=1e-10)


def test_low_rank_features_batch_by_batch(monkeypatch):
    features = NystroemFeatures(X[:8], "rbf", 0.3)
    whole = features(X)
    monkeypatch.setattr("tl_keras.arrays.kernels.BATCH", 7)
    assert features(X) == pytest.approx(whole, abs=1e-12)
    sparse = features(scipy.sparse.csr_matrix(X))
    assert sparse == pytest.approx(whole, abs=1e-9)


def test_landmarks():
    chosen = choose_landmarks(X, 10, random_state=0)
    assert chosen.shape == (10, 3)
    assert len(np.unique(chosen, axis=0)) == 10
    assert {tuple(row) for row in chosen} <= {tuple(row) for row in X}
    assert np.array_equal(chosen, choose_landmarks(X, 10, random_state=0))
    assert not np.array_equal(chosen, choose_landmarks(X, 10, random_state=1))
    assert choose_landmarks(X, 40) is X
    assert choose_landmarks(scipy.sparse.csr_matrix(X), 10, random_state=0).shape == (10, 3)
