import warnings

import numpy as np
import pytest

from tl_keras import InputError
from tl_keras.arrays import DegenerateWeights, effective_sample_size, finished_weights


def test_effective_sample_size_is_kishs():
    weights = np.array([1.0, 2.0, 3.0])
    assert effective_sample_size(weights) == pytest.approx(36 / 14)
    assert effective_sample_size(np.ones(5)) == 5
    assert effective_sample_size(np.array([0.0, 7.0, 0.0])) == 1
    assert effective_sample_size(np.zeros(3)) == 0


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1.0, 1e300])
def test_the_scale_of_weights_does_not_count(scale):
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finished = finished_weights(weights * scale, "Method")
    expected = weights / weights.mean()
    assert finished == pytest.approx(expected, rel=1e-2 if scale < 1e-300 else 1e-12)
    assert finished.mean() == pytest.approx(1.0)
    assert effective_sample_size(weights * scale) == pytest.approx(100 / 30, rel=1e-2)


def test_the_mean_of_huge_weights_does_not_overflow():
    finished = finished_weights(np.array([1e308, 1e308, 0.5e308]), "Method")
    assert finished == pytest.approx([1.2, 1.2, 0.6])


def test_weights_stay_as_they_are():
    weights = np.array([1.0, 2.0])
    finished_weights(weights, "Method")
    assert weights.tolist() == [1, 2]


def test_zero_weights_are_reported_and_replaced():
    with pytest.warns(DegenerateWeights, match=r"Method: all 3 source weights are zero .*size 0"):
        assert finished_weights(np.zeros(3), "Method").tolist() == [1, 1, 1]


def test_one_sample_that_holds_all_weight_is_reported():
    weights = np.zeros(50)
    weights[3] = 4.0
    with pytest.warns(DegenerateWeights, match=r"the effective sample size is 1\.0 of 50"):
        finished = finished_weights(weights, "Method")
    assert finished[3] == 50
    assert finished.sum() == 50


def test_few_of_many_samples_are_reported():
    weights = np.full(1000, 1e-9)
    weights[:40] = 1.0
    with pytest.warns(DegenerateWeights, match=r"effective sample size is 40\.0 of 1000"):
        finished_weights(weights, "Method")
    weights[:60] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finished_weights(weights, "Method")
        finished_weights(np.array([5.0]), "Method")


@pytest.mark.parametrize("bad", [-1e-9, np.nan, np.inf])
def test_weights_that_are_none(bad):
    with pytest.raises(InputError, match="Method: the estimated weights are negative or not fin"):
        finished_weights(np.array([1.0, bad]), "Method")
