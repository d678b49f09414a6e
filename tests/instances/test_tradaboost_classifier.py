"""TrAdaBoost against the paper written out, ADAPT, and its own promises."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from boosted_domains import three_classes, two_classes
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

from tests import oracles
from tl_keras.arrays import DegenerateWeights
from tl_keras.instances import TrAdaBoostClassifier
from tl_keras.utils.errors import InputError


class LabelTree(ClassifierMixin, BaseEstimator):
    """A tree without probabilities."""

    def __init__(self, max_depth=1):
        self.max_depth = max_depth

    def fit(self, X, y, sample_weight=None):
        self.tree_ = DecisionTreeClassifier(max_depth=self.max_depth, random_state=0)
        self.tree_.fit(X, y, sample_weight)
        self.classes_ = self.tree_.classes_
        return self

    def predict(self, X):
        return self.tree_.predict(X)


class Always(ClassifierMixin, BaseEstimator):
    """Says the same class for everything, whatever it is fitted on."""

    def __init__(self, answer=0):
        self.answer = answer

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(X.shape[0], self.answer)


class OneRule(LabelTree):
    """A tree that heeds no weights."""

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, y)


def paper(make, X, y, source, rounds, new):
    """Figure 1 of Dai et al. for y in {0, 1} and hard labels; weights and h_f(new)."""
    n, w, history, models, betas = source.sum(), np.ones(len(y)), [], [], []
    beta = 1 / (1 + np.sqrt(2 * np.log(n) / rounds))
    for _ in range(rounds):
        p = w / w.sum()
        history.append(p)
        h = make().fit(X, y, sample_weight=p * len(y))
        wrong = np.abs(h.predict(X) - y)
        error = (w * wrong)[~source].sum() / w[~source].sum()
        assert 0 < error < 0.5
        models.append(h)
        betas.append(error / (1 - error))
        w = w.copy()
        w[source] *= beta ** wrong[source]
        w[~source] *= betas[-1] ** -wrong[~source]
    votes = range(int(np.ceil(rounds / 2)) - 1, rounds)
    left = np.prod([betas[t] ** -models[t].predict(new) for t in votes], axis=0)
    right = np.prod([betas[t] ** -0.5 for t in votes])
    return np.array(history), (left >= right).astype(int)


@pytest.mark.parametrize("rounds", [7, 8])
def test_weights_and_votes_follow_the_paper(rounds):
    X, y, domain = two_classes(seed=3, n_target=60)
    source, new = domain == "source", np.random.default_rng(9).normal(size=(200, 3))
    history, answers = paper(lambda: LabelTree(2), X, y, source, rounds, new)
    model = TrAdaBoostClassifier(LabelTree(2), n_estimators=rounds).fit(X, y, domain=domain)
    np.testing.assert_allclose(model.source_weights_, history[:, source], rtol=1e-9)
    np.testing.assert_allclose(model.target_weights_, history[:, ~source], rtol=1e-9)
    np.testing.assert_array_equal(model.predict(new), answers)
    assert 0 < answers.mean() < 1


@pytest.mark.parametrize("estimator", [LogisticRegression(), LabelTree(2)])
@pytest.mark.parametrize("make", [two_classes, three_classes])
def test_weights_of_each_round_agree_with_adapt(make, estimator):
    adapt = oracles.adapt("instance_based._tradaboost")
    X, y, domain = make(seed=1)
    source, new = domain == "source", np.random.default_rng(5).normal(size=(100, X.shape[1]))
    peer = adapt.TrAdaBoost(
        estimator, Xt=X[~source], yt=y[~source], n_estimators=9, verbose=0, random_state=0
    ).fit(X[source], y[source])
    model = TrAdaBoostClassifier(estimator, n_estimators=9, beta="bounded")
    model.fit(X, y, domain=domain)
    np.testing.assert_allclose(model.source_weights_, peer.sample_weights_src_, rtol=1e-6)
    np.testing.assert_allclose(model.target_weights_, peer.sample_weights_tgt_, rtol=1e-6)
    np.testing.assert_allclose(model.estimator_errors_, peer.estimator_errors_, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(new), peer.predict(new))
    assert model.source_weights_[-1].max() > 10 * model.source_weights_[-1].min()


def test_one_step_of_adapts_weights_with_the_papers_factor():
    """From ADAPT's first estimator and error, with the paper's β_t."""
    adapt = oracles.adapt("instance_based._tradaboost")
    X, y, domain = two_classes(seed=1)
    source = domain == "source"
    peer = adapt.TrAdaBoost(
        LogisticRegression(), Xt=X[~source], yt=y[~source], n_estimators=2, verbose=0
    ).fit(X[source], y[source])
    model = TrAdaBoostClassifier(LogisticRegression(), n_estimators=2).fit(X, y, domain=domain)
    error, errors = peer.estimator_errors_[0], 1 - peer.estimators_[0].predict_proba(X)[:, 1]
    errors = np.where(y == 1, errors, 1 - errors)
    weights = np.where(source, 1 / (1 + np.sqrt(np.log(source.sum()))), (1 - error) / error)
    weights = weights**errors / (weights**errors).sum()
    np.testing.assert_allclose(model.source_weights_[1], weights[source], atol=1e-6)
    np.testing.assert_allclose(model.target_weights_[1], weights[~source], atol=1e-6)


def test_samme_factor_for_three_classes_and_the_papers_for_two():
    X, y, domain = three_classes(seed=2)
    model = TrAdaBoostClassifier(LabelTree(2), n_estimators=6, beta="samme")
    model.fit(X, y, domain=domain)
    errors = model.estimator_errors_
    assert ((errors > 0) & (errors < 2 / 3)).all() and errors.max() > 0.3
    np.testing.assert_allclose(model.estimator_weights_, np.log((1 - errors) / errors * 2))
    X, y, domain = two_classes(seed=2)
    models = [TrAdaBoostClassifier(beta=b).fit(X, y, domain=domain) for b in ("paper", "samme")]
    np.testing.assert_array_equal(*(m.source_weights_ for m in models))


def test_source_samples_that_contradict_the_target_fade():
    for seed in range(5):
        X, y, domain = two_classes(seed=seed)
        model = TrAdaBoostClassifier(DecisionTreeClassifier(max_depth=2, random_state=0))
        last = model.fit(X, y, domain=domain).source_weights_[-1]
        X, y = X[domain == "source"], y[domain == "source"]
        contradicts = y != (X[:, 0] + X[:, 1] > 0)
        assert last[contradicts].mean() < 0.5 * last[~contradicts].mean()


def test_it_is_better_than_target_only_and_than_both_pooled():
    errors = []
    for seed in range(24):
        X, y, domain = two_classes(seed=seed, n_source=200, n_target=12)
        new = np.random.default_rng(100 + seed).normal(size=(1000, 3))
        truth = (new[:, 0] + new[:, 1] > 0).astype(int)
        target, tree = domain == "target", DecisionTreeClassifier(max_depth=3, random_state=0)
        fits = (
            clone(tree).fit(X[target], y[target]),
            clone(tree).fit(X, y),
            TrAdaBoostClassifier(tree, n_estimators=20).fit(X, y, domain=domain),
        )
        errors.append([1 - fit.score(new, truth) for fit in fits])
    alone, pooled, boosted = np.mean(errors, axis=0)
    assert boosted < alone - 0.01
    assert boosted < pooled - 0.02


def test_a_round_without_error_on_the_target_moves_source_weights_only():
    X, y, domain = two_classes(seed=0, n_target=4)
    source = domain == "source"
    y[~source] = [0, 0, 1, 1]
    X[~source, 0], X[~source, 1] = [-3, -2, 2, 3], 0.0
    model = TrAdaBoostClassifier(LabelTree(), n_estimators=4).fit(X, y, domain=domain)
    assert (model.estimator_errors_ == 0).all()
    np.testing.assert_allclose(model.estimator_weights_, np.log(1e10), rtol=1e-9)
    np.testing.assert_allclose(np.ptp(model.target_weights_, axis=1), 0, atol=1e-15)
    assert len(model.estimators_) == 4
    assert np.ptp(model.source_weights_[1]) > 1e-3
    assert (model.predict(X[~source]) == y[~source]).all()


def test_a_round_without_any_error_is_the_last():
    X = np.array([[-1.0], [1.0]] * 10)
    y, domain = np.array([0, 1] * 10), np.repeat(["source", "target"], [14, 6])
    model = TrAdaBoostClassifier(LabelTree(), n_estimators=10).fit(X, y, domain=domain)
    assert len(model.estimators_) == len(model.source_weights_) == 1
    assert (model.predict(X) == y).all()


def test_a_round_worse_than_guessing_votes_by_its_complement():
    X, y, domain = two_classes(seed=0)
    source = domain == "source"
    model = TrAdaBoostClassifier(Always(0), n_estimators=3)
    y[~source] = np.arange(30) % 10 > 1  # eight of ten are 1
    with pytest.warns(ConvergenceWarning):  # from the second round on the error is ½
        model.fit(X, y, domain=domain)
    assert model.estimator_errors_[0] == pytest.approx(0.8)
    assert model.estimator_weights_[0] == pytest.approx(-np.log(4))
    # The complement says 1: it is wrong for those samples whose class is 0.
    lowered = model.source_weights_[1] < model.source_weights_[1].max() * (1 - 1e-12)
    np.testing.assert_array_equal(lowered, y[source] == 0)
    raised = model.target_weights_[1] > model.target_weights_[1].min() * (1 + 1e-12)
    np.testing.assert_array_equal(raised, y[~source] == 0)
    only = TrAdaBoostClassifier(Always(0), n_estimators=1).fit(X, y, domain=domain)
    np.testing.assert_allclose(only.predict_proba(X[:3]), [[0.0, 1.0]] * 3)
    assert (only.predict(X[:3]) == 1).all()


def test_with_three_classes_a_round_worse_than_guessing_has_no_vote():
    X, y, domain = three_classes(seed=0)
    source = domain == "source"
    y[~source] = np.resize([0, 1, 2, 1, 2], (~source).sum())
    with pytest.warns(ConvergenceWarning, match=r"no voting round is better .* sample_weight"):
        model = TrAdaBoostClassifier(Always(0), n_estimators=4).fit(X, y, domain=domain)
    assert not model.estimator_weights_.any()
    np.testing.assert_allclose(np.ptp(model.target_weights_, axis=1), 0, atol=1e-15)
    assert (model.predict(X) == 0).all()
    lowered = model.source_weights_[1] < model.source_weights_[1].max() * (1 - 1e-12)
    np.testing.assert_array_equal(lowered, y[source] != 0)


def test_one_sample_with_all_weight_is_a_warning():
    X = np.linspace(-1, 1, 40)[:, None]
    y = (X[:, 0] > 0).astype(int)
    y[39] = 0
    estimator = OneRule()  # never follows the wrong label
    with pytest.warns(DegenerateWeights, match=r"last round .* size is 1\.\d of 40 .* one of them"):
        TrAdaBoostClassifier(estimator, n_estimators=8, beta="bounded").fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DegenerateWeights)
        TrAdaBoostClassifier(estimator, n_estimators=2).fit(X, y)


def test_strings_unlabelled_targets_and_order_of_samples():
    X, y, domain = two_classes(seed=4)
    plain = TrAdaBoostClassifier(n_estimators=5).fit(X, y, domain=domain)
    names = np.array(["no", "yes"])[y].astype(object)
    extra = np.random.default_rng(0).normal(size=(10, 3))
    shuffled = np.random.default_rng(1).permutation(len(X) + 10)
    more_X, more_domain = np.vstack([X, extra])[shuffled], np.r_[domain, ["target"] * 10][shuffled]
    for blank in (None, np.nan, -1):
        more_y = np.r_[names, np.full(10, blank, object)][shuffled]
        model = TrAdaBoostClassifier(n_estimators=5).fit(more_X, more_y, domain=more_domain)
        assert model.classes_.tolist() == ["no", "yes"]
        from_list = TrAdaBoostClassifier(n_estimators=5).fit(
            more_X, more_y.tolist(), domain=more_domain.tolist()
        )
        assert from_list.classes_.tolist() == ["no", "yes"]
        np.testing.assert_array_equal(from_list.source_weights_, model.source_weights_)
        np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(X), atol=1e-6)
        assert model.target_weights_.shape == (5, 30)
        order = shuffled[shuffled < len(X)]
        kept = order[domain[order] == "source"]
        np.testing.assert_allclose(model.source_weights_, plain.source_weights_[:, kept], atol=1e-8)


def test_unlabelled_targets_as_minus_one_and_nan_among_numbers():
    X, y, domain = two_classes(seed=4)
    plain = TrAdaBoostClassifier(n_estimators=5).fit(X[:-9], y[:-9], domain=domain[:-9])
    for blank, kind in ((-1, int), (np.nan, float)):
        part = np.r_[y[:-9], np.full(9, blank)].astype(kind)
        model = TrAdaBoostClassifier(n_estimators=5).fit(X, part, domain=domain)
        np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(X))


def test_several_sources_and_targets_are_pooled():
    X, y, domain = two_classes(seed=5)
    finer = np.array([f"{name} {i % 3}" for i, name in enumerate(domain)])
    targets = [f"target {i}" for i in range(3)]
    model = TrAdaBoostClassifier(target=targets).fit(X, y, domain=finer)
    plain = TrAdaBoostClassifier().fit(X, y, domain=domain)
    np.testing.assert_array_equal(model.source_weights_, plain.source_weights_)
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))


def test_a_class_that_the_target_lacks_is_kept():
    X, y, domain = three_classes(seed=1)
    kept = (domain == "source") | (y != 2)
    model = TrAdaBoostClassifier(n_estimators=30).fit(X[kept], y[kept], domain=domain[kept])
    assert all(fitted.classes_.tolist() == [0, 1, 2] for fitted in model.estimators_)
    assert (model.source_weights_[-1][y[domain == "source"] == 2] > 0).all()
    proba = model.predict_proba(X)
    assert proba.shape == (len(X), 3) and (proba[:, 2] > 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_without_domains_it_is_adaboost():
    X, y, _ = two_classes(seed=6)
    model = TrAdaBoostClassifier(LabelTree(2), n_estimators=6).fit(X, y)
    weights = np.ones(len(y)) / len(y)
    for used, fitted in zip(model.target_weights_, model.estimators_, strict=True):
        np.testing.assert_allclose(used, weights, rtol=1e-9)
        wrong = fitted.predict(X) != y
        error = weights[wrong].sum()
        weights = np.where(wrong, weights / error, weights / (1 - error)) / 2  # F and S, 1997
    assert model.source_weights_.shape == (6, 0)


def test_first_weights_can_be_given():
    X, y, domain = two_classes(seed=7)
    first = np.where(domain == "target", 5.0, 1.0)
    model = TrAdaBoostClassifier(n_estimators=3).fit(X, y, domain=domain, sample_weight=first)
    np.testing.assert_allclose(model.target_weights_[0], 5 / first.sum())
    repeated = np.repeat(np.arange(len(X)), first.astype(int))
    same = TrAdaBoostClassifier(n_estimators=3).fit(
        X[repeated], y[repeated], domain=domain[repeated]
    )
    np.testing.assert_allclose(model.predict_proba(X), same.predict_proba(X), atol=1e-6)


def test_sparse_samples_and_a_pipeline_give_the_same():
    X, y, domain = two_classes(seed=8)
    X[np.abs(X) < 0.5] = 0
    dense = TrAdaBoostClassifier(n_estimators=5).fit(X, y, domain=domain)
    sparse = TrAdaBoostClassifier(n_estimators=5).fit(scipy.sparse.csr_matrix(X), y, domain=domain)
    np.testing.assert_allclose(sparse.source_weights_, dense.source_weights_, atol=1e-6)
    np.testing.assert_array_equal(sparse.predict(scipy.sparse.csr_matrix(X)), dense.predict(X))
    scaler = StandardScaler()
    whole = TrAdaBoostClassifier(make_pipeline(scaler, LogisticRegression()), n_estimators=5)
    whole.fit(X, y, domain=domain)
    inner = TrAdaBoostClassifier(LogisticRegression(), n_estimators=5)
    inner.fit(scaler.fit_transform(X), y, domain=domain)
    np.testing.assert_allclose(whole.source_weights_, inner.source_weights_, rtol=1e-9)


def test_random_state_clone_and_pickle():
    X, y, domain = two_classes(seed=9)
    tree = DecisionTreeClassifier(max_depth=2, max_features=1)
    first, second, third = (
        TrAdaBoostClassifier(tree, n_estimators=8, random_state=seed).fit(X, y, domain=domain)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.source_weights_, second.source_weights_)
    assert not np.array_equal(first.source_weights_, third.source_weights_)
    assert len({fitted.random_state for fitted in first.estimators_}) == 8
    assert tree.random_state is None
    again = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))
    assert clone(first).get_params()["n_estimators"] == 8


def test_domain_is_routed_by_cross_validation():
    X, y, domain = two_classes(seed=10)
    order = np.random.default_rng(0).permutation(len(X))
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            TrAdaBoostClassifier(n_estimators=5),
            X[order],
            y[order],
            cv=3,
            params={"domain": domain[order]},
            error_score="raise",
        )
        pipeline = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            LogisticRegression().set_fit_request(sample_weight=True),
        )
        TrAdaBoostClassifier(pipeline, n_estimators=2).fit(X, y, domain=domain)
    assert (scores > 0.5).all()


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("wrapping", ["flat", "nested", "search"])
def test_pipelines_and_searches_hand_the_weights_on(wrapping, routing):
    X, y, domain = two_classes(seed=11)
    scaler = StandardScaler()
    wrapped, plain = {
        "flat": lambda: (make_pipeline(scaler, LogisticRegression()), LogisticRegression()),
        "nested": lambda: (
            make_pipeline(StandardScaler(), make_pipeline(scaler, LogisticRegression())),
            LogisticRegression(),
        ),
        "search": lambda: (
            GridSearchCV(LogisticRegression(), {"C": [0.5]}, cv=2),
            LogisticRegression(C=0.5),
        ),
    }[wrapping]()
    with config_context(enable_metadata_routing=routing):
        whole = TrAdaBoostClassifier(wrapped, n_estimators=4).fit(X, y, domain=domain)
    scaled = X if wrapping == "search" else scaler.fit_transform(X)
    inner = TrAdaBoostClassifier(plain, n_estimators=4).fit(scaled, y, domain=domain)
    np.testing.assert_allclose(whole.source_weights_, inner.source_weights_, rtol=1e-6)
    assert np.ptp(whole.source_weights_[-1]) > 0


X, Y, DOMAIN = two_classes(seed=0, n_source=20, n_target=10)


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        ({}, np.where(DOMAIN == "target", -1, Y), "no sample of the target domain 'target' has a"),
        ({}, np.where(np.arange(30) < 3, -1, Y), "3 of 20 samples of source domain 'source' have"),
        (
            {},
            np.ones(30, int),
            "or more in the labelled samples, got one class only, 1",
        ),
        ({"estimator": KNeighborsClassifier()}, Y, "sample_weight; KNeighborsClassifier does not"),
        ({"estimator": LinearRegression()}, Y, "expected a classifier, got LinearRegression, a re"),
        ({"estimator": LogisticRegression}, Y, "expected an estimator with fit and predict, such"),
        ({"estimator": LabelTree(), "output": "probabilities"}, Y, "LabelTree has not. Choose"),
        ({"n_estimators": 0}, Y, "n_estimators: expected a whole number of 1 or more, got 0"),
        ({"n_estimators": 2.5}, Y, "n_estimators: expected a whole number of 1 or more, got 2.5"),
        ({"beta": "best"}, Y, "beta: expected one of 'paper', 'samme', 'bounded', got 'best'"),
        ({"output": "soft"}, Y, "output: expected one of 'auto', 'probabilities', 'labels', got"),
        ({"target": "moon"}, Y, "no sample belongs to domain 'moon'"),
    ],
)
def test_bad_input(parameters, y, message):
    with pytest.raises(InputError) as caught:
        TrAdaBoostClassifier(**parameters).fit(X, y, domain=DOMAIN)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.where(np.arange(30) == 2, -1.0, 1.0), "expected weights of zero or more"),
        ((DOMAIN == "source").astype(float), "all labelled target samples have weight zero"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises(InputError, match=message):
        TrAdaBoostClassifier().fit(X, Y, domain=DOMAIN, sample_weight=weights)


def test_constant_features_are_no_error():
    flat = np.ones_like(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = TrAdaBoostClassifier(n_estimators=3).fit(flat, Y, domain=DOMAIN)
    assert np.isfinite(model.predict_proba(flat)).all()


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks():
    check_estimator(TrAdaBoostClassifier(n_estimators=5), on_skip=None)
