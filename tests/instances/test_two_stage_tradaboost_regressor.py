"""Two-stage TrAdaBoost.R2 against the paper written out, ADAPT, and its own promises."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from boosted_domains import mean_errors, values
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import AdaBoostRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import check_estimator

from tests import oracles
from tl_keras.arrays import DegenerateWeights
from tl_keras.instances import TwoStageTrAdaBoostRegressor
from tl_keras.instances.boosting_weights import lowered_source
from tl_keras.utils.errors import InputError

TREE = DecisionTreeRegressor(max_depth=2, random_state=0)


def adaboost_r2(X, y, w, source, rounds):
    """AdaBoost.R2' of Algorithm 3, which leaves source weights alone; returns a predictor."""
    models, betas, kept = [], [], w[~source].sum()
    for _ in range(rounds):
        used = w > 0
        h = clone(TREE).fit(X[used], y[used], sample_weight=w[used])
        e = np.abs(y - h.predict(X))
        e = np.minimum(e / e[used].max(), 1)
        error = (w * e).sum()
        if error >= 0.5 and models:
            break
        models.append(h)
        if error >= 0.5:
            return h.predict
        betas.append(error / (1 - error))
        w = w.copy()
        w[~source] *= betas[-1] ** (1 - e[~source])
        w[~source] *= kept / w[~source].sum()

    def predict(new):
        answers, votes = np.array([h.predict(new) for h in models]).T, np.log(1 / np.array(betas))
        orders = np.argsort(answers, axis=1)
        return np.array(
            [
                a[o][np.flatnonzero(np.cumsum(votes[o]) >= votes.sum() / 2)[0]]
                for a, o in zip(answers, orders, strict=True)
            ]
        )

    return predict


def paper(X, y, source, steps, rounds, folds):
    """Algorithm 3 of Pardoe and Stone: weights of each step, its error, and its predictor."""
    n, m = source.sum(), (~source).sum()
    w, history, errors, models = np.ones(n + m) / (n + m), [], [], []
    target = np.flatnonzero(~source)
    for t in range(1, steps + 1):
        history.append(w)
        models.append(adaboost_r2(X, y, w, source, rounds))
        squares = []
        for train, test in folds:
            rows = np.concatenate([np.flatnonzero(source), target[train]])
            part = w[rows].copy()
            part[n:] *= w[target].sum() / part[n:].sum()
            predict = adaboost_r2(X[rows], y[rows], part, source[rows], rounds)
            squares.extend((predict(X[target[test]]) - y[target[test]]) ** 2)
        errors.append(np.sqrt(np.mean(squares)))
        e = np.abs(y - clone(TREE).fit(X, y, sample_weight=w * (n + m)).predict(X))
        e = e / e.max()
        share = m / (n + m) + t / (steps - 1) * (1 - m / (n + m))
        low, high = 0.0, 1.0
        for _ in range(200):
            beta = (low + high) / 2
            moved = w * np.where(source, beta**e, 1)
            low, high = (beta, high) if moved[target].sum() / moved.sum() > share else (low, beta)
        w = moved / moved.sum() if share < 1 else np.where(source, 0, w) / w[target].sum()
    return np.array(history), np.array(errors), models


def test_weights_errors_and_choice_follow_the_paper():
    X, y, domain = values(seed=2)
    source, new = domain == "source", np.random.default_rng(9).uniform(-1, 1, (200, 3))
    folds = list(KFold(4).split(np.arange((~source).sum())))
    history, errors, models = paper(X, y, source, 5, 6, folds)
    model = TwoStageTrAdaBoostRegressor(TREE, steps=5, n_estimators=6, cv=KFold(4))
    model.fit(X, y, domain=domain)
    np.testing.assert_allclose(model.source_weights_, history[:, source], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(model.target_weights_, history[:, ~source], rtol=1e-6)
    np.testing.assert_allclose(model.step_errors_, errors, rtol=1e-6)
    assert model.best_step_ == np.argmin(errors)
    np.testing.assert_allclose(model.predict(new), models[model.best_step_](new), rtol=1e-6)
    np.testing.assert_allclose(
        model.target_weights_.sum(axis=1), 20 / 140 + np.arange(5) / 4 * 120 / 140
    )
    assert not model.source_weights_[-1].any()


@pytest.mark.parametrize("step", [1, 4, 8])
def test_the_factor_is_at_least_as_exact_as_adapts(step):
    adapt = oracles.adapt("instance_based._tradaboost")
    random = np.random.default_rng(step)
    source, target = np.full(80, 0.01), np.full(20, 0.01)
    errors = random.uniform(0, 1, 80)
    peer = adapt.TwoStageTrAdaBoostR2(Ridge(), n_estimators=10, verbose=0)
    found = source * peer._get_beta(step, source, target, errors, errors[:20]) ** errors
    share = 0.2 + step / 9 * 0.8
    total = 0.2 * (1 - share) / share
    lowered = lowered_source(source, errors, total)
    assert abs(lowered.sum() - total) < 1e-12 < abs(found.sum() - total) < 1e-3
    np.testing.assert_allclose(lowered, found, atol=1e-3)
    # Both are w β^e: the logarithms of their ratios are proportional to the errors.
    slopes = np.log(lowered / found) / errors
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-5)


def test_it_uses_a_near_source_is_better_than_pooling_a_far_one_and_than_adapt():
    adapt = oracles.adapt("instance_based._tradaboost")

    def fits(X, y, domain):
        tree = DecisionTreeRegressor(max_depth=4, random_state=0)
        boosting, target = AdaBoostRegressor(tree, n_estimators=10), domain == "target"
        boosting.set_params(random_state=0)
        yield clone(boosting).fit(X[target], y[target])
        yield clone(boosting).fit(X, y)
        yield adapt.TwoStageTrAdaBoostR2(
            tree, Xt=X[target], yt=y[target], n_estimators=6, n_estimators_fs=6, verbose=0
        ).fit(X[~target], y[~target])
        ours = TwoStageTrAdaBoostRegressor(tree, steps=6, n_estimators=6, random_state=0)
        yield ours.fit(X, y, domain=domain)

    near, far = mean_errors(fits, slope=1.0), mean_errors(fits, slope=-2.0)
    assert near[3] < 0.8 * near[0]
    assert far[3] < 0.95 * far[1]
    assert near[3] + far[3] < near[2] + far[2]


def test_the_step_chosen_follows_the_use_of_the_source():
    """A source like the target is kept, one that says the opposite is dropped."""
    steps = np.zeros((2, 6))
    for seed in range(6):
        random = np.random.default_rng(seed)
        X = random.uniform(-1, 1, (120, 2))
        domain = np.repeat(["source", "target"], [100, 20])
        for sign in (1, -1):
            y = np.where(domain == "source", sign, 1) * (3 * X[:, 0] + X[:, 1])
            model = TwoStageTrAdaBoostRegressor(TREE, steps=5, n_estimators=4, random_state=0)
            steps[int(sign < 0), seed] = model.fit(X, y, domain=domain).best_step_
    kept, dropped = steps.mean(axis=1)
    assert dropped > kept + 1


def test_without_domains_it_is_adaboost_r2():
    X, y, _ = values(seed=3)
    model = TwoStageTrAdaBoostRegressor(TREE, n_estimators=6, random_state=0).fit(X, y)
    assert model.step_errors_.shape == (1,) and model.source_weights_.shape == (1, 0)
    predict = adaboost_r2(X, y, np.ones(len(y)) / len(y), np.zeros(len(y), bool), 6)
    np.testing.assert_allclose(model.predict(X), predict(X))


class Constant(RegressorMixin, BaseEstimator):
    """Says the same value for everything, whatever it is fitted on."""

    def __init__(self, value=0.0):
        self.value = value

    def fit(self, X, y, sample_weight=None):
        return self

    def predict(self, X):
        return np.full(X.shape[0], self.value)


def test_boosting_stops_at_half_of_the_largest_error_and_at_none():
    X, y, domain = values(seed=4, n_source=20, n_target=8)
    far = TwoStageTrAdaBoostRegressor(Constant(10.0), steps=2, n_estimators=5)
    far.fit(X, y, domain=domain)
    assert len(far.estimators_) == 1
    assert (far.predict(X) == 10).all()
    exact = TwoStageTrAdaBoostRegressor(Constant(3.0), steps=3, n_estimators=5)
    exact.fit(X, np.full(28, 3.0), domain=domain)
    assert len(exact.estimators_) == 1 and exact.best_step_ == 0
    np.testing.assert_allclose(exact.target_weights_.sum(axis=1), [8 / 28, 18 / 28, 1])


def test_first_weights_set_the_first_share():
    X, y, domain = values(seed=5)
    first = np.where(domain == "target", 1 / 20, 1 / 120)
    model = TwoStageTrAdaBoostRegressor(TREE, steps=3, n_estimators=2, random_state=0)
    model.fit(X, y, domain=domain, sample_weight=first)
    np.testing.assert_allclose(model.target_weights_.sum(axis=1), [0.5, 0.75, 1])


def test_unlabelled_targets_several_domains_sparse_pickle_and_seeds():
    X, y, domain = values(seed=6)
    X[np.abs(X) < 0.3] = 0
    make = TwoStageTrAdaBoostRegressor(TREE, steps=3, n_estimators=3, random_state=0)
    plain = clone(make).fit(X, y, domain=domain)
    finer = np.array([f"{name} {i % 2}" for i, name in enumerate(domain)])
    several = clone(make).set_params(target=["target 0", "target 1"]).fit(X, y, domain=finer)
    more = clone(make).fit(
        np.vstack([X, X[:5] + 0.1]),
        np.r_[y, np.full(5, np.nan)],
        domain=np.r_[domain, ["target"] * 5],
    )
    for model in (several, more, pickle.loads(pickle.dumps(plain))):
        np.testing.assert_allclose(model.predict(X), plain.predict(X))
        np.testing.assert_allclose(model.step_errors_, plain.step_errors_)
    other = clone(make).set_params(random_state=1).fit(X, y, domain=domain)
    assert not np.allclose(other.step_errors_, plain.step_errors_)
    make.set_params(estimator=Ridge(solver="sparse_cg", tol=1e-12))
    plain = clone(make).fit(X, y, domain=domain)
    sparse = clone(make).fit(scipy.sparse.csr_matrix(X), y, domain=domain)
    np.testing.assert_allclose(sparse.step_errors_, plain.step_errors_, rtol=1e-5)


def test_fewer_samples_than_folds_are_left_out_one_by_one():
    X, y, domain = values(seed=7, n_target=3)
    model = TwoStageTrAdaBoostRegressor(TREE, steps=2, n_estimators=2, cv=10)
    few = model.fit(X, y, domain=domain).step_errors_
    same = model.set_params(cv=KFold(3)).fit(X, y, domain=domain).step_errors_
    np.testing.assert_allclose(few, same)


X, Y, DOMAIN = values(seed=0, n_source=20, n_target=10)
FEW = np.where((DOMAIN == "target") & (np.arange(30) < 29), np.nan, Y)


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        ({}, np.where(DOMAIN == "target", np.nan, Y), "no sample of the target domain 'target' ha"),
        ({}, np.where(np.arange(30) < 3, np.nan, Y), "3 of 20 samples of source domain 'source'"),
        ({}, FEW, "needs 2 labelled samples of the target or more, got 1 sample. Label more, or"),
        ({"estimator": KNeighborsRegressor()}, Y, "sample_weight; KNeighborsRegressor does not"),
        ({"steps": 1}, Y, "steps: expected a whole number of 2 or more, got 1"),
        ({"n_estimators": 0}, Y, "n_estimators: expected a whole number of 1 or more, got 0"),
        ({"cv": 1}, Y, "cv: expected a whole number of 2 or more, got 1"),
        ({"cv": "five"}, Y, "cv: expected a whole number of 2 or more, got 'five'"),
    ],
)
def test_bad_input(parameters, y, message):
    with pytest.raises(InputError) as caught:
        TwoStageTrAdaBoostRegressor(**parameters).fit(X, y, domain=DOMAIN)
    assert message in str(caught.value)


def test_a_fold_without_weight_is_refused():
    weights = np.where(np.arange(30) < 29, DOMAIN == "source", 1.0)
    with pytest.raises(InputError, match="in a fold all target samples that train have weight ze"):
        TwoStageTrAdaBoostRegressor(TREE).fit(X, Y, domain=DOMAIN, sample_weight=weights)


def test_one_sample_with_all_weight_is_a_warning():
    weights = np.where(np.arange(30) == 25, 1e4, 1.0)
    model = TwoStageTrAdaBoostRegressor(TREE, steps=2, n_estimators=1, random_state=0)
    text = (
        r"TwoStageTrAdaBoostRegressor: in the last round the effective sample size is 1\.\d of 30"
    )
    with pytest.warns(DegenerateWeights, match=text) as caught:
        model.fit(X, Y, domain=DOMAIN, sample_weight=weights)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y, domain=DOMAIN)


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks():
    model = TwoStageTrAdaBoostRegressor(steps=2, n_estimators=3, cv=3, random_state=0)
    check_estimator(model, on_skip=None)
