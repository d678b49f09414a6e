import pickle
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.utils.estimator_checks import check_estimator

from tests import oracles
from tl_keras.features import (
    TransferComponentAnalysis,
    component_transformer,
    feature_space,
    mmd_components,
)
from tl_keras.features.domain_pairs import pairs_of_domains
from tl_keras.utils.errors import InputError


def two_domains(seed, source=40, target=30, features=4):
    random = np.random.default_rng(seed)
    X = random.normal(size=(source + target, features)) * np.linspace(2, 1, features)
    X[source:, 0] += 3
    X[source:, 1] *= 1.5
    return X, np.repeat(["source", "target"], [source, target])


def matrices(K, domain):
    """`KLK` and `KHK` of Pan et al., written down."""
    n, source = len(K), domain == "source"
    e = np.where(source, 1 / source.sum(), -1 / (~source).sum())
    return K @ np.outer(e, e) @ K, K @ (np.eye(n) - np.full((n, n), 1 / n)) @ K


def absolute(K, regularization):
    """`ρ` of the paper: the regularization times `tr(KHK) / n`."""
    return regularization * np.sum(np.square(K - K.mean(0))) / len(K)


def paper(K, domain, regularization, count):
    """The leading eigenvectors of `(KLK + ρI)⁻¹KHK` by the general solver."""
    cost, variance = matrices(K, domain)
    rho = absolute(K, regularization)
    values, vectors = scipy.linalg.eig(np.linalg.solve(cost + rho * np.eye(len(K)), variance))
    order = np.argsort(-values.real)[:count]
    return values.real[order], vectors.real[:, order]


def criterion(W, K, domain, rho):
    cost, variance = matrices(K, domain)
    below = W.T @ (cost + rho * np.eye(len(K))) @ W
    return np.trace(np.linalg.solve(below, W.T @ variance @ W))


def exactly(values):
    return np.vectorize(Fraction, otypes=[object])(np.asarray(values, np.float64))


def determinant(matrix):
    """By elimination; exact where the values are fractions."""
    matrix, product = matrix.copy(), Fraction(1)
    for i in range(len(matrix)):
        below = matrix[i + 1 :, i] / matrix[i, i]
        matrix[i + 1 :] -= np.outer(below, matrix[i])
        product *= matrix[i, i]
    return product


def linear_problem(X, domain, regularization=0.1):
    """Variance and cost of `W = XV` for the linear kernel, `(features, features)` of fractions."""
    X, half = exactly(X), len(X) // 2
    gram, mean = X.T @ X, X.sum(axis=0) / len(X)
    gap = (X[:half].sum(axis=0) - X[half:].sum(axis=0)) / half * (domain is not None)
    scatter = gram - len(X) * np.outer(mean, mean)
    rho = Fraction(regularization) * np.trace(gram @ scatter) / len(X)
    cost = np.outer(gram @ gap, gram @ gap) + rho * gram
    return gram @ scatter @ gram, cost


def assert_exact_eigenvalues(values, X, domain, digits=1e-6, regularization=0.1):
    """The characteristic polynomial changes its sign around each value."""
    variance, cost = linear_problem(X, domain, regularization)
    assert len(values) == X.shape[1]
    for value in values:
        below, above = (
            determinant(variance - Fraction(value * factor) * cost)
            for factor in (1 - digits, 1 + digits)
        )
        assert below * above < 0


def largest_angle(A, B):
    return scipy.linalg.subspace_angles(A, B).max()


@pytest.mark.parametrize("regularization", [0.1, 10.0])
@pytest.mark.parametrize("kernel", ["rbf", "laplacian"])
def test_is_the_papers_solution(kernel, regularization):
    X, domain = two_domains(0)
    analysis = TransferComponentAnalysis(
        5, kernel=kernel, gamma=0.2, regularization=regularization
    ).fit(X, domain=domain)
    K = pairwise_kernels(X, metric=kernel, gamma=0.2)
    values, vectors = paper(K, domain, regularization, 5)
    np.testing.assert_allclose(analysis.criterion_, values, rtol=1e-8)
    # Each component by itself, up to sign and scale.
    cosines = np.abs(
        np.sum(analysis.coefficients_ * vectors, axis=0)
        / np.linalg.norm(analysis.coefficients_, axis=0)
        / np.linalg.norm(vectors, axis=0)
    )
    np.testing.assert_allclose(cosines, 1, atol=1e-8)


def test_lanczos_is_the_papers_solution():
    X, domain = two_domains(1, source=250, target=200)  # more than the dense solver takes
    analysis = TransferComponentAnalysis(6, gamma=0.2, regularization=0.1, random_state=0)
    analysis.fit(X, domain=domain)
    K = pairwise_kernels(X, metric="rbf", gamma=0.2)
    values, vectors = paper(K, domain, 0.1, 6)
    np.testing.assert_allclose(analysis.criterion_, values, rtol=1e-7)
    assert largest_angle(K @ analysis.coefficients_, K @ vectors) < 1e-5


@pytest.mark.parametrize("formed", [2000, 3], ids=["gram", "operator"])
@pytest.mark.parametrize("features", [4, 90], ids=["tall", "wide"])
@pytest.mark.parametrize("sparse", [False, True])
def test_linear_kernel_is_solved_in_its_low_rank(formed, features, sparse, monkeypatch):
    monkeypatch.setattr(component_transformer, "FORMED", formed)
    X, domain = two_domains(2, features=features)
    X[np.abs(X) < 0.5] = 0
    K = X @ X.T
    values, vectors = paper(K, domain, 0.1, 3)
    analysis = TransferComponentAnalysis(3, kernel="linear", regularization=0.1)
    given = scipy.sparse.csr_matrix(X) if sparse else X
    Z = analysis.fit_transform(given, domain=domain)
    np.testing.assert_allclose(analysis.criterion_, values, rtol=1e-7)
    assert largest_angle(Z, K @ vectors) < 1e-5


OTHER_UNITS = {
    "scale 1e3": ([1, 1, 1e3, 1, 1], 0),
    "scale 3e3": ([1, 1, 3e3, 1, 1], 0),
    "scale 1e4": ([1e4, 1, 1, 1, 1], 0),
    "scale 1e6": ([1, 1, 1e6, 1, 1], 0),
    "offset 1e3": ([1, 1, 1, 1, 1], [0, 0, 1e3, 0, 0]),
    "offset 1e5": ([1, 1, 1, 1, 1], 1e5),
    "both": ([1, 1e3, 1e-2, 30, 1], [0, 1e6, 0, 0, 1e3]),
}


def in_other_units(units):
    X, domain = two_domains(21, source=60, target=60, features=5)
    scale, offset = OTHER_UNITS[units]
    return X * scale + offset, domain


@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("units", OTHER_UNITS)
def test_linear_kernel_is_exact_in_any_units(units, sparse, shifted):
    X, domain = in_other_units(units)
    domain = domain if shifted else None
    analysis = TransferComponentAnalysis(5, kernel="linear", regularization=0.1)
    Z = analysis.fit_transform(scipy.sparse.csr_matrix(X) if sparse else X, domain=domain)
    assert_exact_eigenvalues(analysis.criterion_, X, domain)
    centred = Z - Z.mean(0)
    ratio = 4 * analysis.criterion_ / analysis.criterion_.mean()
    error = centred.T @ centred / len(Z) - np.diag(ratio)
    assert (np.abs(error) < 1e-5 * np.sqrt(np.outer(ratio, ratio))).all()


@pytest.mark.parametrize("units", ["scale 1e3", "scale 1e4", "offset 1e3"])
@pytest.mark.parametrize("form", ["gram", "operator"])
def test_kernel_of_few_samples_is_exact_in_other_units(units, form, monkeypatch):
    X, domain = in_other_units(units)
    wide = np.hstack([X, np.zeros((120, 120))])
    monkeypatch.setattr(component_transformer, "FORMED", 3 if form == "operator" else 2000)
    # So little that directions which differ by many powers of ten all reach high values.
    regularization = 0.1 / absolute(X @ X.T, 1.0)
    analysis = TransferComponentAnalysis(20, kernel="linear", regularization=regularization)
    analysis.fit(wide, domain=domain)
    assert_exact_eigenvalues(analysis.criterion_, X, domain, 1e-4, regularization)


@pytest.mark.parametrize("features", [6, 400], ids=["dense", "lanczos"])
def test_components_far_smaller_than_the_first_are_found(features):
    X, _ = two_domains(22, source=300, target=300, features=features)
    X[:, 0] *= 1e4
    X -= X.mean(axis=0)
    Z = TransferComponentAnalysis(5, kernel="linear").fit_transform(X)
    expected = PCA(5, svd_solver="full").fit_transform(X)
    expected *= expected.std(axis=0)  # The criterion is that of `K = XXᵀ`, not of X.
    expected *= 2 / np.sqrt(expected.var(axis=0).mean())
    atol = 1e-5 * expected.std(axis=0)
    assert (np.abs(np.abs(Z) - np.abs(expected)) < atol).all()


@pytest.mark.parametrize("formed", [2000, 3], ids=["gram", "operator"])
def test_primal_penalises_the_projection(formed, monkeypatch):
    monkeypatch.setattr(component_transformer, "FORMED", formed)
    X, domain = two_domains(3)
    source = domain == "source"
    gap = X[source].mean(0) - X[~source].mean(0)
    centred = X - X.mean(0)
    values, vectors = scipy.linalg.eigh(
        centred.T @ centred,
        np.outer(gap, gap) + 0.5 * X.var(axis=0).sum() * np.eye(4),
        subset_by_index=[2, 3],
    )
    analysis = TransferComponentAnalysis(2, kernel="primal", regularization=0.5)
    analysis.fit(X, domain=domain)
    np.testing.assert_allclose(analysis.criterion_, values[::-1], rtol=1e-9)
    assert largest_angle(analysis.coefficients_, vectors) < 1e-7


def test_cosine_is_linear_on_samples_of_length_one():
    X, domain = two_domains(4)
    Z = TransferComponentAnalysis(3, kernel="cosine").fit_transform(X, domain=domain)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    expected = TransferComponentAnalysis(3, kernel="linear").fit_transform(unit, domain=domain)
    np.testing.assert_allclose(Z, expected, rtol=1e-9, atol=1e-9)


def test_components_have_a_mean_variance_of_four_and_the_proportions_of_the_criterion():
    X, domain = two_domains(5)
    analysis = TransferComponentAnalysis(4, gamma=0.2)
    Z = analysis.fit_transform(X, domain=domain)
    centred = Z - Z.mean(0)
    expected = np.diag(4 * analysis.criterion_ / analysis.criterion_.mean())
    np.testing.assert_allclose(centred.T @ centred / len(Z), expected, atol=1e-8)


@pytest.mark.parametrize("peer", ["adapt", "skada"])
@pytest.mark.parametrize("seed", range(3))
def test_criterion_is_above_that_of_other_libraries(peer, seed):
    X, domain = two_domains(seed, source=60, target=50)
    source, count = domain == "source", 5
    K = pairwise_kernels(X, metric="rbf")
    if peer == "adapt":
        other = oracles.adapt("feature_based._tca").TCA(n_components=count, mu=10.0, verbose=0)
        other.fit_transform(X[source], X[~source])
        W = other.vectors_
    else:
        module = oracles.skada("_subspace")
        other = module.TransferComponentAnalysisAdapter("rbf", n_components=count, mu=10.0)
        W = other.fit(X, sample_domain=np.where(source, 1, -2)).eigvects_
    # Their weight on the domains' distance is the inverse of ours on the regularization.
    relative = 0.1 / absolute(K, 1.0)
    ours = TransferComponentAnalysis(count, gamma=1 / X.shape[1], regularization=relative)
    ours.fit(X, domain=domain)
    reached = criterion(ours.coefficients_, K, domain, 0.1)
    np.testing.assert_allclose(reached, ours.criterion_.sum(), rtol=1e-8)
    assert criterion(W, K, domain, 0.1) < 0.99 * reached
    assert np.degrees(largest_angle(W, ours.coefficients_)) > 10


def test_all_samples_as_landmarks_are_exact():
    X, domain = two_domains(6)
    settings = {"n_components": 5, "gamma": 0.2, "random_state": 0}
    exact = TransferComponentAnalysis(**settings, solver="exact")
    low = TransferComponentAnalysis(**settings, solver="nystroem", landmarks=70)
    Z, approximated = (each.fit_transform(X, domain=domain) for each in (exact, low))
    assert (exact.solver_, low.solver_) == ("exact", "nystroem")
    np.testing.assert_allclose(approximated, Z, atol=1e-6)
    new = two_domains(7)[0]
    np.testing.assert_allclose(low.transform(new), exact.transform(new), atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_few_landmarks_come_close(seed):
    X, domain = two_domains(seed, source=200, target=200)
    settings = {"n_components": 5, "gamma": 0.1, "random_state": seed}
    exact = TransferComponentAnalysis(**settings)
    low = TransferComponentAnalysis(**settings, solver="nystroem", landmarks=100)
    Z, approximated = (each.fit_transform(X, domain=domain) for each in (exact, low))
    assert low.basis_.shape == (100, 4)
    np.testing.assert_allclose(low.criterion_, exact.criterion_, rtol=0.06)
    cosines = np.cos(scipy.linalg.subspace_angles(Z[:, :3], approximated[:, :3]))
    assert cosines.min() > 0.99


@pytest.mark.parametrize("solver", ["exact", "nystroem"])
def test_far_from_the_origin_nothing_changes(solver):
    X, domain = two_domains(6)
    X = np.round(X * 2**20) / 2**20  # Exact also where 2²⁷ is added.
    analysis = TransferComponentAnalysis(4, solver=solver, landmarks=30, random_state=0)
    near = analysis.fit_transform(X, domain=domain)
    far = analysis.fit_transform(X + 2.0**27, domain=domain)
    np.testing.assert_allclose(far, near, atol=1e-6)
    np.testing.assert_allclose(analysis.transform(X + 2.0**27), near, atol=1e-6)


@pytest.mark.parametrize("solver", ["exact", "nystroem"])
@pytest.mark.parametrize("sparse", [False, True])
def test_what_becomes_of_the_samples_does_not_matter(solver, sparse):
    X, domain = two_domains(6)
    given = scipy.sparse.csr_matrix(X) if sparse else X.copy()
    analysis = TransferComponentAnalysis(4, solver=solver, landmarks=100)
    expected = analysis.fit(given, domain=domain).transform(X)
    (given.data if sparse else given)[:] = 0.0
    np.testing.assert_array_equal(analysis.transform(X), expected)


def test_solver_goes_by_size(monkeypatch):
    X, domain = two_domains(8)
    monkeypatch.setattr(component_transformer, "EXACT_SAMPLES", 69)
    large = TransferComponentAnalysis(3, landmarks=20).fit(X, domain=domain)
    flat = TransferComponentAnalysis(3, kernel="linear", landmarks=20).fit(X, domain=domain)
    monkeypatch.setattr(component_transformer, "EXACT_SAMPLES", 70)
    small = TransferComponentAnalysis(3, landmarks=20).fit(X, domain=domain)
    assert (large.solver_, flat.solver_, small.solver_) == ("nystroem", "exact", "exact")


def test_new_samples_are_mapped_by_their_kernel_values(monkeypatch):
    X, domain = two_domains(9)
    new = two_domains(10)[0]
    analysis = TransferComponentAnalysis(3, gamma=0.2).fit(X, domain=domain)
    expected = pairwise_kernels(new, X, metric="rbf", gamma=0.2) @ analysis.coefficients_
    np.testing.assert_allclose(analysis.transform(new), expected, atol=1e-12)
    monkeypatch.setattr(component_transformer, "BATCH_VALUES", 700)  # ten rows at a time
    np.testing.assert_allclose(analysis.transform(new), expected, atol=1e-12)
    as_source = analysis.transform(new, domain=np.repeat(["target", "source"], 35))
    np.testing.assert_allclose(as_source, expected, atol=1e-12)


def test_without_domains_it_is_a_principal_component_analysis():
    X, _ = two_domains(11)
    X -= X.mean(0)
    Z = TransferComponentAnalysis(3, kernel="linear").fit_transform(X)
    expected = PCA(3).fit_transform(X)
    expected *= expected.std(axis=0)  # The criterion is that of `K = XXᵀ`, not of X.
    expected *= 2 / np.sqrt(expected.var(axis=0).mean())
    np.testing.assert_allclose(np.abs(Z), np.abs(expected), atol=1e-8)


def test_every_source_meets_every_target():
    random = np.random.default_rng(0)
    domain = np.repeat(["a", "b", "c", "d"], 50)
    X = random.normal(size=(200, 4))
    # Taken together, sources and targets have the same mean.
    X[domain == "a", 0] += 4
    X[domain == "b", 0] -= 4
    X[domain == "c", 1] += 4
    X[domain == "d", 1] -= 4
    analysis = TransferComponentAnalysis(2, kernel="linear", regularization=1e-6, target=["c", "d"])
    Z = analysis.fit_transform(X, domain=domain)
    means = np.array([Z[domain == name].mean(0) for name in "abcd"]) / Z.std(0)
    # In standard deviations; 2.8 in the first two features.
    assert np.ptp(means, axis=0).max() < 0.1
    assert analysis.sources_ == ("a", "b") and analysis.targets_ == ("c", "d")


def test_pairs_of_several_domains():
    from tl_keras.arrays import resolve_domains

    domains = resolve_domains(np.array([0, 0, 1, 2]), 2, 4)
    expected = np.array([[0.5, 0], [0.5, 0], [0, 1], [-1, -1]]) / np.sqrt(2)
    np.testing.assert_allclose(pairs_of_domains(domains), expected)
    assert pairs_of_domains(resolve_domains(None, 2, 4)).shape == (4, 0)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "polynomial", "cosine", "primal"])
def test_sparse_input_gives_the_same(kernel):
    X, domain = two_domains(12)
    X[np.abs(X) < 0.7] = 0
    analysis = TransferComponentAnalysis(3, kernel=kernel, random_state=0)
    Z = analysis.fit_transform(X, domain=domain)
    sparse = clone(analysis).fit_transform(scipy.sparse.csr_matrix(X), domain=domain)
    assert isinstance(sparse, np.ndarray)
    np.testing.assert_allclose(sparse, Z, atol=1e-6)


def test_start_of_the_solver_does_not_matter():
    X, domain = two_domains(13, source=250, target=200)
    first, again, other = (
        TransferComponentAnalysis(5, gamma=0.2, random_state=seed).fit_transform(X, domain=domain)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(other, first, atol=1e-6)


@pytest.mark.parametrize("scale", [1, 1e3])
def test_fewer_components_where_samples_span_fewer(scale):
    X, domain = two_domains(14)
    X[:, 0] *= scale
    X[:, 3] = X[:, 0] + X[:, 1]
    analysis = TransferComponentAnalysis(20, kernel="linear")
    assert analysis.fit_transform(X, domain=domain).shape == (70, 3)
    names = analysis.get_feature_names_out().tolist()
    assert names == [f"transfercomponentanalysis{i}" for i in range(3)]


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e3])
def test_constant_features_make_no_component_of_the_linear_kernel(constant):
    X, domain = two_domains(15)
    padded = np.hstack([X, np.full((70, 2), constant)])
    one, other = (
        TransferComponentAnalysis(20, kernel="linear").fit(given, domain=domain)
        for given in (X - X.mean(0), padded - np.append(X.mean(0), [0, 0]))
    )
    np.testing.assert_allclose(other.criterion_, one.criterion_, rtol=1e-8)


def test_constant_features_are_ignored():
    X, domain = two_domains(15)
    Z = TransferComponentAnalysis(3, gamma=0.2).fit_transform(X, domain=domain)
    padded = np.hstack([X, np.full((70, 2), 7.0)])
    same = TransferComponentAnalysis(3, gamma=0.2).fit_transform(padded, domain=domain)
    np.testing.assert_allclose(same, Z, atol=1e-6)


def test_pickle_and_frames():
    X, domain = two_domains(16)
    analysis = TransferComponentAnalysis(3).fit(X, domain=domain)
    loaded = pickle.loads(pickle.dumps(analysis))
    np.testing.assert_allclose(loaded.transform(X), analysis.transform(X), atol=1e-12)
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    frame = analysis.set_output(transform="pandas").transform(X)
    assert isinstance(frame, pandas.DataFrame) and frame.shape == (70, 3)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"n_components": 0}, "n_components: expected a whole number of 1 or more, got 0"),
        ({"landmarks": 2.5}, "landmarks: expected a whole number of 1 or more, got 2.5"),
        ({"regularization": 0}, "regularization: expected a number above 0, got 0"),
        ({"kernel": "rfb"}, "kernel: expected one of .*got 'rfb'. Did you mean 'rbf'"),
        ({"solver": "nystrom"}, "solver: expected one of .*Did you mean 'nystroem'"),
        ({"gamma": -1}, "gamma: expected a number above 0"),
        ({"target": "there"}, "target: no sample belongs to domain 'there'"),
        ({"gamma": 1e-30}, "kernel does not tell the samples apart"),
    ],
)
def test_bad_arguments(changes, text):
    X, domain = two_domains(17)
    with pytest.raises(InputError, match=text):
        TransferComponentAnalysis(**changes).fit(X, domain=domain)


@pytest.mark.parametrize("kernel", ["rbf", "linear", "primal"])
def test_bad_samples(kernel):
    X, domain = two_domains(18)
    analysis = TransferComponentAnalysis(kernel=kernel)
    with pytest.raises(InputError, match="X: all samples are equal"):
        analysis.fit(np.full((70, 4), 3.0), domain=domain)
    with pytest.raises(InputError, match="expected two samples or more, got n_samples=1"):
        analysis.fit(X[:1])
    with pytest.raises(ValueError, match="contains NaN"):
        analysis.fit(np.where(X > 3, np.nan, X), domain=domain)
    with pytest.raises(ValueError, match="X has 3 features, but Transfer"):
        analysis.fit(X, domain=domain).transform(X[:, :3])
    with pytest.raises(InputError, match="'elsewhere' was not seen in fit"):
        analysis.transform(X[:1], domain=["elsewhere"])


@pytest.mark.parametrize("kernel", ["linear", "primal", "polynomial"])
@pytest.mark.parametrize("count", [70, 500])
def test_products_that_overflow(kernel, count):
    X, domain = two_domains(19, source=count - 30)
    scale, text = 1e180, "values up to 1e\\+60, .* whose powers overflow"
    if kernel == "polynomial":  # Its third powers of products overflow long before.
        scale, text = 1e55, "of the(se)? features overflow"
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(InputError, match=text):
        TransferComponentAnalysis(2, kernel=kernel, gamma=1.0).fit(scale * X, domain=domain)


@pytest.mark.parametrize("solver", ["exact", "nystroem"])
def test_memory_is_refused_before_it_is_taken(solver, little_memory):
    X, domain = two_domains(20)
    little_memory(10_000)
    with pytest.raises(InputError, match=r"TransferComponentAnalysis: this needs about .* Use "):
        TransferComponentAnalysis(solver=solver).fit(X, domain=domain)


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_memory_of_the_dense_solver_is_refused_before_it_is_taken(
    kernel, little_memory, monkeypatch
):
    monkeypatch.setattr(component_transformer, "FORMED", 3)  # The linear kernel as an operator.
    X, domain = two_domains(20)
    analysis = TransferComponentAnalysis(kernel=kernel)
    analysis.set_params(n_components=70).fit(X, domain=domain)
    little_memory(4 * 8 * 70**2)  # The kernel fits, what is made of it does not.
    text = r"TransferComponentAnalysis: this needs about .* Ask for fewer components"
    with pytest.raises(InputError, match=text):
        analysis.fit(X, domain=domain)


@pytest.mark.parametrize("form", ["kernel", "low rank", "linear", "primal"])
def test_the_estimate_of_memory_is_what_the_dense_solver_takes(form, monkeypatch):
    X = np.random.default_rng(0).normal(size=(600, 400))
    space, size = {
        "kernel": (feature_space.FeatureSpace(X @ X.T), 600),
        "low rank": (feature_space.low_rank_space(X), 400),
        "linear": (feature_space.linear_space(X), 400),
        "primal": (feature_space.primal_space(X, formed=False), 400),
    }[form]
    estimates = []
    monkeypatch.setattr(mmd_components, "check_memory", lambda needed, *_: estimates.append(needed))
    tracemalloc.start()
    mmd_components.components(space, np.eye(600, 1), 0.1, size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.8 * peak < estimates[0] < 1.5 * peak


@pytest.mark.parametrize("kernel", ["rbf", "linear", "cosine", "primal"])
def test_scikit_learns_checks(kernel):
    check_estimator(TransferComponentAnalysis(kernel=kernel))
