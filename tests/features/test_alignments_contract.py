"""What scikit-learn asks of the alignments, selections and augmentations of features."""

import pickle

import feature_domains
import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from tl_keras.features import (
    CORAL,
    FeatureAugmentation,
    GeodesicFlowKernel,
    LinearMMDFeatureSelection,
    OptimalTransportMapping,
    SubspaceAlignment,
)

ESTIMATORS = [
    SubspaceAlignment(),
    SubspaceAlignment(1),
    CORAL(),
    CORAL("auto"),
    GeodesicFlowKernel(),
    FeatureAugmentation(),
    OptimalTransportMapping("sinkhorn"),
    OptimalTransportMapping("exact"),
    OptimalTransportMapping("group-lasso"),
    LinearMMDFeatureSelection(),
    LinearMMDFeatureSelection("polynomial"),
    LinearMMDFeatureSelection("rbf"),
]
EXPECTED_FAILURES = {}
every = pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)


def needs(estimator):
    if isinstance(estimator, OptimalTransportMapping):
        pytest.importorskip("ot", reason='pip install "tl_keras[transport]"')


def example():
    Xs, ys, Xt, yt = feature_domains.stretched_classes(0, samples=60)
    X, domain = feature_domains.stacked(source=Xs, target=Xt)
    return X, np.concatenate([ys, np.full(60, -1)]), domain, yt


@every
def test_scikit_learn_s_checks_pass(estimator):
    needs(estimator)
    check_estimator(estimator, expected_failed_checks=EXPECTED_FAILURES)


@every
def test_copies_and_pickles_map_alike(estimator):
    needs(estimator)
    X, y, domain, _ = example()
    mapped = estimator.fit_transform(X, y, domain=domain)
    restored = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(restored.transform(X, domain=domain), mapped)
    copy = clone(estimator)
    assert not [name for name in vars(copy) if name.endswith("_")]
    np.testing.assert_array_equal(copy.fit_transform(X, y, domain=domain), mapped)
    assert len(estimator.get_feature_names_out()) == mapped.shape[1]


@every
def test_data_frames_come_back_with_names(estimator):
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    needs(estimator)
    X, y, domain, _ = example()
    frame = pandas.DataFrame(X, columns=list("abcdef"), index=range(100, 220))
    mapped = clone(estimator).set_output(transform="pandas").fit_transform(frame, y, domain=domain)
    assert mapped.index.tolist() == frame.index.tolist()
    assert len(mapped.columns) == mapped.shape[1]


@every
def test_numbers_as_domains_and_mixed_order_change_nothing(estimator):
    needs(estimator)
    X, y, domain, _ = example()
    mapped = clone(estimator).fit_transform(X, y, domain=domain)
    order = np.random.default_rng(0).permutation(len(X))
    number = np.where(domain == "target", 7, 3)[order]
    other = clone(estimator).set_params(target=7)
    np.testing.assert_allclose(
        other.fit_transform(X[order], y[order], domain=number), mapped[order], atol=2e-5
    )


@every
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(estimator, wrong):
    X, y, domain, _ = example()
    X[3, 1] = wrong
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        clone(estimator).fit(X, y, domain=domain)


@every
def test_domains_without_samples_are_refused(estimator):
    X, y, domain, _ = example()
    with pytest.raises(ValueError, match="target: no sample belongs to domain 'elsewhere'"):
        clone(estimator).set_params(target="elsewhere").fit(X, y, domain=domain)
    with pytest.raises(ValueError, match="there is none to transfer from"):
        clone(estimator).fit(X, y, domain=["target"] * len(X))


@every
def test_domains_are_routed_through_pipelines_and_searches(estimator):
    needs(estimator)
    X, y, domain, yt = example()
    y = np.where(domain == "target", np.concatenate([yt, yt]), y)
    mapped = clone(estimator).fit_transform(X, y, domain=domain)
    expected = LogisticRegression(max_iter=300).fit(mapped, y).score(mapped, y)
    with config_context(enable_metadata_routing=True):
        model = make_pipeline(clone(estimator), LogisticRegression(max_iter=300))
        assert model.fit(X, y, domain=domain).score(X, y, domain=domain) == expected
        search = GridSearchCV(model, {"logisticregression__C": [0.1, 1.0]}, cv=3)
        found = search.fit(X, y, domain=domain)
        assert found.best_score_ > 0.4
        assert found.best_estimator_[0].sources_ == ("source",)
