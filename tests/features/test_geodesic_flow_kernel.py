import feature_domains
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse

from tl_keras.features import GeodesicFlowKernel
from tl_keras.features.geodesic_flow_kernel import disparity, geodesic_factor
from tl_keras.features.subspaces import Subspace
from tl_keras.utils.errors import InputError


def random_axes(seed, count, features):
    """Two random subspaces, orthonormal rows."""
    random = np.random.default_rng(seed)
    return [np.linalg.qr(random.normal(size=(features, count)))[0].T for _ in range(2)]


def geodesic(Ps, Pt):
    """The paper's Φ(t) = Ps U1 Γ(t) − Rs U2 Σ(t), with a complement Rs of Ps; columns are axes."""
    Rs = scipy.linalg.null_space(Ps.T)
    U1, cosines, Vt = np.linalg.svd(Ps.T @ Pt)
    angles = np.arccos(np.clip(cosines, -1, 1))
    U2 = -(Rs.T @ Pt @ Vt.T) / np.sin(angles)  # Rsᵀ Pt = −U2 Σ Vᵀ
    return lambda t: Ps @ U1 * np.cos(t * angles) - Rs @ U2 * np.sin(t * angles)


@pytest.mark.parametrize(("count", "features"), [(1, 2), (2, 5), (3, 6), (4, 20)])
@pytest.mark.parametrize("seed", range(3))
def test_kernel_is_the_integral_over_the_geodesic(seed, count, features):
    Ps, Pt = random_axes(seed, count, features)
    path = geodesic(Ps.T, Pt.T)
    there = path(1.0)
    np.testing.assert_allclose(there @ there.T, Pt.T @ Pt, atol=1e-10)  # It ends at the target.
    nodes, weights = np.polynomial.legendre.leggauss(40)
    integral = sum(
        weight / 2 * path((node + 1) / 2) @ path((node + 1) / 2).T
        for node, weight in zip(nodes, weights, strict=True)
    )
    factor = geodesic_factor(Ps, Pt)
    np.testing.assert_allclose(factor @ factor.T, integral, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_kernel_is_half_the_papers_closed_form(seed):
    Ps, Pt = (axes.T for axes in random_axes(seed, 3, 9))
    Rs = scipy.linalg.null_space(Ps.T)
    U1, cosines, Vt = np.linalg.svd(Ps.T @ Pt)
    theta = np.arccos(cosines)
    U2 = -(Rs.T @ Pt @ Vt.T) / np.sin(theta)
    L1 = np.diag(1 + np.sin(2 * theta) / (2 * theta))
    L2 = np.diag((np.cos(2 * theta) - 1) / (2 * theta))
    L3 = np.diag(1 - np.sin(2 * theta) / (2 * theta))
    outer = np.hstack([Ps @ U1, Rs @ U2])
    paper = outer @ np.block([[L1, L2], [L2, L3]]) @ outer.T
    factor = geodesic_factor(Ps.T, Pt.T)
    np.testing.assert_allclose(2 * factor @ factor.T, paper, atol=1e-12)


def test_shared_directions_and_tiny_angles_are_no_obstacle():
    same, other = random_axes(0, 3, 8)
    factor = geodesic_factor(same, same)
    np.testing.assert_allclose(factor @ factor.T, same.T @ same, atol=1e-12)
    near = np.linalg.qr((same + 1e-9 * other).T)[0].T
    factor = geodesic_factor(same, near)
    np.testing.assert_allclose(factor @ factor.T, same.T @ same, atol=2e-9)
    wide = random_axes(1, 5, 6)  # Two subspaces of five axes in six share four.
    factor = geodesic_factor(*wide)
    values = np.linalg.eigvalsh(factor @ factor.T)
    np.testing.assert_allclose(values[2:], 1.0, atol=1e-10)
    assert values[:2].sum() == pytest.approx(1.0)


def kernel_of(Xs, Xt, count):
    axes = [np.linalg.svd(X - X.mean(0))[2][:count] for X in (Xs, Xt)]
    factor = geodesic_factor(*axes)
    return factor @ factor.T


@pytest.mark.parametrize("align", [True, False])
def test_inner_products_of_mapped_samples_are_the_kernel(align):
    Xs, Xt = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    G = kernel_of(Xs, Xt, 2)
    estimator = GeodesicFlowKernel(2, align_means=align).fit(X, domain=domain)
    mapped = estimator.transform(X, domain=domain)
    base = np.where((domain == "source")[:, None], Xs.mean(0), Xt.mean(0)) if align else 0.0
    np.testing.assert_allclose(mapped @ mapped.T, (X - base) @ G @ (X - base).T, atol=1e-9)
    # The root is the symmetric one.
    root = scipy.linalg.sqrtm(G + 1e-18 * np.eye(5)).real
    np.testing.assert_allclose(mapped, (X - base) @ root, atol=1e-7)
    eigenvalues = np.linalg.eigvalsh(G)[::-1][: len(estimator.eigenvalues_)]
    np.testing.assert_allclose(estimator.eigenvalues_, eigenvalues, atol=1e-10)


def test_it_is_a_projection_where_nothing_has_shifted():
    Xs, _ = feature_domains.two_domains()
    centred = Xs - Xs.mean(0)
    axes = np.linalg.svd(centred)[2][:2]
    X, domain = feature_domains.stacked(source=Xs, target=Xs)
    for mapped in (
        GeodesicFlowKernel(2).fit_transform(X, domain=domain)[:60],
        GeodesicFlowKernel(2).fit_transform(Xs),
    ):
        np.testing.assert_allclose(mapped, centred @ axes.T @ axes, atol=1e-7)


def test_kernels_of_several_sources_are_averaged_and_targets_pooled():
    Xa, Xt = feature_domains.two_domains(0)
    Xb, Xu = feature_domains.two_domains(1)
    X, domain = feature_domains.stacked(a=Xa, t=Xt, b=Xb, u=Xu)
    pooled = np.vstack([Xt, Xu])
    G = (kernel_of(Xa, pooled, 2) + kernel_of(Xb, pooled, 2)) / 2
    mapped = GeodesicFlowKernel(2, target=["t", "u"]).fit_transform(X, domain=domain)
    means = {"a": Xa.mean(0), "b": Xb.mean(0), "t": pooled.mean(0), "u": pooled.mean(0)}
    centred = X - np.array([means[name] for name in domain])
    np.testing.assert_allclose(mapped @ mapped.T, centred @ G @ centred.T, atol=1e-9)


def sines_of(P, Q):
    return np.sin(scipy.linalg.subspace_angles(P, Q)).max()


@pytest.mark.parametrize("seed", range(3))
def test_number_of_axes_follows_the_papers_disparity(seed):
    Xs, Xt = feature_domains.two_domains(seed, features=12)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    centred = np.vstack([Xs - Xs.mean(0), Xt - Xt.mean(0)])
    axes = [np.linalg.svd(part - part.mean(0))[2].T for part in (Xs, Xt, centred)]
    expected = [
        (sines_of(axes[0][:, :d], axes[2][:, :d]) + sines_of(axes[1][:, :d], axes[2][:, :d])) / 2
        for d in range(1, 7)
    ]
    parts = [Subspace(np.zeros(12), *_variances(part)) for part in (Xs, Xt)]
    np.testing.assert_allclose(disparity(*parts, (60, 50), 6), expected, atol=1e-7)
    used = GeodesicFlowKernel().fit(X, domain=domain).n_components_["source"]
    reached = [d for d, value in enumerate(expected, 1) if value >= 0.99]
    assert used == (reached[0] if reached else 6)


def _variances(X):
    _, singular, axes = np.linalg.svd(X - X.mean(0), full_matrices=False)
    return axes, singular**2 / (len(X) - 1)


def test_sparse_samples_give_the_same_as_dense():
    X = scipy.sparse.random(80, 12, density=0.3, random_state=0, format="csr")
    domain = np.repeat([0, 1], 40)
    for count in (3, "auto"):
        estimator = GeodesicFlowKernel(count, target=1)
        dense = estimator.fit_transform(X.toarray(), domain=domain)
        mapped = estimator.fit_transform(X, domain=domain)
        assert isinstance(mapped, np.ndarray)
        np.testing.assert_allclose(mapped, dense, atol=1e-10)


def test_a_linear_model_transfers_better():
    before, after = feature_domains.gains(GeodesicFlowKernel(2)).T
    assert before.mean() < 0.8  # .71 over these seeds
    assert after.min() > 0.94  # .97


def fails(text, X, domain, **settings):
    with pytest.raises(InputError, match=text):
        GeodesicFlowKernel(**settings).fit(X, domain=domain)


def test_bad_input_is_refused(little_memory):
    Xs, Xt = feature_domains.two_domains(target=4, features=8)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    fails(
        r"n_components: expected at most 3, the number of directions in which the target varies "
        r"\(4 samples, 8 features\), got 4",
        X,
        domain,
        n_components=4,
    )
    for count in (0, 2.0, "many", None):
        text = "n_components: expected 'auto' or a whole number, 1 or more, got"
        fails(text, X, domain, n_components=count)
    one, where = feature_domains.stacked(source=Xs[:1], target=Xt)
    fails("GeodesicFlowKernel: domain 'source' has 1 sample", one, where)
    constant, where = feature_domains.stacked(source=np.ones((9, 8)), target=Xt)
    fails("all features of domain 'source' are constant", constant, where)
    estimator = GeodesicFlowKernel(2).fit(X, domain=domain)
    little_memory(1e3)
    with pytest.raises(InputError, match=r"needs about .* Transform fewer samples at a time"):
        estimator.transform(X)
