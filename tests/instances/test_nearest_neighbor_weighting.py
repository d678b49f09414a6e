import numpy as np
import pytest
import scipy.sparse

from tl_keras.instances import NearestNeighborWeighting
from tl_keras.utils.errors import InputError


def shifted(seed, count=80, features=3):
    random = np.random.default_rng(seed)
    X = np.vstack([random.normal(size=(count, features)), random.normal(0.5, 0.6, (50, features))])
    return X, np.repeat(["source", "target"], [count, 50])


@pytest.mark.parametrize("neighbors", [1, 4])
@pytest.mark.parametrize("smoothing", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_counts_by_hand(neighbors, smoothing, metric):
    X, domain = shifted(0)
    model = NearestNeighborWeighting(n_neighbors=neighbors, smoothing=smoothing, metric=metric)
    weights = model.fit(X, domain=domain).weights_
    counts = np.full(80, smoothing)
    for sample in X[80:]:
        power = 2 if metric == "euclidean" else 1
        nearest = np.argsort((np.abs(X[:80] - sample) ** power).sum(axis=1))[:neighbors]
        counts[nearest] += 1
    np.testing.assert_allclose(weights[:80], counts / counts.mean())
    assert (weights[80:] == 1.0).all()


def test_smoothing_leaves_no_source_sample_without_weight():
    X, domain = shifted(1)
    plain, smooth = (
        NearestNeighborWeighting(smoothing=smoothing).fit(X, domain=domain).weights_[:80]
        for smoothing in (0.0, 1.0)
    )
    assert (plain == 0).any() and (smooth > 0).all()


def test_without_shift_all_weights_are_one():
    X, _ = shifted(2)
    assert (NearestNeighborWeighting().fit(X).weights_ == 1.0).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_neighbors": 0}, "n_neighbors: expected 1 up to the number of source samples, 80, got"),
        ({"n_neighbors": 81}, "n_neighbors: expected 1 up to .* 80, got 81"),
        ({"n_neighbors": "5"}, "n_neighbors: expected 1 up to .* 80, got '5'"),
        ({"n_neighbors": 5.0}, "n_neighbors: expected 1 up to .* 80, got 5.0"),
        ({"smoothing": "1"}, "smoothing: expected a number from 0 up, got '1'"),
        ({"smoothing": -1.0}, "smoothing: expected a number from 0 up, got -1.0"),
    ],
)
def test_parameters_that_do_not_fit(parameters, message):
    X, domain = shifted(0)
    with pytest.raises(InputError, match=message):
        NearestNeighborWeighting(**parameters).fit(X, domain=domain)


@pytest.mark.parametrize("neighbors", [1, 3, 7])
@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_matrix])
def test_equal_samples_share_and_the_order_is_of_no_consequence(neighbors, make):
    random = np.random.default_rng(0)
    levels = random.normal(size=(5, 4))
    source = levels[random.integers(0, 5, 60)]
    target = random.normal(size=(40, 4))
    domain = np.repeat(["source", "target"], [60, 40])

    def weights(rows):
        X = make(np.vstack([source[rows], target]))
        return NearestNeighborWeighting(n_neighbors=neighbors).fit(X, domain=domain).weights_[:60]

    found, order = weights(np.arange(60)), random.permutation(60)
    np.testing.assert_allclose(weights(order), found[order])
    for level in levels:
        assert np.ptp(found[(source == level).all(axis=1)]) < 1e-12
    # By hand: each target sample gives k parts to the nearest levels, as far as their samples go.
    sizes = np.array([(source == level).all(axis=1).sum() for level in levels])
    parts = np.zeros(5)
    for sample in target:
        left = neighbors
        for level in np.argsort(((levels - sample) ** 2).sum(axis=1)):
            taken = min(left, sizes[level])
            parts[level] += taken
            left -= taken
    number = np.argmax((source[:, None] == levels).all(axis=2), axis=1)
    expected = 1.0 + (parts / sizes)[number]
    np.testing.assert_allclose(found, expected / expected.mean())


def test_an_unknown_metric_is_named():
    X, domain = shifted(0)
    with pytest.raises(ValueError, match="'euclid' not valid"):
        NearestNeighborWeighting(metric="euclid").fit(X, domain=domain)
