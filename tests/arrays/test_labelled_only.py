import pickle

import numpy as np
import pytest
import scipy.sparse
import sklearn
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_estimator

from tl_keras import InputError
from tl_keras.arrays import LabelledOnly

X = np.random.default_rng(0).normal(size=(40, 2))
DOMAIN = np.repeat(["source", "target"], 20)
TRUTH = (X[:, 0] > 0).astype(int)
Y = np.where(DOMAIN == "source", TRUTH, -1)


def test_it_learns_from_the_labelled_samples_only():
    y = Y.copy()
    y[20:23] = TRUTH[20:23]
    model = LabelledOnly(LogisticRegression()).fit(X, y, domain=DOMAIN)
    plain = LogisticRegression().fit(X[:23], y[:23])
    assert model.classes_.tolist() == [0, 1]
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        assert np.array_equal(getattr(model, method)(X), getattr(plain, method)(X))
    assert model.score(X, TRUTH) == plain.score(X, TRUTH)
    assert model.n_features_in_ == 2


@pytest.mark.parametrize(
    "y",
    [
        np.where(Y == -1, np.nan, Y),
        np.array([None if v == -1 else int(v) for v in Y], object),
        np.array([None if v == -1 else "class" + str(v) for v in Y], object),
        [-1 if v == -1 else "class" + str(v) for v in Y],
        [np.nan if v == -1 else "class" + str(v) for v in Y],
    ],
)
def test_other_marks(y):
    model = LabelledOnly(LogisticRegression()).fit(X, y, domain=DOMAIN)
    plain = LogisticRegression().fit(X[:20], Y[:20])
    assert np.array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert len(model.classes_) == 2


def test_for_regressors_minus_one_is_a_value():
    y = np.where(Y == -1, np.nan, np.round(X[:, 0]))
    assert (y == -1).any()
    model = LabelledOnly(LinearRegression()).fit(X, y, domain=DOMAIN)
    plain = LinearRegression().fit(X[:20], y[:20])
    assert np.array_equal(model.predict(X), plain.predict(X))
    objects = np.array([None if np.isnan(v) else v for v in y], object)
    again = LabelledOnly(LinearRegression()).fit(X, objects, domain=DOMAIN)
    assert np.array_equal(again.predict(X), plain.predict(X))
    assert is_regressor(model)
    assert is_classifier(LabelledOnly(LogisticRegression()))


def test_weights_go_with_the_samples():
    weight = np.arange(40.0)
    model = LabelledOnly(LogisticRegression()).fit(X, Y, domain=DOMAIN, sample_weight=weight)
    plain = LogisticRegression().fit(X[:20], Y[:20], sample_weight=weight[:20])
    assert np.array_equal(model.predict_proba(X), plain.predict_proba(X))
    with pytest.raises(InputError, match=r"sample_weight: expected one .* \(40,\), got \(1,\)"):
        LabelledOnly(LogisticRegression()).fit(X, Y, domain=DOMAIN, sample_weight=[1.0])


def test_without_domains_every_label_counts():
    model = LabelledOnly(LogisticRegression()).fit(X, 2 * TRUTH - 1)
    assert model.classes_.tolist() == [-1, 1]


def test_methods_are_those_of_the_estimator():
    assert not hasattr(LabelledOnly(LinearSVC()), "predict_proba")
    assert hasattr(LabelledOnly(LinearSVC()), "decision_function")
    assert not hasattr(LabelledOnly(LinearRegression()), "decision_function")


def test_sparse_samples_and_copies():
    model = LabelledOnly(LogisticRegression()).fit(scipy.sparse.csr_matrix(X), Y, domain=DOMAIN)
    dense = LabelledOnly(LogisticRegression()).fit(X, Y, domain=DOMAIN)
    assert model.predict_proba(scipy.sparse.csr_matrix(X)) == pytest.approx(dense.predict_proba(X))
    for copy in (pickle.loads(pickle.dumps(dense)), clone(dense).fit(X, Y, domain=DOMAIN)):
        assert np.array_equal(copy.predict(X), dense.predict(X))


def test_in_pipelines():
    model = make_pipeline(StandardScaler(), LabelledOnly(LogisticRegression()))
    with sklearn.config_context(enable_metadata_routing=False):
        by_name = clone(model).fit(X, Y, labelledonly__domain=DOMAIN)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = clone(model).fit(X, Y, domain=DOMAIN)
    assert np.array_equal(by_name.predict_proba(X), routed.predict_proba(X))
    assert by_name.classes_.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("y", "domain", "text"),
    [
        (None, DOMAIN, "requires y to be passed, but the target y is None"),
        (Y[:3], DOMAIN, "y: expected 40 labels, one per sample, got 3"),
        (np.full(40, -1), DOMAIN, "y: 20 of 20 samples of source domain 'source' have no label"),
        (Y, ["source"] * 40, "target: no sample belongs to domain 'target'"),
        (np.minimum(Y, 0), DOMAIN, "two classes or more in the labelled samples, got one class"),
    ],
)
def test_bad_input(y, domain, text):
    with pytest.raises(InputError, match=text):
        LabelledOnly(LogisticRegression()).fit(X, y, domain=domain)


def test_a_regressor_needs_numbers():
    y = ["low" if label == 0 else None for label in Y]
    for labels in (y, ["low"] * 40, np.array(y, object)):
        with pytest.raises(InputError, match=r"y: expected numbers, .* str values such as 'low'"):
            LabelledOnly(LinearRegression()).fit(X, labels, domain=DOMAIN)


@pytest.mark.parametrize("estimator", [LogisticRegression(), LinearRegression()])
def test_scikit_learns_checks(estimator):
    with sklearn.config_context(enable_metadata_routing=False):
        check_estimator(LabelledOnly(estimator))


def test_weights_reach_what_the_estimator_wraps():
    weights = np.random.default_rng(1).uniform(0.1, 2.0, 40)
    plain = LogisticRegression().fit(X[:20], Y[:20], sample_weight=weights[:20])
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2)
    for routing in (False, True):
        for inner in (search, make_pipeline(FunctionTransformer(), LogisticRegression())):
            with sklearn.config_context(enable_metadata_routing=routing):
                model = LabelledOnly(inner).fit(X, Y, domain=DOMAIN, sample_weight=weights)
            np.testing.assert_allclose(
                model.predict_proba(X), plain.predict_proba(X), rtol=1e-6, atol=1e-9
            )
    with pytest.raises(InputError, match="KNeighborsClassifier does not"):
        LabelledOnly(KNeighborsClassifier()).fit(X, Y, domain=DOMAIN, sample_weight=weights)


def test_score_takes_weights():
    model = LabelledOnly(LogisticRegression()).fit(X, Y, domain=DOMAIN)
    wrong = model.predict(X) != TRUTH
    wrong[0] = True
    truth = np.where(wrong, 1 - model.predict(X), model.predict(X))
    assert model.score(X, truth, sample_weight=1.0 * wrong) == 0


def test_data_frames_reach_the_estimator():
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    frame = pandas.DataFrame(X, columns=["first", "second"])
    inner = make_pipeline(
        ColumnTransformer([("one", "passthrough", ["first"])]), LogisticRegression()
    )
    model = LabelledOnly(inner).fit(frame, Y, domain=DOMAIN)
    plain = LogisticRegression().fit(X[:20, :1], Y[:20])
    np.testing.assert_array_equal(model.predict(frame), plain.predict(X[:, :1]))
    frame.iloc[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.predict(frame)
