"""TrAdaBoost.R2 against the paper written out, ADAPT, and its own promises."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from boosted_domains import mean_errors, values
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import AdaBoostRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import check_estimator

from tests import oracles
from tl_keras.instances import TrAdaBoostRegressor
from tl_keras.utils.errors import InputError

TREE = DecisionTreeRegressor(max_depth=3, random_state=0)


class Constant(RegressorMixin, BaseEstimator):
    """Says the same value for everything, whatever it is fitted on."""

    def __init__(self, value=0.0):
        self.value = value

    def fit(self, X, y, sample_weight=None):
        return self

    def predict(self, X):
        return np.full(X.shape[0], self.value)


def paper(X, y, source, rounds, new):
    """TrAdaBoost.R2 as Pardoe and Stone describe it; weights and predictions for `new`."""
    w, history, models, betas = np.ones(len(y)) / len(y), [], [], []
    beta = 1 / (1 + np.sqrt(2 * np.log(source.sum()) / rounds))
    for _ in range(rounds):
        history.append(w)
        h = clone(TREE).fit(X, y, sample_weight=w * len(y))
        e = np.abs(y - h.predict(X))
        e = e / e.max()
        error = (w * e)[~source].sum() / w[~source].sum()
        assert 0 < error < 0.5
        models.append(h)
        betas.append(error / (1 - error))
        w = np.concatenate([(w * beta**e)[source], (w * betas[-1] ** -e)[~source]])
        w = w / w.sum()
    first = int(np.ceil(rounds / 2)) - 1
    answers = np.array([h.predict(new) for h in models[first:]]).T
    votes = np.log(1 / np.array(betas[first:]))
    medians = []
    for answer in answers:
        order = np.argsort(answer)
        held = np.cumsum(votes[order])
        medians.append(answer[order][np.flatnonzero(held >= votes.sum() / 2)[0]])
    return np.array(history), np.array(medians)


@pytest.mark.parametrize("rounds", [7, 8])
def test_weights_and_median_follow_the_paper(rounds):
    X, y, domain = values(seed=2)
    source, new = domain == "source", np.random.default_rng(9).uniform(-1, 1, (200, 3))
    history, medians = paper(X, y, source, rounds, new)
    model = TrAdaBoostRegressor(TREE, n_estimators=rounds).fit(X, y, domain=domain)
    np.testing.assert_allclose(model.source_weights_, history[:, source], rtol=1e-9)
    np.testing.assert_allclose(model.target_weights_, history[:, ~source], rtol=1e-9)
    np.testing.assert_allclose(model.predict(new), medians, rtol=1e-9)


@pytest.mark.parametrize("estimator", [Ridge(), TREE])
def test_weights_of_each_round_agree_with_adapt(estimator):
    adapt = oracles.adapt("instance_based._tradaboost")
    X, y, domain = values(seed=1)
    source, new = domain == "source", np.random.default_rng(5).uniform(-1, 1, (100, 3))
    peer = adapt.TrAdaBoostR2(
        estimator, Xt=X[~source], yt=y[~source], n_estimators=9, verbose=0, random_state=0
    ).fit(X[source], y[source])
    model = TrAdaBoostRegressor(estimator, n_estimators=9, beta="bounded")
    model.fit(X, y, domain=domain)
    np.testing.assert_allclose(model.source_weights_, peer.sample_weights_src_, rtol=1e-6)
    np.testing.assert_allclose(model.target_weights_, peer.sample_weights_tgt_, rtol=1e-6)
    np.testing.assert_allclose(model.estimator_errors_, peer.estimator_errors_, rtol=1e-6)
    np.testing.assert_allclose(model.predict(new), peer.predict(new).ravel(), rtol=1e-6)
    assert model.source_weights_[-1].max() > 5 * model.source_weights_[-1].min()


def test_a_near_source_helps_and_one_that_contradicts_hardly_harms():
    def fits(depth):
        def fit(X, y, domain):
            tree = DecisionTreeRegressor(max_depth=depth, random_state=0)
            boosting, target = AdaBoostRegressor(tree, n_estimators=10), domain == "target"
            boosting.set_params(random_state=0)
            yield clone(boosting).fit(X[target], y[target])
            yield clone(boosting).fit(X, y)
            yield TrAdaBoostRegressor(tree, n_estimators=20).fit(X, y, domain=domain)

        return fit

    alone, _, boosted = mean_errors(fits(4), slope=1.0)
    assert boosted < 0.85 * alone
    alone, pooled, boosted = mean_errors(fits(2), slope=-2.0)
    assert boosted < 0.75 * pooled
    assert boosted < 1.1 * alone


def test_rounds_with_half_of_the_largest_error_or_more_have_no_vote():
    X, y, domain = values(seed=3)
    source = domain == "source"
    y[~source] = 9.0 + np.arange(20) % 2  # from 0, all near the largest error
    model = TrAdaBoostRegressor(Constant(), n_estimators=4)
    with pytest.warns(ConvergenceWarning, match=r"half of the largest error .* sample_weight"):
        model.fit(X, y, domain=domain)
    assert (model.estimator_errors_ > 0.9).all() and not model.estimator_weights_.any()
    np.testing.assert_allclose(np.ptp(model.target_weights_, axis=1), 0, atol=1e-15)
    beta = 1 / (1 + np.sqrt(2 * np.log(120) / 4))
    lowered = beta ** (np.abs(y[source]) / 10)
    np.testing.assert_allclose(
        model.source_weights_[1] / model.source_weights_[1][0], lowered / lowered[0]
    )
    assert (model.predict(X) == 0).all()
    bounded = TrAdaBoostRegressor(Constant(), n_estimators=4, beta="bounded")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bounded.fit(X, y, domain=domain)
    assert (bounded.estimator_weights_ > 0).all()


def test_a_perfect_round_is_the_last():
    X = np.repeat([[0.0], [1.0]], 10, axis=0)
    domain = np.resize(["source", "target"], 20)
    model = TrAdaBoostRegressor(TREE, n_estimators=9).fit(X, X[:, 0], domain=domain)
    assert len(model.estimators_) == 1
    np.testing.assert_array_equal(model.predict(X), X[:, 0])


def test_values_that_are_missing_are_ignored_and_minus_one_is_a_value():
    X, y, domain = values(seed=4)
    y = np.round(y)
    y[-3:] = -1
    plain = TrAdaBoostRegressor(TREE, n_estimators=5).fit(X, y, domain=domain)
    assert plain.target_weights_.shape == (5, 20)
    more = np.vstack([X, X[:7] + 0.1]), np.r_[y, np.full(7, np.nan)], np.r_[domain, ["target"] * 7]
    for values_of_y in (more[1], np.array([None if v != v else v for v in more[1]], object)):
        model = TrAdaBoostRegressor(TREE, n_estimators=5)
        model.fit(more[0], values_of_y, domain=more[2])
        np.testing.assert_allclose(model.predict(X), plain.predict(X))


def test_several_sources_and_targets_are_pooled():
    X, y, domain = values(seed=5)
    finer = np.array([f"{name} {i % 2}" for i, name in enumerate(domain)])
    model = TrAdaBoostRegressor(TREE, target=["target 0", "target 1"]).fit(X, y, domain=finer)
    plain = TrAdaBoostRegressor(TREE).fit(X, y, domain=domain)
    np.testing.assert_array_equal(model.source_weights_, plain.source_weights_)


def test_sparse_samples_clone_pickle_and_seeds():
    X, y, domain = values(seed=6)
    X[np.abs(X) < 0.3] = 0
    tree = DecisionTreeRegressor(max_depth=2, max_features=1)
    models = [
        TrAdaBoostRegressor(tree, n_estimators=6, random_state=seed).fit(data, y, domain=domain)
        for seed, data in ((0, X), (0, scipy.sparse.csr_matrix(X)), (1, X))
    ]
    np.testing.assert_allclose(models[0].source_weights_, models[1].source_weights_)
    np.testing.assert_allclose(models[0].predict(X), models[1].predict(scipy.sparse.csr_matrix(X)))
    assert not np.array_equal(models[0].source_weights_, models[2].source_weights_)
    again = pickle.loads(pickle.dumps(models[0]))
    np.testing.assert_array_equal(again.predict(X), models[0].predict(X))
    assert clone(models[0]).get_params()["n_estimators"] == 6


X, Y, DOMAIN = values(seed=0, n_source=20, n_target=10)


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        ({}, np.where(DOMAIN == "target", np.nan, Y), "no sample of the target domain 'target' ha"),
        ({}, np.where(np.arange(30) < 3, np.nan, Y), "3 of 20 samples of source domain 'source'"),
        ({}, np.full(30, "high"), "y: expected numbers, with NaN for samples without a label; str"),
        ({"estimator": KNeighborsRegressor()}, Y, "sample_weight; KNeighborsRegressor does not"),
        ({"estimator": LogisticRegression()}, Y, "expected a regressor, got LogisticRegression, a"),
        ({"n_estimators": -1}, Y, "n_estimators: expected a whole number of 1 or more, got -1"),
        ({"beta": "samme"}, Y, "beta: expected one of 'paper', 'bounded', got 'samme'"),
    ],
)
def test_bad_input(parameters, y, message):
    with pytest.raises(InputError) as caught:
        TrAdaBoostRegressor(**parameters).fit(X, y, domain=DOMAIN)
    assert message in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks():
    check_estimator(TrAdaBoostRegressor(n_estimators=5), on_skip=None)
