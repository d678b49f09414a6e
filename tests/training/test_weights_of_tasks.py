"""Class weights of one of several tasks."""

import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network

STAGE = tl.Stage(1, learning_rate=1e-9)


def several_tasks():
    return tl.build_transfer_model(
        tiny_network(),
        {"colour": 3, "warm": 1, "size": 2},
        head={"colour": "linear", "warm": "multi_label", "size": "linear"},
        class_names={"colour": ["red", "green", "blue"]},
    )


def cross_entropy(p, y):
    return -np.log(p[np.arange(len(y)), y])


def test_weights_multiply_the_losses_of_their_task_alone(blobs):
    x, colour = blobs
    size = np.random.default_rng(1).permutation(np.repeat([0, 1], [36, 9]))
    y = {"colour": colour, "warm": (colour == 0).astype(float), "size": size}
    weights = {"red": 3.0, "green": 0.5, "blue": 1.0}
    balanced = len(size) / (2 * np.bincount(size))
    for given, of_size in (
        ({"colour": weights, "size": "balanced"}, balanced),
        ({"colour": [3.0, 0.5, 1.0], "size": {0: 2.0, 1: 7.0}}, np.array([2.0, 7.0])),
    ):
        model = several_tasks()
        outputs = model.predict(x, verbose=0)
        options = {"schedule": STAGE, "batch_size": 45, "verbose": False}
        if isinstance(given["colour"], list):
            objectives = [tl.objectives.Supervised(class_weight=given)]
            history = tl.fine_tune(model, (x, y), objectives=objectives, **options).history
        else:
            history = tl.fine_tune(model, (x, y), class_weight=given, **options).history
        expected = cross_entropy(outputs["colour"], colour) * np.array([3.0, 0.5, 1.0])[colour]
        assert history["colour_loss"][0] == pytest.approx(expected.mean(), rel=1e-4)
        expected = cross_entropy(outputs["size"], size) * of_size[size]
        assert history["size_loss"][0] == pytest.approx(expected.mean(), rel=1e-4)


@pytest.mark.parametrize("wrong", [{"warm": {0: 1.0}}, {"age": {0: 1.0}}, {0: 1.0, 1: 2.0}])
def test_weights_of_what_has_no_classes_are_refused(blobs, wrong):
    x, y = blobs
    labels = {"colour": y, "warm": y > 0, "size": y > 1}
    with pytest.raises(tl.InputError, match=r"class_weight: expected task name → weights of its"):
        tl.fine_tune(several_tasks(), (x, labels), class_weight=wrong, schedule=STAGE)
