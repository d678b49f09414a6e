"""Weights that change over a stage."""

import numpy as np
import pytest
import tensorflow as tf

from tl_keras.objectives import MCC, Constant, Joint, Linear, Ramp
from tl_keras.utils.errors import InputError


@pytest.mark.parametrize("sharpness", [10.0, 3.0])
def test_a_ramp_is_its_formula(sharpness):
    progress = np.array([0.0, 0.1, 0.5, 1.0])
    expected = 0.7 * (2 / (1 + np.exp(-sharpness * progress)) - 1)
    weight = MCC(weight=Ramp(0.7, sharpness)).weight_at
    found = [weight(tf.constant(one, tf.float32)) for one in progress]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_at_a_sharpness_of_10_half_is_reached_after_a_tenth():
    assert float(Ramp(2.0)(0.1)) == pytest.approx(1.0, abs=0.1)


def test_a_line_and_a_constant():
    assert Linear(1.0, 0.2)(0.25) == pytest.approx(0.8)
    assert float(Constant(0.3)(0.5)) == pytest.approx(0.3)


def test_numbers_are_the_end_of_a_ramp_or_stay():
    assert float(MCC(weight=2.0).weight_at(0.05)) == pytest.approx(float(Ramp(2.0)(0.05)))
    assert float(Joint(0.5, weight=2.0).weight_at(0.05)) == 2.0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Ramp("a"), "value: expected a number ≥ 0, got 'a'"),
        (lambda: Ramp(-1.0), "value: expected a number ≥ 0, got -1.0"),
        (lambda: Ramp(1.0, 0.0), "sharpness: expected a number > 0, got 0.0"),
        (lambda: Linear(1.0, -0.5), "end: expected a number ≥ 0, got -0.5"),
        (lambda: Constant(None), "value: expected a number ≥ 0, got None"),
        (lambda: MCC(weight=-1), "weight: expected a number ≥ 0 or a function of progress"),
        (lambda: MCC(weight="a"), "weight: expected a number ≥ 0 or a function of progress"),
        (lambda: MCC(weight=Ramp), "weight: expected a number ≥ 0 or a function of progress"),
        (lambda: MCC(weight=lambda: 1), "weight: expected a function of the progress .*, which fa"),
        (lambda: MCC(weight=lambda progress: None), "weight: expected a function of the progress"),
        (lambda: MCC(weight=lambda progress: [1, 2]), r"one number, got .* gives shape \(2,\)"),
        (lambda: Joint(alpha=lambda: 1), "alpha: expected a function of the progress"),
    ],
)
def test_what_is_no_weight_is_refused(make, text):
    with pytest.raises(InputError, match=text):
        make()
