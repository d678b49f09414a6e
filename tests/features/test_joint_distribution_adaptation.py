import pickle

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import check_estimator

from tl_keras.features import (
    BalancedDistributionAdaptation,
    JointDistributionAdaptation,
    TransferComponentAnalysis,
    joint_distribution_adaptation,
)
from tl_keras.utils.errors import InputError


def class_shifts(seed, source=60, target=50, features=4):
    """Three classes, each of which shifts its own way; target labels are −1."""
    random = np.random.default_rng(seed)
    y = np.arange(source + target) % 3
    X = random.normal(size=(source + target, features))
    X[:, :2] += 4 * np.array([[0, 0], [1, 0], [0, 1]])[y]
    X[source:, 2] += np.array([3, 0, -3])[y[source:]]
    domain = np.repeat(["source", "target"], [source, target])
    return X, np.where(domain == "target", -1, y), domain, y


def discrepancy(domain, y):
    """`M₀ + Σ_c M_c` of Long et al., written down."""
    total = 0
    for members in [np.ones(len(y), bool)] + [y == c for c in np.unique(y)]:
        source, target = (domain == "source") & members, (domain == "target") & members
        e = source / source.sum() - target / target.sum()
        total = total + np.outer(e, e)
    return total


def paper(K, M, regularization, count):
    """Smallest generalised eigenvectors of `(KMK + ρI) a = φ KHK a`, embedded and scaled."""
    n = len(K)
    variance = K @ (np.eye(n) - np.full((n, n), 1 / n)) @ K
    cost = K @ M @ K + regularization * np.trace(variance) / n * np.eye(n)
    values, vectors = scipy.linalg.eigh(variance, cost, subset_by_index=[n - count, n - 1])
    values, Z = values[::-1], K @ vectors[:, ::-1]
    Z = Z / Z.std(0) * np.sqrt(values)
    return values, 2 * Z / np.sqrt(Z.var(0).mean())


def assert_same_components(Z, expected, atol=1e-6):
    signs = np.sign((Z * expected).sum(0))
    np.testing.assert_allclose(Z * signs, expected, atol=atol)


def test_is_the_papers_solution_when_all_labels_are_known():
    X, _, domain, y = class_shifts(0)
    adaptation = JointDistributionAdaptation(4, gamma=0.1, regularization=0.5)
    Z = adaptation.fit_transform(X, y, domain=domain)
    K = pairwise_kernels(X, metric="rbf", gamma=0.1)
    values, expected = paper(K, discrepancy(domain, y), 0.5, 4)
    np.testing.assert_allclose(adaptation.criterion_, values, rtol=1e-8)
    assert_same_components(Z, expected)
    assert adaptation.n_iter_ == 1


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(JointDistributionAdaptation, {}), (BalancedDistributionAdaptation, {"balance": 0.5})],
)
def test_linear_kernel_in_other_units_is_primal_on_the_kernels_own_features(kind, settings):
    random = np.random.default_rng(10)
    sizes = np.array([1.0, 1e3, 0.5, 2.0])
    X = scipy.linalg.hadamard(128)[:, [3, 9, 20, 41]] * sizes  # columns at right angles
    domain, y = np.repeat(["source", "target"], 64), random.integers(2, size=128)
    settings = settings | {"regularization": 0.1 / np.var(X * sizes * np.sqrt(128), axis=0).sum()}
    Z, expected = (
        kind(4, kernel=kernel, **settings).fit_transform(given, y, domain=domain)
        for kernel, given in (("linear", X), ("primal", X * sizes * np.sqrt(128)))
    )
    assert_same_components(Z, expected)


@pytest.mark.parametrize("iterations", [1, 3])
def test_rounds_are_those_of_the_paper(iterations):
    X, y, domain, _ = class_shifts(3)
    source = domain == "source"
    adaptation = JointDistributionAdaptation(
        3, iterations=iterations, kernel="linear", regularization=1e-4
    )
    Z = adaptation.fit_transform(X, y, domain=domain)
    K = X @ X.T
    expected = paper(K, discrepancy(domain, np.zeros(len(y))) / 2, 1e-4, 3)[1]
    rounds = []
    for _ in range(iterations):
        nearest = KNeighborsClassifier(1).fit(expected[source], y[source])
        rounds.append(nearest.predict(expected[~source]))
        labels = np.concatenate([y[source], rounds[-1]])
        expected = paper(K, discrepancy(domain, labels), 1e-4, 3)[1]
    np.testing.assert_array_equal(adaptation.pseudo_labels_, rounds[-1])
    assert_same_components(Z, expected)
    assert len({tuple(labels) for labels in rounds}) == iterations  # or this compares nothing


def test_stops_when_labels_no_longer_change():
    X, y, domain, truth = class_shifts(1)
    X[:, :2] *= 3  # classes far apart
    few = JointDistributionAdaptation(3, iterations=20).fit(X, y, domain=domain)
    assert few.n_iter_ < 10
    np.testing.assert_array_equal(few.pseudo_labels_, truth[domain == "target"])


def test_digits_that_have_moved_by_a_pixel():
    digits = load_digits()
    moved = np.roll(digits.images, 1, axis=2)
    moved[:, :, 0] = 0
    domain = np.repeat(["source", "target"], 250)
    accuracies = []
    for seed in range(3):
        chosen = np.random.default_rng(seed).permutation(1797)[:500]
        pixels = np.concatenate([digits.images[chosen[:250]], moved[chosen[250:]]])
        X, truth = pixels.reshape(500, 64) / 16, digits.target[chosen]
        y = np.where(domain == "target", -1, truth)
        settings = {"regularization": 0.1, "random_state": 0}  # Shares of classes agree.
        whole = TransferComponentAnalysis(**settings).fit_transform(X, domain=domain)
        joint = JointDistributionAdaptation(**settings).fit_transform(X, y, domain=domain)
        row = [
            KNeighborsClassifier(1).fit(Z[:250], truth[:250]).score(Z[250:], truth[250:])
            for Z in (X, whole, joint)
        ]
        accuracies.append(row)
    before, whole, joint = np.mean(accuracies, axis=0)
    # About .56, .62 and .80.
    assert whole > before + 0.02 and joint > whole + 0.1


def test_estimator_labels_the_target():
    X, y, domain, _ = class_shifts(2)
    linear = LogisticRegression(C=0.01)
    adaptation = JointDistributionAdaptation(3, estimator=linear, iterations=1)
    adaptation.fit(X, y, domain=domain)
    source = domain == "source"
    whole = TransferComponentAnalysis(3).fit_transform(X, domain=domain)
    expected = LogisticRegression(C=0.01).fit(whole[source], y[source]).predict(whole[~source])
    np.testing.assert_array_equal(adaptation.pseudo_labels_, expected)
    assert not hasattr(linear, "coef_")


@pytest.mark.parametrize("seed", range(5))
def test_nearest_neighbours_are_sought_among_some_samples_where_there_are_many(monkeypatch, seed):
    X, y, domain, truth = class_shifts(seed, source=300, target=300)
    everyone = JointDistributionAdaptation(3, random_state=0).fit(X, y, domain=domain)
    monkeypatch.setattr(joint_distribution_adaptation, "NEIGHBOURS", 60)
    some = JointDistributionAdaptation(3, random_state=0).fit(X, y, domain=domain)
    right = [np.mean(one.pseudo_labels_ == truth[300:]) for one in (everyone, some)]
    assert right[1] >= right[0] - 0.05
    assert (everyone.pseudo_labels_ != some.pseudo_labels_).any()


def test_given_target_labels_are_kept():
    X, y, domain, truth = class_shifts(4)
    some = np.flatnonzero(domain == "target")[::2]
    y[some] = (truth[some] + 1) % 3  # what no estimator would guess
    adaptation = JointDistributionAdaptation(3).fit(X, y, domain=domain)
    np.testing.assert_array_equal(adaptation.pseudo_labels_[::2], y[some])


def test_strings_and_other_marks_of_missing_labels():
    X, y, domain, _ = class_shifts(5)
    numbers = JointDistributionAdaptation(3).fit(X, y, domain=domain)
    names = np.array(["ash", "beech", "cedar", None], dtype=object)[y]
    strings = JointDistributionAdaptation(3).fit(X, names, domain=domain)
    floats = JointDistributionAdaptation(3).fit(X, np.where(y < 0, np.nan, y), domain=domain)
    expected = np.array(["ash", "beech", "cedar"])[numbers.pseudo_labels_]
    assert strings.pseudo_labels_.tolist() == expected.tolist()
    np.testing.assert_array_equal(floats.pseudo_labels_, numbers.pseudo_labels_)
    np.testing.assert_array_equal(strings.transform(X), numbers.transform(X))


def test_classes_of_several_sources_and_targets_meet():
    random = np.random.default_rng(0)
    domain = np.repeat(["a", "b", "c"], 60)
    y = np.tile([0, 1], 90)
    X = random.normal(size=(180, 4))
    X[:, 0] += 6 * y
    # Class 1 shifts to opposite sides, class 0 not at all.
    X[(domain == "a") & (y == 1), 1] += 4
    X[(domain == "b") & (y == 1), 1] -= 4
    given = np.where(domain == "c", -1, y)
    adaptation = JointDistributionAdaptation(2, kernel="linear", regularization=1e-5, target="c")
    Z = adaptation.fit_transform(X, given, domain=domain)
    np.testing.assert_array_equal(adaptation.pseudo_labels_, y[domain == "c"])
    for label in (0, 1):
        means = np.array([Z[(domain == name) & (y == label)].mean(0) for name in "abc"])
        assert (np.ptp(means, axis=0) / Z.std(0)).max() < 0.25


def test_a_class_that_a_domain_lacks_is_left_out():
    X, y, domain, _ = class_shifts(6)
    rare = (domain == "source") | (y == -1)
    y[np.flatnonzero(domain == "target")[:3]] = 7  # in the target only
    adaptation = JointDistributionAdaptation(3).fit(X[rare | (y == 7)], y, domain=domain)
    assert adaptation.classes_.tolist() == [0, 1, 2, 7]
    assert np.isfinite(adaptation.coefficients_).all()


def test_nystroem_and_sparse_input():
    X, y, domain, _ = class_shifts(7)
    X[np.abs(X) < 0.5] = 0
    settings = {"n_components": 3, "random_state": 0}
    exact = JointDistributionAdaptation(**settings).fit(X, y, domain=domain)
    low = JointDistributionAdaptation(**settings, solver="nystroem", landmarks=110)
    low.fit(scipy.sparse.csr_matrix(X), y, domain=domain)
    np.testing.assert_allclose(low.transform(X), exact.transform(X), atol=1e-5)
    np.testing.assert_array_equal(low.pseudo_labels_, exact.pseudo_labels_)
    loaded = pickle.loads(pickle.dumps(exact))
    np.testing.assert_allclose(loaded.transform(X), exact.transform(X), atol=1e-12)


def test_without_domains_labels_do_not_matter():
    X, _, _, y = class_shifts(8)
    adaptation = JointDistributionAdaptation(3)
    np.testing.assert_array_equal(
        adaptation.fit_transform(X, y), adaptation.fit_transform(X, y[::-1])
    )
    expected = TransferComponentAnalysis(3).fit_transform(X)
    np.testing.assert_allclose(adaptation.transform(X), expected, atol=1e-10)


@pytest.mark.parametrize("mark", [-1, None, np.nan])
def test_lists_of_strings_keep_their_marks(mark):
    X, y, domain, _ = class_shifts(9)
    words = [mark if label == -1 else "abc"[label] for label in y]
    expected = JointDistributionAdaptation(3).fit(X, y, domain=domain)
    found = JointDistributionAdaptation(3).fit(X, words, domain=domain.tolist())
    assert found.classes_.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(found.coefficients_, expected.coefficients_)


@pytest.mark.filterwarnings("ignore:The number of unique classes")
@pytest.mark.parametrize("kind", [JointDistributionAdaptation, BalancedDistributionAdaptation])
def test_memory_of_many_classes_is_refused_before_it_is_taken(kind, little_memory):
    X, y, domain, _ = class_shifts(9)
    many = np.where(y == -1, -1, np.arange(len(y)))  # Each source sample is a class.
    little_memory(50_000)
    kind(3, kernel="primal").fit(X, y, domain=domain)
    with pytest.raises(InputError, match=rf"{kind.__name__}: this needs about .* fewer classes"):
        kind(3, kernel="primal").fit(X, many, domain=domain)


def test_bad_input():
    X, y, domain, _ = class_shifts(9)
    adaptation = JointDistributionAdaptation(3)
    with pytest.raises(InputError, match=r"y: .* requires y to be passed, .* Give the labels"):
        adaptation.fit(X, domain=domain)
    with pytest.raises(InputError, match="y: expected one label per sample of X, 110 of them"):
        adaptation.fit(X, y[:-1], domain=domain)
    with pytest.raises(InputError, match="of source domain 'source' have no label"):
        adaptation.fit(X, np.where(np.arange(110) == 3, -1, y), domain=domain)
    with pytest.raises(InputError, match="two classes or more in the source domains, got"):
        adaptation.fit(X, np.minimum(y, 0), domain=domain)
    with pytest.raises(InputError, match="iterations: expected a whole number of 1 or more, got 0"):
        JointDistributionAdaptation(iterations=0).fit(X, y, domain=domain)


def test_scikit_learns_checks():
    check_estimator(JointDistributionAdaptation())
