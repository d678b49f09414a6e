import subprocess
import sys

import feature_domains
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from tl_keras.features import OptimalTransportMapping, optimal_transport_mapping, transport_plans
from tl_keras.features.transport_plans import entropic_plan, exact_plan, group_lasso_plan
from tl_keras.utils.errors import InputError

ot = pytest.importorskip("ot", reason='pip install "tl_keras[transport]"')


def problem(seed=0, source=40, target=30):
    """Return source, target, labels of the source, and the cost in units of its median."""
    Xs, Xt = feature_domains.two_domains(seed, source, target, features=3)
    labels = np.arange(source) % 3
    Xs[labels == 1] += 2.0
    cost = ((Xs[:, None] - Xt) ** 2).sum(-1)
    return Xs, Xt, labels, cost / np.median(cost)


def marginals(mass):
    np.testing.assert_allclose(mass.sum(1), 1 / mass.shape[0], atol=1e-8)
    np.testing.assert_allclose(mass.sum(0), 1 / mass.shape[1], atol=1e-8)
    assert mass.min() >= 0


def test_on_a_line_the_exact_plan_sorts():
    random = np.random.default_rng(0)
    Xs, Xt = random.normal(size=(25, 1)), 3 + 2 * random.normal(size=(25, 1))
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    mapped = OptimalTransportMapping("exact").fit_transform(X, domain=domain)
    expected = np.sort(Xt, axis=0)[np.argsort(np.argsort(Xs[:, 0]))]
    np.testing.assert_allclose(mapped[:25], expected, atol=1e-12)
    np.testing.assert_array_equal(mapped[25:], Xt)


def test_two_samples_have_sinkhorn_s_closed_form():
    """With costs [[0, c], [c, 0]] the share that stays is 1 / (1 + exp(−c / ε))."""
    cost, entropy = np.array([[0.0, 0.7], [0.7, 0.0]]), 0.4
    stays = 1 / (1 + np.exp(-0.7 / entropy))
    plan = entropic_plan(cost, entropy)
    expected = np.array([[stays, 1 - stays], [1 - stays, stays]]) / 2
    np.testing.assert_allclose(plan.mass, expected, atol=1e-10)


def test_entropic_plan_is_optimal():
    """At the optimum, log γ + C / ε is the sum of a row's and a column's term."""
    *_, cost = problem()
    for entropy in (0.02, 0.1, 1.0):
        mass = entropic_plan(cost, entropy).mass
        marginals(mass)
        terms = np.log(mass) + cost / entropy
        rest = terms - terms.mean(1, keepdims=True) - terms.mean(0) + terms.mean()
        np.testing.assert_allclose(rest, 0.0, atol=1e-8)


def test_exact_plan_is_feasible_and_cheaper_than_others():
    *_, cost = problem()
    exact = exact_plan(cost).mass
    marginals(exact)
    assert (exact > 0).sum() <= sum(cost.shape) - 1  # A vertex of the feasible set.
    for entropy in (0.02, 0.1):
        assert (exact * cost).sum() < (entropic_plan(cost, entropy).mass * cost).sum()


def group_objective(mass, cost, labels, entropy, strength):
    norms = sum(np.sqrt((mass[labels == c] ** 2).sum(0)).sum() for c in np.unique(labels))
    entropic = (mass[mass > 0] * np.log(mass[mass > 0])).sum()
    return (mass * cost).sum() + entropy * entropic + strength * norms


@pytest.mark.parametrize("strength", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(2))
def test_group_lasso_plan_is_at_least_as_good_as_pot_s(seed, strength):
    _, _, labels, cost = problem(seed)
    weights = [np.full(count, 1 / count) for count in cost.shape]
    peer = ot.da.sinkhorn_l1l2_gl(weights[0], labels, weights[1], cost, 0.1, strength)
    plan = group_lasso_plan(cost, labels, 0.1, strength).mass
    marginals(plan)
    parameters = cost, labels, 0.1, strength
    ours, theirs = (group_objective(mass, *parameters) for mass in (plan, peer))
    plain = group_objective(entropic_plan(cost, 0.1).mass, *parameters)
    assert ours <= theirs + 1e-5 * abs(theirs)
    assert ours < plain


def test_group_lasso_without_strength_is_sinkhorn():
    _, _, labels, cost = problem()
    plan = group_lasso_plan(cost, labels, 0.2, 0.0).mass
    np.testing.assert_allclose(plan, entropic_plan(cost, 0.2).mass, atol=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_group_lasso_lets_a_target_sample_receive_from_few_classes(seed):
    _, _, labels, cost = problem(seed)
    mixing = []
    for strength in (0.0, 1.0, 3.0):
        mass = group_lasso_plan(cost, labels, 0.1, strength).mass
        shares = np.array([mass[labels == c].sum(0) for c in range(3)]) * mass.shape[1]
        mixing.append(1 - shares.max(0).mean())
    assert mixing[2] < mixing[1] < mixing[0]


def test_small_entropies_go_through_logarithms(monkeypatch):
    *_, cost = problem()
    kinds = []
    sinkhorn = ot.sinkhorn
    monkeypatch.setattr(
        ot,
        "sinkhorn",
        lambda *a, method="sinkhorn", **k: kinds.append(method) or sinkhorn(*a, method, **k),
    )
    expected = entropic_plan(cost, 0.05).mass
    assert kinds == ["sinkhorn"]
    with pytest.warns(ConvergenceWarning, match="of the mass lies in the wrong place"):
        mass = entropic_plan(cost, 1e-4).mass
    assert kinds[-1] == "sinkhorn_log"
    assert np.isfinite(mass).all()
    # A constant per row and column changes nothing, however large.
    shifted = cost + 1e4 * np.arange(cost.shape[0])[:, None] + 1e3 * np.arange(cost.shape[1])
    np.testing.assert_allclose(entropic_plan(shifted, 0.05).mass, expected, atol=1e-8)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("metric", ["sqeuclidean", "cityblock"])
def test_sinkhorn_agrees_with_pot_in_and_out_of_the_sample(seed, metric):
    Xs, Xt, *_ = problem(seed)
    new = np.random.default_rng(seed).normal(size=(20, 3))
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    ours = OptimalTransportMapping(entropy=0.2, metric=metric).fit(X, domain=domain)
    peer = ot.da.SinkhornTransport(reg_e=0.2, norm="median", metric=metric, max_iter=5000)
    peer.fit(Xs=Xs, Xt=Xt)
    mapped = ours.transform(X, domain=domain)[: len(Xs)]
    barycentric = peer.coupling_ @ Xt / peer.coupling_.sum(1, keepdims=True)
    np.testing.assert_allclose(mapped, barycentric, atol=1e-6)
    there = ours.transform(new, domain=["source"] * 20)
    np.testing.assert_allclose(there, peer.transform(new), atol=1e-6)


@pytest.mark.parametrize("seed", range(2))
def test_exact_agrees_with_pot_in_and_out_of_the_sample(seed):
    Xs, Xt, *_ = problem(seed)
    new = np.random.default_rng(seed).normal(size=(20, 3))
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    ours = OptimalTransportMapping("exact").fit(X, domain=domain)
    peer = ot.da.EMDTransport(norm="median").fit(Xs=Xs, Xt=Xt)
    mapped = ours.transform(X, domain=domain)[: len(Xs)]
    np.testing.assert_allclose(mapped, peer.transform(Xs), atol=1e-9)
    there = ours.transform(new, domain=["source"] * 20)
    np.testing.assert_allclose(there, peer.transform(new), atol=1e-9)


def test_equal_samples_of_different_classes_keep_images_of_their_own():
    Xs = np.array([[0.0], [0.0], [0.0], [0.0]])
    Xt = np.array([[-1.0], [-1.0], [1.0], [1.0]])
    plan = transport_plans.Plan(np.kron(np.eye(2), np.full((2, 2), 1 / 8)))
    images = optimal_transport_mapping.barycentres(plan, Xs, Xt)
    mapped = optimal_transport_mapping.NearestMap(Xs, images)(Xs)
    np.testing.assert_array_equal(mapped.ravel(), [-1, -1, 1, 1])
    emptied = transport_plans.Plan(np.zeros((4, 4)))
    stay = optimal_transport_mapping.barycentres(emptied, Xs + 5, Xt)
    np.testing.assert_array_equal(stay, Xs + 5)


def test_each_source_has_a_plan_of_its_own_to_the_pooled_targets():
    Xa, Xt = feature_domains.two_domains(0, 20, 15)
    Xb, Xu = feature_domains.two_domains(1, 20, 15)
    X, domain = feature_domains.stacked(a=Xa, t=Xt, b=Xb, u=Xu)
    both = OptimalTransportMapping("exact", target=["t", "u"]).fit(X, domain=domain)
    for name, source in (("a", Xa), ("b", Xb)):
        X, domain = feature_domains.stacked(source=source, target=np.vstack([Xt, Xu]))
        alone = OptimalTransportMapping("exact").fit_transform(X, domain=domain)
        mapped = both.transform(source, domain=[name] * 20)
        np.testing.assert_allclose(mapped, alone[:20], atol=1e-12)
    np.testing.assert_array_equal(both.transform(Xt), Xt)


def test_nothing_moves_where_nothing_has_shifted():
    Xs, _ = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xs[::-1])
    mapped = OptimalTransportMapping("exact").fit_transform(X, domain=domain)
    np.testing.assert_allclose(mapped, X, atol=1e-12)
    np.testing.assert_array_equal(OptimalTransportMapping().fit_transform(Xs), Xs)


@pytest.mark.parametrize("method", ["sinkhorn", "exact", "group-lasso"])
def test_many_samples_are_mapped_by_the_plan_of_some(method):
    Xs, ys, Xt, _ = feature_domains.stretched_classes(0, samples=300)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    y = np.concatenate([ys, np.full(300, -1)])
    whole = OptimalTransportMapping(method).fit_transform(X, y, domain=domain)[:300]
    estimator = OptimalTransportMapping(method, max_samples=150, random_state=0)
    some = estimator.fit_transform(X, y, domain=domain)[:300]
    held = estimator.maps_["source"]
    assert len(held.targets if method == "sinkhorn" else held.images) == 150
    again = estimator.fit_transform(X, y, domain=domain)[:300]
    np.testing.assert_array_equal(some, again)
    spread = np.linalg.norm(whole - whole.mean(0), axis=1).mean()
    assert np.linalg.norm(some - whole, axis=1).mean() < 0.5 * spread


@pytest.mark.parametrize("method", ["sinkhorn", "exact", "group-lasso"])
def test_a_linear_model_transfers_better(method):
    before, after = feature_domains.gains(OptimalTransportMapping(method), range(4)).T
    assert before.mean() < 0.8
    assert after.min() > 0.9


def test_string_labels_are_classes():
    Xs, Xt, labels, _ = problem()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    mapping = OptimalTransportMapping("group-lasso")
    blank = np.full(30, None)
    numbers = mapping.fit_transform(X, np.concatenate([labels, np.full(30, -1)]), domain=domain)
    names = np.concatenate([np.array(["x", "y", "z"], dtype=object)[labels], blank])
    np.testing.assert_array_equal(mapping.fit_transform(X, names, domain=domain), numbers)


def test_images_belong_to_the_map():
    Xs, Xt = feature_domains.two_domains()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    mapping = OptimalTransportMapping("exact").fit(X, domain=domain)
    first = mapping.transform(Xs, domain=["source"] * len(Xs))
    expected = first.copy()
    first[:] = 0.0
    np.testing.assert_array_equal(mapping.transform(Xs, domain=["source"] * len(Xs)), expected)


def test_equal_samples_everywhere_are_no_obstacle():
    X, domain = np.ones((8, 2)), ["source"] * 5 + ["target"] * 3
    for method in ("sinkhorn", "exact"):
        mapped = OptimalTransportMapping(method).fit_transform(X, domain=domain)
        np.testing.assert_allclose(mapped, X, atol=1e-12)


def fails(text, X, y, domain, **settings):
    with pytest.raises(InputError, match=text):
        OptimalTransportMapping(**settings).fit(X, y, domain=domain)


def test_bad_input_is_refused():
    Xs, Xt, labels, _ = problem()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    fails(
        "method: expected one of sinkhorn, exact, group-lasso, got 'emd'",
        X,
        None,
        domain,
        method="emd",
    )
    fails("metric: expected one of sqeuclidean, .* got 'l2'", X, None, domain, metric="l2")
    for entropy in (0.0, -1.0, np.nan, np.inf, "small"):
        fails("entropy: expected a number above 0, got", X, None, domain, entropy=entropy)
    fails(
        "class_strength: expected a number, 0 or more, got -1", X, None, domain, class_strength=-1
    )
    fails(
        "max_samples: expected a whole number, 2 or more, or None, got 1",
        X,
        None,
        domain,
        max_samples=1,
    )
    lasso = {"method": "group-lasso"}
    fails(
        "y: method='group-lasso' needs the classes of the source samples, got None",
        X,
        None,
        domain,
        **lasso,
    )
    y = np.concatenate([labels, np.full(30, -1)])
    y[3] = -1
    fails("y: 1 of 40 samples of source domain 'source' have no label", X, y, domain, **lasso)
    y[:40] = 2
    fails("y: expected labels of two classes or more in the source domains", X, y, domain, **lasso)


def test_a_plan_that_would_not_fit_is_refused(little_memory):
    little_memory(1e4)
    Xs, Xt, *_ = problem()
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    fails("OptimalTransportMapping: this needs about .* Give max_samples", X, None, domain)


def test_without_pot_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(InputError, match=r'not installed: pip install "tl_keras\[transport\]"'):
        OptimalTransportMapping().fit(np.ones((3, 1)))


def test_pot_is_used_without_tensorflow():
    code = (
        "import os, sys, numpy as np\n"
        "from tl_keras.features import OptimalTransportMapping\n"
        "assert 'ot' not in sys.modules\n"
        "X = np.random.default_rng(0).normal(size=(20, 2))\n"
        "OptimalTransportMapping().fit(X, domain=['source', 'target'] * 10)\n"
        "assert 'POT_BACKEND_DISABLE_TENSORFLOW' not in os.environ\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
