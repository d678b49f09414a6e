"""Every estimator on arrays works within scikit-learn's pipelines and searches."""

import numpy as np
import pytest
import sklearn
from array_cases import (
    check_same,
    data,
    every,
    fitted,
    is_learner,
    is_transformer,
    made,
    outcome,
    regression,
    transformers,
)
from sklearn.base import is_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tl_keras import instances
from tl_keras.arrays import LabelledOnly
from tl_keras.validation import (
    DomainSplit,
    circular_validation,
    cross_validate,
    divergence_score,
    fit_search,
    importance_weighted_score,
    reverse_validation,
)

pytestmark = pytest.mark.filterwarnings("ignore::tl_keras.arrays.DegenerateWeights")


def pipeline(name):
    """The estimator after a scaler, and a learner behind it if it is a map."""
    steps = [StandardScaler(), made(name)]
    if is_transformer(name):
        steps.append(LabelledOnly(LogisticRegression()))
    return make_pipeline(*steps)


def fitted_by_name(model, X, y, domain):
    with sklearn.config_context(enable_metadata_routing=False):
        given = {f"{step}__domain": domain for step, _ in model.steps[1:]}
        return model.fit(X, y, **given)


def answer(model, X):
    if not hasattr(model, "predict"):
        return model[-1].weights_
    return model.predict_proba(X) if is_classifier(model) else model.predict(X)


@every
def test_in_pipelines_with_and_without_metadata_routing(name):
    X, y, domain = data(name)
    by_name = fitted_by_name(pipeline(name), X, y, domain)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = pipeline(name).fit(X, y, domain=domain)
    np.testing.assert_array_equal(answer(by_name, X), answer(routed, X))
    scaled = StandardScaler().fit_transform(X)
    alone = fitted(made(name), scaled, y, domain)
    if not is_transformer(name):
        check_same(answer(by_name, X), outcome(alone, scaled, domain))
        return
    # In fit each sample was mapped by its own domain, in use as target.
    mapped = alone.transform(scaled, domain=domain)
    known = y != -1
    learner = LogisticRegression().fit(mapped[known], y[known])
    in_use = learner.predict_proba(alone.transform(scaled))
    assert by_name.classes_.tolist() == [0, 1]
    np.testing.assert_allclose(answer(by_name, X), in_use, atol=1e-6)


@transformers
def test_before_a_plain_learner_when_all_labels_are_known(name):
    X, y, domain = data(name, labelled=40)
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(made(name), LogisticRegression()).fit(X, y, domain=domain)
        assert model.score(X, y, domain=domain) > 0.75
        assert model.predict(X, domain=domain).shape == y.shape


def searchable(name):
    """A model, and two settings of it to choose from, for searches with scores."""
    if is_transformer(name):
        return pipeline(name), {"labelledonly__estimator__C": [1e-3, 1.0]}
    if not is_learner(name):
        model = instances.WeightedEstimator(LogisticRegression(), made(name))
        return model, {"estimator__C": [1e-3, 1.0]}
    if name == "WeightedEstimator":
        return made(name), {"estimator__C": [1e-3, 1.0]}
    return made(name), {"n_estimators": [2, 3]}


@every
def test_searches_with_scores_that_need_no_target_labels(name):
    X, y, domain = data(name, n=48, labelled=16)
    model, grid = searchable(name)
    scoring = {"reverse": reverse_validation(), "circular": circular_validation()}
    scoring["weighted"] = importance_weighted_score()
    if is_transformer(name):
        scoring["mmd"] = divergence_score("mmd")
    search = GridSearchCV(
        model,
        grid,
        scoring=scoring,
        refit="reverse",
        cv=DomainSplit(2, random_state=0),
        error_score="raise",
    )
    before = sklearn.get_config()
    fit_search(search, X, y, domain=domain)
    assert sklearn.get_config() == before
    for score in scoring:
        assert np.isfinite(search.cv_results_[f"mean_test_{score}"]).all()
    assert search.predict(X).shape == y.shape
    if not regression(name):
        assert search.cv_results_["mean_test_reverse"].max() > 0.6


@every
def test_cross_validation_of_a_pipeline(name):
    X, y, domain = data(name, n=48, labelled=16)
    if not is_transformer(name) and not is_learner(name):
        model = make_pipeline(
            StandardScaler(), instances.WeightedEstimator(LogisticRegression(), made(name))
        )
    else:
        model = pipeline(name)
    result = cross_validate(model, X, y, domain=domain, cv=DomainSplit(2, random_state=0))
    assert np.isfinite(result["test_score"]).all()
