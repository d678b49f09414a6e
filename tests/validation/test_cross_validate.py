import joblib
import numpy as np
import pytest
import sklearn
from shifted import shifted
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tl_keras import InputError
from tl_keras.arrays import DomainTransformer, LabelledOnly
from tl_keras.validation import (
    DomainSplit,
    circular_validation,
    cross_validate,
    divergence_score,
    domain_score,
    fit_search,
    importance_weighted_score,
    reverse_validation,
)


class Shift(DomainTransformer):
    """Moves the sources' mean some way to the target's; keeps what it was fitted with."""

    seen = []  # noqa: RUF012

    def __init__(self, target="target", way=1.0):
        self.target = target
        self.way = way

    def _fit(self, X, y, domains):
        Shift.seen.append((len(X), domains.sources, domains.targets))
        self.move_ = X[domains.target].mean(0) - X[domains.source].mean(0)

    def _map(self, X, domain):
        return X + self.way * self.move_ if domain in self.sources_ else X


def pipeline(**given):
    return make_pipeline(
        StandardScaler(), Shift(**given), LabelledOnly(LogisticRegression(), **given)
    )


@pytest.fixture(autouse=True)
def routing_stays_as_it_is():
    with sklearn.config_context(enable_metadata_routing=False):
        yield
        assert sklearn.get_config()["enable_metadata_routing"] is False


def test_every_fold_adapts_to_its_own_domains():
    X, y, domain, _ = shifted()
    Shift.seen.clear()
    result = cross_validate(pipeline(), X, y, domain=domain, scoring=divergence_score())
    assert Shift.seen == [(96, ("source",), ("target",))] * 5
    assert result["test_score"].shape == (5,)
    assert set(result) == {"fit_time", "score_time", "test_score"}


def test_by_default_reverse_validation_on_five_folds():
    X, y, domain, _ = shifted()
    first = cross_validate(pipeline(), X, y, domain=domain)
    second = cross_validate(
        pipeline(),
        X,
        y,
        domain=domain,
        scoring=reverse_validation(),
        cv=DomainSplit(5, random_state=0),
    )
    assert np.array_equal(first["test_score"], second["test_score"])
    assert first["test_score"].mean() > 0.8
    domain = np.where(domain == "source", "a", "7")
    third = cross_validate(pipeline(target="7"), X, y, domain=domain)
    assert third["test_score"].mean() > 0.8


def test_all_scores_at_once_with_scikit_learns_own():
    X, y, domain, truth = shifted(move=0.5)
    scoring = {
        "reverse": reverse_validation(),
        "circular": circular_validation(),
        "weighted": importance_weighted_score(),
        "mmd": divergence_score("mmd"),
        "target": domain_score(),
        "source": domain_score(on="source"),
        "accuracy": lambda estimator, X, y: np.mean(estimator.predict(X) == y),
    }
    result = cross_validate(
        pipeline(),
        X,
        y,
        domain=domain,
        scoring=scoring,
        cv=DomainSplit(3, random_state=0),
        target_labels=truth,
        return_train_score=True,
        return_estimator=True,
    )
    for name in scoring:
        assert np.isfinite(result[f"test_{name}"]).all()
        assert np.isfinite(result[f"train_{name}"]).all()
    assert result["test_target"].mean() > 0.85
    # A function gets all samples as they are, here with the marks of unlabelled ones.
    assert result["test_accuracy"].mean() < 0.55
    assert len(result["estimator"]) == 3


def test_threads_switch_routing_on_too():
    X, y, domain, _ = shifted()
    alone = cross_validate(pipeline(), X, y, domain=domain)
    with joblib.parallel_config(backend="threading"):
        several = cross_validate(pipeline(), X, y, domain=domain, n_jobs=2)
    assert np.array_equal(alone["test_score"], several["test_score"])


def test_splits_of_scikit_learn():
    X, y, domain, _ = shifted()
    cv = KFold(3, shuffle=True, random_state=0)
    result = cross_validate(pipeline(), X, y, domain=domain, cv=cv)
    assert result["test_score"].shape == (3,)


def test_a_search_by_hand_in_a_context():
    X, y, domain, truth = shifted(n=80)
    X[domain == "target"] += [4.0, 0.0]
    grid = {"shift__way": [0.0, 1.0]}
    given = {"scoring": reverse_validation(), "cv": DomainSplit(3, random_state=0)}
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(pipeline(), grid, **given).fit(X, y, domain=domain)
    assert search.best_params_ == {"shift__way": 1.0}
    again = fit_search(GridSearchCV(pipeline(), grid, **given), X, y, domain=domain)
    for name in ("mean_test_score", "std_test_score"):
        assert np.array_equal(search.cv_results_[name], again.cv_results_[name])
    rows = domain == "target"
    assert np.mean(search.predict(X[rows]) == truth[rows]) > 0.9


def test_a_random_search_with_several_scores_and_hidden_labels():
    X, y, domain, truth = shifted(n=80)
    X[domain == "target"] += [4.0, 0.0]
    search = RandomizedSearchCV(
        pipeline(),
        {"shift__way": [0.0, 0.5, 1.0]},
        n_iter=3,
        scoring={"reverse": reverse_validation(), "target": domain_score()},
        refit="target",
        cv=DomainSplit(3, random_state=0),
        random_state=0,
    )
    fit_search(search, X, y, domain=domain, target_labels=truth)
    assert search.best_params_ == {"shift__way": 1.0}
    assert search.cv_results_["mean_test_reverse"].shape == (3,)


def test_without_routing_a_score_says_what_to_do():
    X, y, domain, _ = shifted()
    search = GridSearchCV(
        pipeline(), {"shift__way": [1.0]}, scoring=reverse_validation(), error_score="raise"
    )
    with pytest.raises(InputError, match=r"needs the domain of each sample.*fit_search"):
        search.fit(X, y, shift__domain=domain, labelledonly__domain=domain)


def test_a_fit_that_fails():
    X, y, domain, _ = shifted()
    y[:30] = -1
    with pytest.raises(InputError, match="samples of source domain 'source' have no label"):
        cross_validate(pipeline(), X, y, domain=domain)


@pytest.mark.parametrize("scoring", ["accuracy", ["accuracy"], {"f1": get_scorer("f1")}])
def test_scores_that_know_no_marks_are_refused_where_labels_are_missing(scoring):
    X, y, domain, truth = shifted()
    with pytest.raises(InputError, match=r"scoring: .* domain_score"):
        cross_validate(pipeline(), X, y, domain=domain, scoring=scoring)
    search = GridSearchCV(pipeline(), {"labelledonly__estimator__C": [1.0]}, scoring=scoring)
    search.set_params(refit=False)
    with pytest.raises(InputError, match=r"scoring: .* domain_score"):
        fit_search(search, X, y, domain=domain)
    cross_validate(pipeline(), X, truth, domain=domain, scoring=scoring)


def test_a_search_without_a_score_and_a_pipelines_own_score():
    X, y, domain, truth = shifted()
    search = GridSearchCV(pipeline(), {"labelledonly__estimator__C": [1.0, 2.0]})
    with pytest.raises(InputError, match="the estimator's own score"):
        fit_search(search, X, y, domain=domain)
    assert fit_search(search, X, truth, domain=domain).best_score_ > 0.8
    model = search.best_estimator_
    weighted = model.score(X, truth, sample_weight=np.ones(len(X)))
    with sklearn.config_context(enable_metadata_routing=True):
        assert model.score(X, truth) == weighted


@pytest.mark.parametrize("marks", [None, np.nan, -1])
def test_a_number_of_folds_is_one_of_domain_splits(marks):
    X, y, domain, _ = shifted()
    names = np.array([marks if one == -1 else f"class {one}" for one in y], object)
    by_number = cross_validate(pipeline(), X, names, domain=domain, cv=3)["test_score"]
    split = DomainSplit(3, random_state=0)
    expected = cross_validate(pipeline(), X, names, domain=domain, cv=split)["test_score"]
    np.testing.assert_array_equal(by_number, expected)
