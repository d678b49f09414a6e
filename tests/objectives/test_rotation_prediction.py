import keras
import numpy as np
import pytest
from scipy.special import log_softmax

import tl_keras as tl
from tests.objectives.views import begun, build, images, viewed
from tl_keras.objectives import RotationPrediction
from tl_keras.objectives.self_supervised.rotation_prediction import VIEWS, QuarterTurns
from tl_keras.utils.errors import InputError


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turns_are_those_of_numpy(turns):
    layer = QuarterTurns.from_config(QuarterTurns(turns).get_config())
    np.testing.assert_array_equal(layer(images(3)), np.rot90(images(3), turns, axes=(1, 2)))


def test_the_loss_by_its_formula():
    model = build()
    data = {"data": images(4), "target": images(3, 1)}
    objective = begun(RotationPrediction(), model, data)
    batch = viewed(model, data, objective)
    losses, right = [], []
    for number, view in enumerate([batch, *(batch.views[view] for view in VIEWS)]):
        for name in data:
            logits = objective.networks()["classifier"](view[name].features).numpy()
            losses.append(-log_softmax(logits, axis=1)[:, number])
            right.append(logits.argmax(axis=1) == number)
    found = objective.losses(batch)
    assert float(found["loss"]) == pytest.approx(np.concatenate(losses).mean(), rel=1e-4)
    assert float(found["rotation_accuracy"]) == pytest.approx(np.concatenate(right).mean())


def test_oblong_images_are_refused():
    network = keras.Sequential([keras.Input((8, 6, 3)), keras.layers.Conv2D(2, 3)])
    with pytest.raises(InputError, match="needs square ones"):
        begun(RotationPrediction(), tl.build_transfer_model(network, 2), {"data": images(2)})
