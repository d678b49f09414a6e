"""What is said where `domain` is forgotten, and where labels are missing in a search."""

import pathlib
import warnings

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

import tl_keras
from tl_keras import InputError, validation
from tl_keras.arrays import LabelledOnly, MissingDomain
from tl_keras.features import (
    CORAL,
    JointDistributionAdaptation,
    SubspaceAlignment,
    TransferComponentAnalysis,
)
from tl_keras.instances import (
    BalancedWeighting,
    KernelMeanMatching,
    NearestNeighborWeighting,
    TrAdaBoostClassifier,
    WeightedEstimator,
)
from tl_keras.validation import DomainSplit, cross_validate, fit_search, reverse_validation

X = np.random.default_rng(0).normal(size=(60, 3))
DOMAIN = np.repeat(["source", "target"], 30)
TRUTH = (X[:, 0] > 0).astype(int)


def marked(kind):
    """The labels of the sources, with a mark on target samples."""
    known = DOMAIN == "source"
    words = np.where(TRUTH == 1, "yes", "no")
    if kind in ("-1", "-1.0", "float NaN", "numbers and None"):
        mark, numbers = {
            "-1": (-1, np.int64),
            "-1.0": (-1.0, np.float64),
            "float NaN": (np.nan, np.float64),
            "numbers and None": (None, object),
        }[kind]
        y = TRUTH.astype(numbers)
        y[~known] = mark
        return y
    if kind in ("words and None", "words and NaN", "words and -1"):
        mark = {"words and None": None, "words and NaN": np.nan, "words and -1": -1}[kind]
        y = words.astype(object)
        y[~known] = mark
        return y
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    if kind == "Series of words":
        return pandas.Series(np.where(known, words.astype(object), None))
    if kind == "Series written":
        return pandas.Series(np.where(known, words.astype(object), None)).astype(str)
    if kind == "NA":
        return pandas.Series(np.where(known, TRUTH.astype(object), None)).astype("Int64")
    return np.where(known, words, "nan")


MARKS = [
    "-1",
    "-1.0",
    "float NaN",
    "numbers and None",
    "words and None",
    "words and NaN",
    "words and -1",
    "Series of words",
    "Series written",
    "NA",
    "'nan'",
]
ESTIMATORS = [
    CORAL(),
    TransferComponentAnalysis(2),
    JointDistributionAdaptation(2),
    KernelMeanMatching(),
    BalancedWeighting(),
    LabelledOnly(LogisticRegression()),
    WeightedEstimator(LogisticRegression(), NearestNeighborWeighting()),
    TrAdaBoostClassifier(),
]


@pytest.mark.parametrize("kind", MARKS)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_marks_of_unlabelled_samples_are_not_learned(estimator, kind):
    text = r"domain: 30 of 60 samples are marked as unlabelled .*fit\(X, y, domain=domain\).*rout"
    with pytest.raises(InputError, match=text):
        estimator.fit(X, marked(kind))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("classes", [(0, 1), (-1, 1), ("no", "yes")])
def test_complete_labels_are_learned(estimator, classes):
    y = np.array(classes)[TRUTH]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, y)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_that_nothing_has_shifted_is_said_once(estimator):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(X, TRUTH)
        with_domain = len(caught)
        estimator.fit(X, TRUTH, domain=DOMAIN)
    found = [one for one in caught if one.category is MissingDomain]
    # Of complete labels LabelledOnly takes all, whatever the domains are.
    assert len(found) == (not isinstance(estimator, LabelledOnly))
    assert caught[:with_domain].count(found) == 0 or "domain=domain" in str(found[0].message)


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_the_warning_points_to_the_call(method):
    with pytest.warns(MissingDomain, match=r"CORAL: fitted without domain.*nothing") as caught:
        found = getattr(CORAL(), method)(X)
    assert caught[0].filename == __file__
    assert method == "fit" or np.array_equal(found, X)


def test_values_of_a_regression_may_be_minus_one():
    y = np.round(X[:, 0])
    assert (y == -1).any()
    LabelledOnly(LinearRegression()).fit(X, y)
    with pytest.raises(InputError, match="domain: 30 of 60 samples are marked as unlabelled"):
        LabelledOnly(LinearRegression()).fit(X, np.where(DOMAIN == "source", y, np.nan))


def search(**settings):
    model = make_pipeline(SubspaceAlignment(2), LabelledOnly(LogisticRegression()))
    return GridSearchCV(model, {"subspacealignment__n_components": [1, 2]}, **settings)


REMEDY = r"cv=tl.validation.DomainSplit\(5\) and scoring=tl.validation.reverse_validation\(\)"
UNSORTED = ["float NaN", "numbers and None", "words and None", "words and NaN", "words and -1"]


@pytest.mark.parametrize("kind", UNSORTED)
@pytest.mark.parametrize("cv", [None, 3, StratifiedKFold(3)])
def test_splits_by_class_are_refused_where_labels_are_missing(kind, cv):
    y = marked(kind)
    with pytest.raises(InputError, match=f"cv: .*{REMEDY}"):
        fit_search(search(scoring=reverse_validation(), cv=cv), X, y, domain=DOMAIN)
    if isinstance(cv, StratifiedKFold):
        model = search().estimator
        with pytest.raises(InputError, match=f"cv: .*{REMEDY}"):
            cross_validate(model, X, y, domain=DOMAIN, cv=cv)


@pytest.mark.parametrize("kind", ["-1", *UNSORTED])
def test_an_estimator_does_not_score_its_answers_against_marks(kind):
    y = marked(kind)
    plain = search(cv=DomainSplit(3, random_state=0), error_score="raise")
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(InputError, match=rf"y: \d+ of \d+ samples have no label .*{REMEDY}"),
    ):
        plain.fit(X, y, domain=DOMAIN)
    weighted = WeightedEstimator(LogisticRegression(), NearestNeighborWeighting())
    with pytest.raises(InputError, match="y: 30 of 60 samples have no label"):
        weighted.fit(X, y, domain=DOMAIN).score(X, y)
    ones = LabelledOnly(LogisticRegression()).fit(X, 2 * TRUTH - 1)
    assert ones.score(X, ones.predict(X)) == 1


def from_scikit_learn(call):
    """Return the message of an error in which nothing of this package takes part."""
    with pytest.raises((TypeError, ValueError)) as error:
        call()
    assert not isinstance(error.value, InputError)
    return str(error.value)


README = pathlib.Path(tl_keras.__file__).parents[1] / "README.md"
NO_ORDER = "'<' not supported between instances of "


def is_documented(message, words, types=""):
    """Return whether README and docstring quote a message by its words; only README by types."""
    readme = README.read_text(encoding="utf-8")
    texts = {words: (message, readme, validation.__doc__), types: (message, readme)}
    return all(part in text for part, where in texts.items() for text in where)


def calls(model, y, **settings):
    """scikit-learn's ways to fit a pipeline with domains."""
    grid = {"subspacealignment__n_components": [1, 2]}
    settings = {"error_score": "raise", **settings}
    params = {"domain": DOMAIN}
    return [
        lambda: GridSearchCV(model, grid, **settings).fit(X, y, domain=DOMAIN),
        lambda: cross_val_score(model, X, y, params=params, **settings),
    ]


def test_what_scikit_learn_says_without_routing_is_in_the_documentation():
    y, model = marked("-1"), search().estimator
    with sklearn.config_context(enable_metadata_routing=False):
        for call in (lambda: model.fit(X, y, domain=DOMAIN), *calls(model, y, cv=KFold(3))):
            said = "Pipeline.fit does not accept the domain parameter"
            assert is_documented(from_scikit_learn(call), said)
    with sklearn.config_context(enable_metadata_routing=True):  # The advice.
        model.fit(X, y, domain=DOMAIN)
    fit_search(search(cv=3, scoring=reverse_validation()), X, y, domain=DOMAIN)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("words and None", [NO_ORDER, "'NoneType' and 'str'"]),
        ("words and NaN", [NO_ORDER, "'float' and 'str'"]),
        ("words of NumPy and NaN", [NO_ORDER, "'float' and 'numpy.str_'"]),
        ("float NaN", ["Input y contains NaN"]),
    ],
)
@pytest.mark.parametrize("routing", [False, True])
def test_what_scikit_learn_says_to_missing_labels_is_in_the_documentation(kind, said, routing):
    if kind == "words of NumPy and NaN":
        words = np.where(TRUTH == 1, "yes", "no")
        y = np.array([*words[:30], *[np.nan] * 30], object)
    else:
        y = marked(kind)
    model = search().estimator
    with sklearn.config_context(enable_metadata_routing=routing):
        for call in calls(model, y):
            assert is_documented(from_scikit_learn(call), *said)
    by_domain = {"cv": DomainSplit(3, random_state=0)}
    with sklearn.config_context(enable_metadata_routing=True):
        for call in calls(model, y, **by_domain, scoring="accuracy"):
            found = from_scikit_learn(call)
            assert is_documented(found, *said) or is_documented(found, "Input y_true contains NaN")
        for call in calls(model, y, **by_domain, scoring=reverse_validation()):  # The advice.
            call()


def test_folds_that_keep_domains_apart_are_told_of_those_that_do_not():
    y = np.where(DOMAIN == "source", X[:, 0], np.nan)
    model = make_pipeline(SubspaceAlignment(2), LabelledOnly(LinearRegression()))
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(InputError, match=r"every part needs .* pass cv=tl.validation.DomainSplit"),
    ):
        cross_val_score(model, X, y, params={"domain": DOMAIN}, cv=KFold(2), error_score="raise")


def test_labels_of_several_types_are_refused():
    y = np.where(TRUTH == 1, "yes", "no").astype(object)
    y[TRUTH == 0] = 7
    for estimator in (JointDistributionAdaptation(2), LabelledOnly(LogisticRegression())):
        for domain in (DOMAIN, None):
            with pytest.raises(
                InputError, match=r"y: expected labels of one type, got 'yes' and 7"
            ):
                estimator.fit(X, y, domain=domain)


def test_the_pipeline_and_the_search_of_the_readme():
    import numpy as np
    import sklearn
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import tl_keras as tl
    from tl_keras.arrays import LabelledOnly

    random = np.random.default_rng(0)
    Xs, ys = random.normal(size=(200, 5)), np.tile(["cat", "dog"], 100)
    Xs[ys == "dog", :2] += 2
    Xt = 1.5 * Xs[::-1] + random.normal(size=(200, 5))  # another camera, no labels
    X, y, domain = tl.data.stack_domains(source=(Xs, ys), target=(Xt, None))

    model = make_pipeline(StandardScaler(), tl.features.CORAL(), LabelledOnly(LogisticRegression()))
    with sklearn.config_context(enable_metadata_routing=True):  # hands domain to each step
        model.fit(X, y, domain=domain)
    labels = model.predict(Xt)  # new samples are taken to be of the target

    search = GridSearchCV(
        model,
        {"coral__ridge": [0.01, 1.0, "auto"]},
        cv=tl.validation.DomainSplit(5, random_state=0),
        scoring=tl.validation.reverse_validation(),  # needs no label of the target
    )
    tl.validation.fit_search(search, X, y, domain=domain)
    assert np.mean(labels == ys[::-1]) > 0.75
    assert set(search.best_params_) == {"coral__ridge"}
