"""Values, labels and containers that no method on arrays can use are refused in one line."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import LogisticRegression, Ridge

from tl_keras import InputError
from tl_keras.arrays.checks import check_size
from tl_keras.features import CORAL
from tl_keras.instances import (
    ULSIF,
    BalancedWeighting,
    TrAdaBoostClassifier,
    TwoStageTrAdaBoostRegressor,
    WeightedEstimator,
)
from tl_keras.validation import DomainSplit
from tools.torture.hostile_arrays import honest


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "u8", "?"])
def test_usual_values_of_any_type_are_taken(dtype):
    for values in (np.arange(4).astype(dtype), np.zeros(3, dtype), np.zeros(0, dtype)):
        check_size("X", values)
    check_size("X", np.array([np.nan, 1.0, np.nan]))
    check_size("X", scipy.sparse.csr_matrix((3, 2)))


@pytest.mark.parametrize("value", [1e61, -1e300, 1e-151, -5e-324])
def test_values_whose_powers_are_no_numbers_are_refused(value):
    text = rf"^X: expected values .*{abs(value):.3g}".replace("+", r"\+")
    for values in (np.array([0.0, np.nan, value]), scipy.sparse.csr_matrix([[0.0, value]])):
        with pytest.raises(InputError, match=text):
            check_size("X", values)


@pytest.mark.parametrize("scale", [1e155, 1e-160])
@pytest.mark.parametrize("method", [CORAL, ULSIF])
def test_methods_refuse_them_without_a_warning(method, scale):
    samples = honest(0, regression=False)
    with warnings.catch_warnings(), pytest.raises(InputError, match=r"^X: expected values"):
        warnings.simplefilter("error")
        method().fit(samples.X * scale, samples.y, domain=samples.domain)


def test_labels_out_of_range():
    samples = honest(0, regression=True)
    samples.y[3] = 1e300
    models = (TwoStageTrAdaBoostRegressor(), WeightedEstimator(Ridge(), BalancedWeighting()))
    for model in models:
        with pytest.raises(InputError, match=r"^y: expected values up to 1e\+60, got 1e\+300"):
            model.fit(samples.X, samples.y, domain=samples.domain)
    samples.y[4] = np.nan
    with pytest.raises(InputError, match=r"^y: "):
        model.fit(samples.X, samples.y, domain=samples.domain)
    samples = honest(0, regression=False)
    labels = samples.y.astype(float)
    labels[3] = 1e300
    with pytest.raises(InputError, match=r"^y: expected numbers of classes, got 1e\+300"):
        TrAdaBoostClassifier().fit(samples.X, labels, domain=samples.domain)


@pytest.mark.parametrize(
    ("X", "text"),
    [
        ([[1.0, 2.0]] * 23 + [[1.0]], "got rows of different lengths"),
        ({"X": 1}, "got dict of length 1"),
    ],
)
def test_containers_that_hold_no_table(X, text):
    samples = honest(0, regression=False)
    model = WeightedEstimator(LogisticRegression(), BalancedWeighting())
    with pytest.raises(InputError, match=rf"^X: expected samples of shape .*{text}"):
        model.fit(X, samples.y, domain=samples.domain)


@pytest.mark.parametrize("shape", [(24, 1), (24, 2), (23,), ()])
def test_splits_take_one_label_per_sample(shape):
    samples = honest(0, regression=False)
    splits = DomainSplit(2).split(samples.X, np.zeros(shape), domain=samples.domain)
    with pytest.raises(InputError, match=r"^y: expected one label per sample, .*\(24,\), got"):
        next(splits)


def test_splits_refuse_words_among_numbers():
    samples = honest(0, regression=False)
    labels = samples.y.astype(object)
    labels[3] = "many"
    with pytest.raises(InputError, match=r"^y: expected labels of one type, got 'many' and \d"):
        next(DomainSplit(2).split(samples.X, labels, domain=samples.domain))
    with pytest.raises(TypeError, match="Expected sequence or array-like"):
        next(DomainSplit(2).split((row for row in samples.X), domain=samples.domain))
