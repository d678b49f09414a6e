"""Several tasks: weights by hand, learned weights, and labels that are missing."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize_scalar

import tl_keras as tl
from tests.conftest import tiny_network
from tests.objectives.eager import batch, domain, points
from tl_keras.objectives import MultiTask, Setup, TaskUncertainty
from tl_keras.objectives.batch import Counts
from tl_keras.objectives.multi_task import uncertainty_weighted
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

TARGETS = {"colour": TargetSpec("classification", 3), "size": TargetSpec("regression", 1)}
MASKS = {"colour": [1.0, 0.0, 1.0, 1.0], "size": [0.0, 1.0, 1.0, 0.0]}


def several(masks):
    masks = {task: tf.constant(mask) for task, mask in masks.items()}
    y = {"colour": tf.one_hot([0, 1, 2, 2], 3), "size": points(4, 1, 2)}
    one = dataclasses.replace(
        domain(points(4, 8)),
        y={task: values * masks[task][:, None] for task, values in y.items()},
        labelled=masks,
        counts=Counts(tf.constant(4.0), {k: tf.reduce_sum(one) for k, one in masks.items()}),
    )
    logits = {"colour": points(4, 3), "size": points(4, 1, 3)}
    one = dataclasses.replace(one, forward=one.forward._replace(logits=logits))
    return dataclasses.replace(batch(data=one), targets=TARGETS)


def by_hand(one):
    domain = one["data"]
    logs = tf.nn.log_softmax(domain.logits["colour"]).numpy()
    colour = -(domain.y["colour"].numpy() * logs).sum(axis=1).sum() / 3
    size = ((domain.y["size"] - domain.logits["size"]).numpy()[:, 0] ** 2)[[1, 2]].mean()
    return colour, size


@pytest.fixture
def setup():
    heads = {"colour": "linear", "size": "regression"}
    model = tl.build_transfer_model(tiny_network(), {"colour": 3, "size": 1}, head=heads)
    return Setup(model, ("data",), ("data",), seed=1)


def test_weights_by_hand_over_the_labels_that_there_are(setup):
    one = several(MASKS)
    objective = MultiTask({"size": 0.25})
    objective.begin(setup)
    found = objective.losses(one)
    colour, size = by_hand(one)
    assert float(found["colour_loss"]) == pytest.approx(colour, rel=1e-5)
    assert float(found["loss"]) == pytest.approx(colour + 0.25 * size, rel=1e-5)
    assert objective.networks() == {}


def test_learned_weights_by_the_formula(setup):
    one = several(MASKS)
    objective = MultiTask("uncertainty")
    objective.begin(setup)
    (variable,) = objective.trainable_variables()
    variable.assign([0.5, -1.0])
    colour, size = by_hand(one)
    expected = np.exp(-0.5) * colour + 0.25 + 0.5 * np.exp(1.0) * size - 0.5
    found = objective.losses(one)
    assert float(found["loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(found["size_log_variance"]) == -1.0


def test_a_task_without_labels_in_a_batch_adds_nothing(setup):
    objective = MultiTask("uncertainty")
    objective.begin(setup)
    (variable,) = objective.trainable_variables()
    with tf.GradientTape() as tape:
        loss = objective.losses(several({**MASKS, "size": [0.0] * 4}))["loss"]
    gradient = tape.gradient(loss, variable.value).numpy()
    assert gradient[0] != 0.0 and gradient[1] == 0.0


def test_the_best_variance_of_a_regression_is_its_squared_error():
    def loss(s):
        return float(uncertainty_weighted(4.0, tf.constant(s, tf.float32), is_regression=True))

    assert minimize_scalar(loss).x == pytest.approx(np.log(4.0), abs=0.02)


def test_the_layer_is_rebuilt_from_its_config():
    layer = TaskUncertainty(["a", "b"])
    layer.build()
    again = TaskUncertainty.from_config(layer.get_config())
    again.build()
    assert {k: float(v) for k, v in again.by_task().items()} == {"a": 0.0, "b": 0.0}


def test_bad_arguments(setup):
    with pytest.raises(InputError, match="weights: expected task name → number ≥ 0, or 'uncert"):
        MultiTask([1, 2])
    with pytest.raises(InputError, match=r"weights\['size'\]: expected a number ≥ 0"):
        MultiTask({"size": -1})
    with pytest.raises(InputError, match=r"weights: \['shape'\] are no tasks"):
        MultiTask({"shape": 1}).begin(setup)
    one = Setup(tl.build_transfer_model(tiny_network(), 3), ("data",), ("data",), seed=1)
    with pytest.raises(InputError, match="MultiTask needs several named heads"):
        MultiTask().begin(one)
