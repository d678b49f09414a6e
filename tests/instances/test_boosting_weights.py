"""Factors, weights, shares and medians against their formulas written out."""

import numpy as np
import pytest

from tl_keras.instances.boosting_weights import (
    SMALLEST_ERROR,
    bounded_target_factor,
    frozen_source_weights,
    lowered_source,
    mean_error,
    scaled_errors,
    second_half,
    source_factor,
    target_factor,
    target_shares,
    transfer_weights,
    weighted_median,
)


def test_source_factor():
    assert source_factor(100, 10) == pytest.approx(1 / (1 + (2 * np.log(100) / 10) ** 0.5))
    assert source_factor(1, 10) == source_factor(0, 10) == 1.0
    assert source_factor(100, 10) < source_factor(100, 50) < 1.0


def test_target_factor():
    assert target_factor(0.2) == pytest.approx(0.25)
    assert target_factor(0.2, classes=3) == pytest.approx(0.125)
    assert target_factor(0.6, classes=3) == pytest.approx(0.75)
    assert bounded_target_factor(0.2) == pytest.approx(0.2 / 1.8)


@pytest.mark.parametrize(("error", "classes"), [(0.5, 2), (0.7, 2), (2 / 3, 3), (1 - 1 / 7, 7)])
def test_a_round_no_better_than_guessing_changes_nothing(error, classes):
    assert target_factor(error, classes) == target_factor(1.0, classes) == 1.0
    assert target_factor(error * (1 - 1e-15), classes) == 1.0
    assert target_factor(error * 0.999, 3 * classes) < 1.0


def test_no_error_is_a_very_small_one():
    assert target_factor(0.0) == pytest.approx(SMALLEST_ERROR)
    assert bounded_target_factor(0.0) == pytest.approx(SMALLEST_ERROR / 2)
    assert bounded_target_factor(1.0) == 1.0


def test_transfer_weights():
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    source = np.array([True, True, False, False])
    got = transfer_weights(weights, np.array([1.0, 0.0, 0.5, 1.0]), source, 0.5, 0.25)
    expected = np.array([0.1 * 0.5, 0.2, 0.3 / 0.25**0.5, 0.4 / 0.25])
    np.testing.assert_allclose(got, expected / expected.sum(), rtol=1e-14)


def test_errors_are_relative_to_the_largest_among_samples_with_weight():
    residuals = np.array([-1.0, 2.0, 8.0])
    np.testing.assert_allclose(scaled_errors(residuals, np.ones(3)), [0.125, 0.25, 1.0])
    np.testing.assert_allclose(scaled_errors(residuals, np.array([1.0, 1.0, 0.0])), [0.5, 1.0, 1.0])
    assert not scaled_errors(np.zeros(3), np.ones(3)).any()


def test_mean_error():
    assert mean_error(np.array([1.0, 3.0]), np.array([0.0, 0.8])) == pytest.approx(0.6)


def test_adaboost_r2_leaves_source_weights_and_the_sum_of_the_others():
    weights = np.array([0.3, 0.2, 0.1, 0.4])
    source = np.array([True, False, True, False])
    got = frozen_source_weights(weights, np.array([0.9, 0.0, 0.1, 1.0]), source, 0.5)
    np.testing.assert_allclose(got[source], [0.3, 0.1])
    np.testing.assert_allclose(got[~source], 0.6 * np.array([0.2 * 0.5, 0.4]) / 0.5)


def test_target_shares_rise_evenly_to_one():
    n, m, steps = 80, 20, 5
    expected = [m / (n + m) + t / (steps - 1) * (1 - m / (n + m)) for t in range(steps)]
    np.testing.assert_allclose(target_shares(n / 100, m / 100, steps), expected)


@pytest.mark.parametrize("total", [0.79, 0.5, 0.1, 1e-3, 1e-12])
def test_lowered_source_has_the_sum_wanted_by_one_factor(total):
    random = np.random.default_rng(0)
    weights = random.dirichlet(np.ones(40)) * 0.8
    errors = random.uniform(0.01, 1, 40)
    lowered = lowered_source(weights, errors, total)
    assert lowered.sum() == pytest.approx(total, rel=1e-9)
    factors = np.log(lowered / weights) / errors  # ln β, the same for all
    np.testing.assert_allclose(factors, factors[0], rtol=1e-6)
    assert factors[0] < 0


def test_lowered_source_where_the_factor_is_smaller_than_any_float():
    errors = np.array([1.0, 1e-4, 1e-4])  # one far outlier: β = exp(−2.3e4)
    lowered = lowered_source(np.full(3, 0.3), errors, 0.06)
    np.testing.assert_allclose(lowered, [0.0, 0.03, 0.03], atol=1e-12)


def test_lowered_source_where_samples_without_error_hold_too_much():
    lowered = lowered_source(np.full(4, 0.2), np.array([0.0, 0.0, 0.5, 1.0]), 0.1)
    np.testing.assert_allclose(lowered, [0.05, 0.05, 0.0, 0.0])


def test_lowered_source_at_the_ends():
    weights, errors = np.array([0.3, 0.5]), np.array([0.2, 1.0])
    assert not lowered_source(weights, errors, 0.0).any()
    np.testing.assert_array_equal(lowered_source(weights, errors, 0.8), weights)


def test_second_half_starts_at_half_of_the_rounds_rounded_up():
    rounds = np.arange(1, 12)
    for count in range(1, 12):
        assert rounds[:count][second_half(count)][0] == int(np.ceil(count / 2))
        assert rounds[:count][second_half(count)][-1] == count


def test_weighted_median():
    random = np.random.default_rng(1)
    predictions, votes = random.normal(size=(7, 30)), random.uniform(0.1, 1, 7)
    got = weighted_median(predictions, votes)
    for column, median in zip(predictions.T, got, strict=True):
        below = votes[column < median].sum()
        assert below < votes.sum() / 2 <= below + votes[column == median].sum()


def test_weighted_median_of_equal_votes_is_the_lower_middle():
    assert weighted_median(np.array([[4.0], [1.0], [2.0], [3.0]]), np.full(4, 0.1)) == [2.0]
