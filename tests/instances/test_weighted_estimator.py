import pickle

import numpy as np
import pytest
import scipy.sparse
import sklearn
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

from tl_keras.instances import (
    KLIEP,
    ULSIF,
    BalancedWeighting,
    KernelMeanMatching,
    NearestNeighborWeighting,
    WeightedEstimator,
)
from tl_keras.utils.errors import InputError

TREES = {
    "check_estimators_nan_inf": "A tree predicts for missing features, which no weighter fits to."
}


def two_domains(seed=0, source=60, target=40):
    random = np.random.default_rng(seed)
    X = np.vstack([random.normal(size=(source, 2)), random.normal(0.7, 0.8, (target, 2))])
    y = (X[:, 0] + X[:, 1] ** 2 + 0.3 * random.normal(size=source + target) > 0.5).astype(int)
    return X, y, np.repeat(["source", "target"], [source, target])


def hidden(y, domain):
    return np.where(domain == "target", -1, y)


def test_fits_labelled_samples_with_their_weights():
    X, y, domain = two_domains()
    y = hidden(y, domain)
    y[60:65] = [0, 1, 1, 0, 1]
    model = WeightedEstimator(LogisticRegression(), KernelMeanMatching()).fit(X, y, domain=domain)
    weights = KernelMeanMatching().fit(X, domain=domain).weights_
    alone = LogisticRegression().fit(X[:65], y[:65], sample_weight=weights[:65])
    np.testing.assert_allclose(model.estimator_.coef_, alone.coef_, rtol=1e-6)
    np.testing.assert_allclose(model.weighter_.weights_, weights)
    assert (weights[60:] == 1.0).all()
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        np.testing.assert_allclose(getattr(model, method)(X), getattr(alone, method)(X), rtol=1e-4)
    assert model.score(X, (X[:, 0] > 0).astype(int)) == alone.score(X, (X[:, 0] > 0).astype(int))
    assert model.score(X[:2], [1, 1], sample_weight=[1, 0]) == alone.score(X[:1], [1])
    assert model.classes_.tolist() == [0, 1]


def test_balanced_weighting_weights_the_target_too():
    X, y, domain = two_domains()
    y = hidden(y, domain)
    y[60:64] = [0, 1, 1, 0]
    model = WeightedEstimator(LogisticRegression(), BalancedWeighting(ratio=0.5))
    model.fit(X, y, domain=domain)
    weights = np.r_[np.full(60, 64 / 120), np.full(4, 64 / 8)]
    alone = LogisticRegression().fit(X[:64], y[:64], sample_weight=weights)
    np.testing.assert_allclose(model.estimator_.coef_, alone.coef_, rtol=1e-6)


def test_in_regression_minus_one_is_a_number():
    X, _, domain = two_domains()
    y = np.round(X[:, 0])
    assert (y[60:] == -1).any() and (y[:60] == -1).any()
    blank = np.arange(100) >= 90
    y[blank] = np.nan
    for weighter in (BalancedWeighting(ratio=0.4), KernelMeanMatching()):
        model = WeightedEstimator(LinearRegression(), weighter).fit(X, y, domain=domain)
        weights = clone(weighter).fit(X, np.where(blank, np.nan, 0.0), domain=domain).weights_
        alone = LinearRegression().fit(X[:90], y[:90], sample_weight=weights[:90])
        np.testing.assert_allclose(model.estimator_.coef_, alone.coef_)
        assert model.score(X[:90], y[:90]) == pytest.approx(alone.score(X[:90], y[:90]))
    none = np.array([None if np.isnan(value) else value for value in y], dtype=object)
    again = WeightedEstimator(LinearRegression(), KernelMeanMatching()).fit(X, none, domain=domain)
    np.testing.assert_allclose(again.predict(X), model.predict(X))


def test_strings_as_labels_and_none_for_unlabelled():
    X, y, domain = two_domains()
    words = np.array(["no", "yes"], dtype=object)[y]
    words[60:] = None
    model = WeightedEstimator(LogisticRegression(), KLIEP(gamma=1.0, random_state=0))
    found = model.fit(X, words, domain=domain).predict(X)
    numbers = model.fit(X, hidden(y, domain), domain=domain).predict(X)
    assert model.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(found, np.array(["no", "yes"])[numbers])


@pytest.mark.parametrize("blank", [-1, None, np.nan])
def test_lists_of_strings_keep_their_marks(blank):
    X, y, domain = two_domains()
    words = [blank if name == "target" else "ny"[k] for k, name in zip(y, domain, strict=True)]
    model = WeightedEstimator(LogisticRegression(), KernelMeanMatching())
    found = model.fit(X, words, domain=domain.tolist()).predict(X)
    assert model.classes_.tolist() == ["n", "y"]
    model.fit(X, hidden(y, domain), domain=domain)
    np.testing.assert_array_equal(found, np.array(["n", "y"])[model.predict(X)])


def test_several_sources_and_targets():
    X, y, domain = two_domains()
    domain = np.where(np.arange(100) < 20, 7, np.where(domain == "target", 2, 1))
    domain[90:] = 3
    labels = np.where(domain > 1, np.where(domain == 7, y, -1), y)
    model = WeightedEstimator(LogisticRegression(), KernelMeanMatching([2, 3]))
    merged = WeightedEstimator(LogisticRegression(), KernelMeanMatching(1))
    model.fit(X, labels, domain=domain)
    merged.fit(X, labels, domain=np.isin(domain, [2, 3]).astype(int))
    np.testing.assert_allclose(model.predict_proba(X), merged.predict_proba(X))


def nested(last):
    return Pipeline([("outer", StandardScaler()), ("rest", make_pipeline(StandardScaler(), last))])


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize(
    "build", [lambda last: make_pipeline(StandardScaler(), last), nested], ids=["flat", "nested"]
)
def test_pipelines_hand_the_weights_to_their_last_step(build, routing):
    X, y, domain = two_domains()
    weights = KernelMeanMatching().fit(X, domain=domain).weights_[:60]
    alone = LogisticRegression().fit(
        StandardScaler().fit_transform(X[:60]), y[:60], sample_weight=weights
    )
    with sklearn.config_context(enable_metadata_routing=routing):
        model = WeightedEstimator(build(LogisticRegression()), KernelMeanMatching())
        model.fit(X, hidden(y, domain), domain=domain)
        found = model.predict_proba(X)
    expected = alone.predict_proba(StandardScaler().fit(X[:60]).transform(X))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.parametrize("routing", [False, True])
def test_a_search_hands_the_weights_on(routing):
    X, y, domain = two_domains()
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3)
    model = WeightedEstimator(search, KernelMeanMatching())
    with sklearn.config_context(enable_metadata_routing=routing):
        model.fit(X, hidden(y, domain), domain=domain)
    weights = model.weighter_.weights_[:60]
    alone = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3)
    alone.fit(X[:60], y[:60], sample_weight=weights)
    np.testing.assert_allclose(model.predict_proba(X), alone.predict_proba(X), rtol=1e-4)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (KNeighborsClassifier(), "fit takes sample_weight; KNeighborsClassifier does not"),
        (
            make_pipeline(StandardScaler(), KNeighborsClassifier()),
            "the last step of the Pipeline, KNeighborsClassifier, does not",
        ),
        (make_pipeline(StandardScaler(), "passthrough"), "Pipeline, passthrough, does not"),
        (GridSearchCV(KNeighborsClassifier(), {}), "GridSearchCV does not"),
        ("forest", "sample_weight; forest does not"),
    ],
)
def test_an_estimator_without_weights(estimator, message):
    X, y, domain = two_domains()
    with pytest.raises(InputError, match=message):
        WeightedEstimator(estimator, KernelMeanMatching()).fit(X, y, domain=domain)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "requires y to be passed, but the target y is None"),
        ({"y": [1] * 60 + [-1] * 40}, "expected labels of two classes or more in the labelled"),
        ({"y": [-1] * 2 + [0, 1] * 49}, "2 of 60 samples of source domain 'source' have no label"),
        ({"y": [0, 1]}, "[Ff]ound input variables with inconsistent numbers of samples"),
        ({"domain": ["source"] * 100}, "target: no sample belongs to domain 'target'"),
        ({"domain": ["target"] * 100}, "all samples belong to target domains"),
    ],
)
def test_labels_and_domains_that_do_not_fit(change, message):
    X, y, domain = two_domains()
    arguments = {"y": y, "domain": domain, **change}
    with pytest.raises(ValueError, match=message):
        WeightedEstimator(LogisticRegression(), KernelMeanMatching()).fit(X, **arguments)


@pytest.mark.parametrize("form", [list, np.array, lambda y: np.array(y, object)])
def test_a_regressor_needs_numbers(form):
    X, _, domain = two_domains()
    model = WeightedEstimator(Ridge(), KernelMeanMatching())
    with pytest.raises(InputError, match=r"y: expected numbers, .* values such as 'low' are none"):
        model.fit(X, form(["low"] * 60 + [None] * 40), domain=domain)


def test_a_weighter_that_is_none():
    X, y, domain = two_domains()
    with pytest.raises(InputError, match="weighter: expected an estimator of weights such as Ker"):
        WeightedEstimator(LogisticRegression(), None).fit(X, y, domain=domain)


def test_offers_what_the_estimator_offers():
    ridge = WeightedEstimator(Ridge(), KernelMeanMatching())
    classifier = WeightedEstimator(SVC(), KernelMeanMatching())
    assert is_regressor(ridge) and not is_classifier(ridge)
    assert is_classifier(classifier)
    assert not hasattr(ridge, "predict_proba") and not hasattr(classifier, "predict_proba")
    assert hasattr(classifier, "decision_function") and hasattr(ridge, "predict")
    assert not hasattr(ridge, "classes_")
    for model in (ridge, classifier):
        with pytest.raises(NotFittedError):
            model.predict(np.zeros((1, 2)))


def test_clone_and_pickle():
    X, y, domain = two_domains()
    model = WeightedEstimator(LogisticRegression(C=0.5), ULSIF(gamma=1.0, random_state=0))
    copy = clone(model)
    assert copy.get_params()["estimator__C"] == 0.5
    assert copy.get_params()["weighter__gamma"] == 1.0
    model.fit(X, hidden(y, domain), domain=domain)
    assert not hasattr(copy, "estimator_") and not hasattr(model.estimator, "coef_")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def test_sparse_features():
    X, y, domain = two_domains()
    X[X < 0] = 0.0
    model = WeightedEstimator(LogisticRegression(), KernelMeanMatching(gamma=1.0))
    dense = model.fit(X, hidden(y, domain), domain=domain).predict_proba(X)
    for form in (scipy.sparse.csr_matrix, scipy.sparse.coo_matrix, scipy.sparse.csc_array):
        found = model.fit(form(X), hidden(y, domain), domain=domain).predict_proba(form(X))
        np.testing.assert_allclose(found, dense, rtol=1e-4)


def test_domains_are_routed_through_cross_validation():
    X, y, domain = two_domains()
    model = WeightedEstimator(LogisticRegression(), NearestNeighborWeighting())
    order = np.random.default_rng(0).permutation(100)
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_val_score(model, X[order], y[order], params={"domain": domain[order]}, cv=4)
    unaware = cross_val_score(model, X[order], y[order], cv=4)
    assert scores.shape == (4,) and (scores > 0.5).all()
    assert (scores != unaware).any()


def test_tables_keep_their_columns():
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    X, y, domain = two_domains()
    frame = pandas.DataFrame(X, columns=["a", "b"])
    model = WeightedEstimator(LogisticRegression(), KernelMeanMatching())
    model.fit(frame, hidden(y, domain), domain=domain)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    assert model.estimator_.feature_names_in_.tolist() == ["a", "b"]


def test_weights_make_up_for_the_shift():
    gains = []
    for seed in range(8):
        X, y, domain = two_domains(seed, 400, 400)
        labels = hidden(y, domain)
        target = domain == "target"
        weighted = WeightedEstimator(LogisticRegression(), KLIEP(random_state=seed))
        weighted = weighted.fit(X, labels, domain=domain).score(X[target], y[target])
        plain = LogisticRegression().fit(X[~target], y[~target]).score(X[target], y[target])
        gains.append(weighted - plain)
    assert np.mean(gains) > 0.02


@pytest.mark.parametrize(
    "model",
    [
        WeightedEstimator(LogisticRegression(), KernelMeanMatching()),
        WeightedEstimator(Ridge(), ULSIF(gamma="median", regularization=1.0, random_state=0)),
        WeightedEstimator(DecisionTreeClassifier(max_depth=3, random_state=0), BalancedWeighting()),
        WeightedEstimator(make_pipeline(StandardScaler(), LogisticRegression()), KLIEP(gamma=1.0)),
    ],
    ids=["logistic", "ridge", "tree", "pipeline"],
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(model):
    tree = isinstance(model.estimator, DecisionTreeClassifier)
    check_estimator(model, on_skip=None, expected_failed_checks=TREES if tree else {})
