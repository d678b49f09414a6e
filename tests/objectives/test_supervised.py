import numpy as np
import pytest
from scipy.special import expit, log_softmax

from tl_keras.errors import InputError
from tl_keras.objectives import Supervised
from tl_keras.objectives.supervised import (
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
)
from tl_keras.targets import TargetSpec

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 3, (5, 4)).astype("float32")
ONE_HOT = np.eye(4, dtype="float32")[[0, 3, 1, 1, 2]]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_softmax_cross_entropy_by_its_formula(smoothing):
    y = ONE_HOT * (1 - smoothing) + smoothing / 4
    expected = -(y * log_softmax(LOGITS, axis=1)).sum(axis=1)
    got = softmax_cross_entropy(ONE_HOT, LOGITS, smoothing)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_sigmoid_cross_entropy_by_its_formula(smoothing):
    y = RANDOM.integers(0, 2, (5, 4)).astype("float32")
    smooth = y * (1 - smoothing) + smoothing / 2
    p = expit(LOGITS.astype("float64"))
    expected = -(smooth * np.log(p) + (1 - smooth) * np.log1p(-p)).mean(axis=1)
    np.testing.assert_allclose(sigmoid_cross_entropy(y, LOGITS, smoothing), expected, rtol=1e-4)


def test_squared_error_is_the_mean_over_outputs():
    np.testing.assert_allclose(
        squared_error(ONE_HOT, LOGITS), ((LOGITS - ONE_HOT) ** 2).mean(axis=1), rtol=1e-5
    )


def test_extreme_logits_stay_finite():
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]], "float32")
    y = np.array([[0, 1], [0, 1]], "float32")
    assert np.isfinite(softmax_cross_entropy(y, logits)).all()
    np.testing.assert_allclose(sigmoid_cross_entropy(y, logits), [1e4, 0.0], atol=1e-3)


def test_class_weights_multiply_the_loss_of_their_class():
    spec = TargetSpec("classification", 4)
    plain = Supervised().per_example(ONE_HOT, LOGITS, spec).numpy()
    weighted = Supervised(class_weight=[1, 2, 3, 4]).per_example(ONE_HOT, LOGITS, spec)
    np.testing.assert_allclose(weighted, plain * [1, 4, 2, 2, 3], rtol=1e-6)


def test_label_smoothing_out_of_range_is_refused():
    with pytest.raises(InputError, match="label_smoothing: expected a share"):
        Supervised(label_smoothing=-0.1)
