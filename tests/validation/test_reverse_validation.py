import pickle

import numpy as np
import pytest
import scipy.sparse
import sklearn
from shifted import Recorder, shifted
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from tl_keras import InputError
from tl_keras.arrays import DomainTransformer, LabelledOnly
from tl_keras.validation import (
    DomainSplit,
    circular_validation,
    fit_search,
    reverse_validation,
)


class Means(DomainTransformer):
    """Moves each domain's mean to the origin, along the axes asked for."""

    _one_map_per_target = True

    def __init__(self, target="target", axes=(0, 1)):
        self.target = target
        self.axes = axes

    def _fit(self, X, y, domains):
        self.means_ = {
            name: X[domains.of(name)].mean(0) for name in (*domains.sources, *domains.targets)
        }

    def _map(self, X, domain):
        keep = np.isin(np.arange(X.shape[1]), self.axes)
        return X - self.means_[domain] * keep


@pytest.fixture(autouse=True)
def empty_records():
    Recorder.fits.clear()
    Recorder.predictions.clear()


def test_the_clone_learns_the_reverse_problem_without_the_held_out_samples():
    X, y, domain, _ = shifted()
    model = Recorder().fit(X, y, domain=domain)
    Recorder.fits.clear()
    value = reverse_validation(holdout=0.25)(model, X, y, domain=domain)
    [(target, seen, labels, seen_domain)] = Recorder.fits
    assert target == "source"
    of_target = seen_domain == "target"
    assert of_target.sum() == 60
    assert np.array_equal(labels[of_target], (seen[of_target][:, 0] > 0).astype(int))
    assert (~of_target).sum() == 45
    assert (labels[~of_target] == -1).all()
    reversed_target, scored, scored_domain = Recorder.predictions[-1]
    assert reversed_target == "source"
    assert set(scored_domain) == {"source"}
    rows = {tuple(row) for row in scored}
    assert len(rows) == 15
    assert rows.isdisjoint({tuple(row) for row in seen})
    truth = {tuple(row): label for row, label in zip(X, y, strict=True)}
    assert value == np.mean([truth[tuple(row)] == (row[0] > 0) for row in scored])
    assert sum(truth[tuple(row)] for row in scored) in (7, 8)


def test_a_wrong_estimator_scores_low():
    X, y, domain, _ = shifted()

    class Wrong(LogisticRegression):
        def predict(self, X):
            return self.classes_[(super().predict(X) == self.classes_[0]).astype(int)]

    right = LogisticRegression().fit(X[:60], y[:60])
    wrong = Wrong().fit(X[:60], y[:60])
    assert reverse_validation()(right, X, y, domain=domain) > 0.85
    # The clone errs the other way round, so that its labels of the source are right again: only
    # a learner that errs on one domain is found out.
    assert reverse_validation()(wrong, X, y, domain=domain) > 0.85
    flipped = Recorder(flip=True).fit(X, y, domain=domain)
    assert reverse_validation()(flipped, X, y, domain=domain) < 0.15


def test_it_prefers_the_map_that_helps_on_the_target():
    # The target is moved across the source's boundary; moving its mean back mends that.
    for seed in range(5):
        X, y, domain, truth = shifted(seed, n=80)
        X[domain == "target"] += [3.0, 0.0]
        scores, real = [], []
        for axes in ((), (0, 1)):
            model = make_pipeline(Means(axes=axes), LabelledOnly(LogisticRegression()))
            with sklearn.config_context(enable_metadata_routing=True):
                model.fit(X, y, domain=domain)
            scores.append(reverse_validation()(model, X, y, domain=domain))
            of_target = domain == "target"
            real.append(np.mean(model.predict(X[of_target]) == truth[of_target]))
        assert real[1] > real[0] + 0.3
        assert scores[1] > scores[0] + 0.2


def test_several_sources_and_targets_swap_their_parts():
    X, y, domain, _ = shifted(sources=("a", "b"), targets=("c", "d"))
    model = make_pipeline(Means(["c", "d"]), LabelledOnly(LogisticRegression(), target=["c", "d"]))
    with sklearn.config_context(enable_metadata_routing=True):
        model.fit(X, y, domain=domain)
    assert reverse_validation()(model, X, y, domain=domain) > 0.9
    recorder = Recorder(target=["c", "d"]).fit(X, y, domain=domain)
    Recorder.fits.clear()
    reverse_validation()(recorder, X, y, domain=domain)
    assert Recorder.fits[0][0] == ["a", "b"]
    assert set(Recorder.fits[0][3]) == {"a", "b", "c", "d"}


@pytest.mark.parametrize("score", [reverse_validation, circular_validation])
@pytest.mark.parametrize("mark", [None, np.nan, -1])
@pytest.mark.parametrize("form", [list, lambda y: np.array(y, object)], ids=["list", "objects"])
def test_strings_keep_their_marks(form, mark, score):
    X, y, domain, _ = shifted()
    words = form([{-1: mark, 0: "no", 1: "yes"}[v] for v in y.tolist()])
    model = LabelledOnly(LogisticRegression()).fit(X, words, domain=domain)
    expected = LabelledOnly(LogisticRegression()).fit(X, y, domain=domain)
    value = score()(model, X, words, domain=domain)
    assert value == score()(expected, X, y, domain=domain) > 0.9


@pytest.mark.parametrize("kind", ["floats", "objects"])
def test_labels_of_other_types(kind):
    X, y, domain, _ = shifted()
    labels = {
        "floats": np.where(y == -1, np.nan, y),
        "objects": np.array([None if v == -1 else v for v in y], object),
    }[kind]
    model = LabelledOnly(LogisticRegression()).fit(X, labels, domain=domain)
    expected = LabelledOnly(LogisticRegression()).fit(X, y, domain=domain)
    value = reverse_validation()(model, X, labels, domain=domain)
    assert value == reverse_validation()(expected, X, y, domain=domain) > 0.9


def test_sparse_samples():
    X, y, domain, _ = shifted()
    model = LabelledOnly(LogisticRegression()).fit(X, y, domain=domain)
    dense = reverse_validation()(model, X, y, domain=domain)
    sparse = scipy.sparse.csr_matrix(X)
    model = LabelledOnly(LogisticRegression()).fit(sparse, y, domain=domain)
    assert reverse_validation()(model, sparse, y, domain=domain) == dense


def test_regression_marks_with_nan_and_takes_minus_one_as_a_value():
    random = np.random.default_rng(0)
    X = random.normal(size=(80, 2))
    domain = np.repeat(["source", "target"], 40)
    y = np.where(domain == "source", np.round(X[:, 0]), np.nan)
    assert (y == -1).any()
    model = LabelledOnly(LinearRegression()).fit(X, y, domain=domain)
    value = reverse_validation()(model, X, y, domain=domain)
    # Predictions are exactly linear: the clone is the model itself, fitted to what it said.
    of_source = domain == "source"
    assert value == pytest.approx(model.score(X[of_source], y[of_source]), abs=0.1)
    worse = reverse_validation("neg_mean_squared_error")(model, X, y, domain=domain)
    assert worse < 0


def test_a_few_target_labels_are_mirrored():
    X, y, domain, truth = shifted(n=100)
    some = np.flatnonzero(domain == "target")[:10]
    y[some] = truth[some]
    model = Recorder().fit(X, y, domain=domain)
    Recorder.fits.clear()
    reverse_validation(holdout=0.5)(model, X, y, domain=domain)
    [(_, _, labels, seen_domain)] = Recorder.fits
    of_source = labels[seen_domain == "source"]
    assert len(of_source) == 50
    assert np.bincount(of_source[of_source >= 0], minlength=2).tolist() in ([2, 3], [3, 2])
    y[some[1:]] = -1  # One label only: one of each class is kept in the reverse problem.
    Recorder.fits.clear()
    reverse_validation(holdout=0.5)(model, X, y, domain=domain)
    [(_, _, labels, seen_domain)] = Recorder.fits
    of_source = labels[seen_domain == "source"]
    assert np.bincount(of_source[of_source >= 0], minlength=2).tolist() == [1, 1]


def test_if_the_target_gets_one_class_the_clone_answers_with_it():
    X, y, domain, _ = shifted()
    model = Recorder().fit(X, y, domain=domain)
    X = np.where((domain == "target")[:, None], np.abs(X), X)
    Recorder.fits.clear()
    assert reverse_validation()(model, X, y, domain=domain) == 0.5
    assert not Recorder.fits


@pytest.mark.parametrize(
    ("metric", "expected"), [("neg_log_loss", np.log(np.finfo(float).eps) / 2), ("roc_auc", 0.5)]
)
def test_the_one_class_has_probabilities_among_all(metric, expected):
    X, y, domain, _ = shifted()
    model = LabelledOnly(LogisticRegression()).fit(X, y, domain=domain)
    X = np.where((domain == "target")[:, None], np.abs(X) + 9, X)
    value = reverse_validation(metric)(model, X, y, domain=domain)
    assert value == pytest.approx(expected)


def test_other_metrics_and_the_same_answer_again():
    X, y, domain, _ = shifted()
    model = LabelledOnly(LogisticRegression()).fit(X, y, domain=domain)
    scorer = reverse_validation("neg_log_loss")
    first = scorer(model, X, y, domain=domain)
    assert first < 0
    assert scorer(model, X, y, domain=domain) == first
    for copy in (clone(scorer), pickle.loads(pickle.dumps(scorer))):
        assert copy(model, X, y, domain=domain) == first
    own = reverse_validation(get_scorer("neg_log_loss"))
    assert own(model, X, y, domain=domain) == first
    others = {
        reverse_validation("neg_log_loss", random_state=seed)(model, X, y, domain=domain)
        for seed in range(5)
    }
    assert len(others) == 5


def test_a_search_hands_the_domains_over():
    X, y, domain, truth = shifted(n=80)
    X[domain == "target"] += [3.0, 0.0]
    model = make_pipeline(Means(), LabelledOnly(LogisticRegression()))
    search = GridSearchCV(
        model,
        {"means__axes": [(), (1,), (0, 1)]},
        scoring=reverse_validation(),
        cv=DomainSplit(3, random_state=0),
        error_score="raise",
    )
    routing = sklearn.get_config()["enable_metadata_routing"]
    assert fit_search(search, X, y, domain=domain) is search
    assert search.best_params_ == {"means__axes": (0, 1)}
    of_target = domain == "target"
    assert np.mean(search.predict(X[of_target]) == truth[of_target]) > 0.9
    assert sklearn.get_config()["enable_metadata_routing"] is routing


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"domain": None}, "domain: ReverseValidation needs the domain of each sample"),
        ({"domain": ["source"] * 120}, "target: no sample belongs to domain 'target'"),
        ({"domain": ["target"] * 120}, "domain: all samples belong to target domains"),
        ({"y": None}, "y: this score needs the labels of the source samples, got None"),
        ({"y": np.zeros(3)}, r"y: expected shape \(120,\), got \(3,\)"),
        ({"y": np.full(120, -1)}, "y: 60 source samples have no label"),
    ],
)
def test_bad_input(change, text):
    X, y, domain, _ = shifted()
    model = LogisticRegression().fit(X[:60], y[:60])
    given = {"y": y, "domain": domain, **change}
    with pytest.raises(InputError, match=text):
        reverse_validation()(model, X, given["y"], domain=given["domain"])


def test_targets_of_parts_in_any_form():
    X, y, domain, _ = shifted(targets=("c", "d"))
    for given in (frozenset("cd"), {"c", "d"}, ("d", "c")):
        parts = make_pipeline(Means(given), LabelledOnly(LogisticRegression(), target=["c", "d"]))
        with sklearn.config_context(enable_metadata_routing=True):
            parts.fit(X, y, domain=domain)
        assert reverse_validation()(parts, X, y, domain=domain) > 0.9


def test_bad_settings():
    X, y, domain, _ = shifted()
    model = LogisticRegression().fit(X[:60], y[:60])
    with pytest.raises(InputError, match="holdout: expected a share between 0 and 1, got 1"):
        reverse_validation(holdout=1)(model, X, y, domain=domain)
    with pytest.raises(InputError, match=r"holdout: .* between 0 and 1, got '0.5'"):
        reverse_validation(holdout="0.5")(model, X, y, domain=domain)
    with pytest.raises(InputError, match=r"y: expected enough source samples to hold out .* got 1"):
        reverse_validation()(model, X[59:], y[59:], domain=domain[59:])
    parts = make_pipeline(Means("target"), LabelledOnly(LogisticRegression(), target="other"))
    with pytest.raises(InputError, match="target: the parts of the estimator adapt to different"):
        reverse_validation()(parts, X, y, domain=domain)


def test_a_learner_that_took_the_mark_for_a_class_is_found_out():
    X, y, domain, _ = shifted()
    model = LogisticRegression().fit(X, y)
    with pytest.raises(
        InputError, match=r"it has learned -1, the mark of unlabelled samples, .*LabelledOnly"
    ):
        reverse_validation()(model, X, y, domain=domain)
