import warnings

import numpy as np
import pytest

from tl_keras.arrays import DegenerateWeights
from tl_keras.instances import BalancedWeighting
from tl_keras.utils.errors import InputError

DOMAIN = np.repeat(["a", "b", "target"], [6, 4, 5])


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.5, 1.0])
def test_the_weighted_loss_is_the_balance_of_the_mean_losses(ratio):
    loss = np.random.default_rng(0).uniform(size=15)
    y = np.array([0, 1] * 5 + [1, 0, -1, -1, -1])
    weights = BalancedWeighting(ratio=ratio).fit(loss[:, None], y, domain=DOMAIN).weights_
    wanted = (1 - ratio) * loss[:10].mean() + ratio * loss[10:12].mean()
    assert weights @ loss / 12 == pytest.approx(wanted)
    assert weights.sum() == pytest.approx(12.0)
    assert (weights[12:] == 0).all()


def test_labels_of_all_kinds():
    X = np.zeros((15, 1))
    for blank, values in (
        (-1, [0, 1]),
        (np.nan, [0.5, -1.0]),
        (np.nan, [0.0, 1.0]),
        (None, ["cat", "dog"]),
    ):
        y = np.array(values * 5 + [values[0], blank, blank, values[1], blank], dtype=object)
        y = y if blank is None else np.array(y.tolist())
        weights = BalancedWeighting().fit(X, y, domain=DOMAIN).weights_
        assert (weights[10:] > 0).tolist() == [True, False, False, True, False]
    assert (BalancedWeighting().fit(X, domain=DOMAIN).weights_ > 0).all()
    assert (BalancedWeighting().fit(X).weights_ == 1).all()


@pytest.mark.parametrize("blank", [-1, None, np.nan])
def test_lists_of_strings_keep_their_marks(blank):
    y = ["cat", "dog"] * 5 + ["cat", blank, blank, "dog", blank]
    weights = BalancedWeighting().fit(np.zeros((15, 1)), y, domain=DOMAIN).weights_
    assert (weights[10:] > 0).tolist() == [True, False, False, True, False]


def test_one_sample_with_all_weight_is_a_warning():
    y = [0] * 11 + [-1] * 4
    text = r"BalancedWeighting: the effective sample size is 1\.2 of 11 labelled samples: one of"
    with pytest.warns(DegenerateWeights, match=text) as caught:
        BalancedWeighting(ratio=0.9).fit(np.zeros((15, 1)), y, domain=DOMAIN)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BalancedWeighting(ratio=0.5).fit(np.zeros((15, 1)), y, domain=DOMAIN)


def test_several_targets():
    model = BalancedWeighting(["a", "b"], ratio=0.8).fit(np.zeros((15, 1)), domain=DOMAIN)
    assert model.weights_[:10].sum() == pytest.approx(0.8 * 15)
    assert model.effective_sample_size_ == pytest.approx(15**2 / (model.weights_**2).sum())


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        ({"ratio": 1.1}, None, "ratio: expected a number from 0 to 1, got 1.1"),
        ({"ratio": "0.5"}, None, "ratio: expected a number from 0 to 1, got '0.5'"),
        ({}, [0] * 10 + [-1] * 5, "y: expected labels for some target samples, got none"),
        ({}, [-1] * 2 + [0] * 13, "2 of 6 samples of source domain 'a' have no label"),
        ({}, [0] * 14, r"y: expected one label per sample, shape \(15,\), got \(14,\)"),
    ],
)
def test_what_does_not_fit(parameters, y, message):
    with pytest.raises(InputError, match=message):
        BalancedWeighting(**parameters).fit(np.zeros((15, 1)), y, domain=DOMAIN)
