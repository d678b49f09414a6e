"""A loss of Keras, or of one's own, in place of the head's."""

import keras
import numpy as np
import pytest
from scipy.special import softmax

from tests.objectives.eager import setup
from tl_keras.objectives import Supervised
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

LOGITS = np.random.default_rng(0).normal(0, 2, (5, 3)).astype("float32")
Y = np.eye(3, dtype="float32")[[0, 2, 1, 1, 2]]
SPEC = TargetSpec("classification", 3)


def values(loss, **arguments):
    supervised = Supervised(loss=loss, **arguments)
    supervised.begin(setup())
    return np.asarray(supervised.per_example(Y, LOGITS, SPEC))


@pytest.mark.parametrize("from_logits", [True, False])
def test_focal_loss_by_its_formula_on_logits_or_probabilities(from_logits):
    focal = keras.losses.CategoricalFocalCrossentropy(
        alpha=0.5, gamma=2.0, from_logits=from_logits, reduction=None
    )
    right = (softmax(LOGITS, axis=1) * Y).sum(axis=1)
    expected = -0.5 * (1 - right) ** 2 * np.log(right)
    np.testing.assert_allclose(values(focal), expected, rtol=1e-4)
    weighted = values(focal, class_weight=[1.0, 2.0, 3.0])
    np.testing.assert_allclose(weighted, expected * (Y @ [1.0, 2.0, 3.0]), rtol=1e-4)


def test_what_is_no_loss_per_example_is_refused():
    class Total(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return keras.ops.sum(keras.ops.abs(y_true - y_pred))

    with pytest.raises(InputError, match=r"loss: Total gives an array of shape \(\), expected one"):
        values(Total())
    with pytest.raises(InputError, match=r"loss: expected a keras.losses.Loss, .* got 'mse'"):
        Supervised(loss="mse")
    with pytest.raises(InputError, match="targets are one-hot here"):
        Supervised(loss=keras.losses.SparseCategoricalCrossentropy())
    with pytest.raises(InputError, match="label_smoothing: it belongs to the head's own loss"):
        Supervised(0.1, loss=keras.losses.CategoricalCrossentropy())
    with pytest.raises(InputError, match=r"one unnamed task, got losses of \['a'\]"):
        values({"a": keras.losses.CategoricalCrossentropy()})


def test_runs_with_other_losses_are_other_runs():
    losses = [None, *(keras.losses.CategoricalFocalCrossentropy(gamma=g) for g in (2.0, 3.0))]
    configs = [repr(Supervised(loss=loss).config()) for loss in losses]
    assert len(set(configs)) == 3 and "loss" not in Supervised().config()
    assert repr(Supervised(loss=keras.losses.CategoricalFocalCrossentropy()).config()) == configs[1]
