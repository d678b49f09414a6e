"""L2-SP and L1-SP: distances from the weights that a run starts from."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tests.objectives.passes import images, moved, one_pass, setup_of
from tl_keras.backbones.saved_model import SavedModelBackbone
from tl_keras.objectives import L1SP, L2SP
from tl_keras.objectives.regularization.starting_point import StartingPoint, require_replaceable
from tl_keras.schedules import Stage, apply_freezing
from tl_keras.utils.errors import InputError

DATA = {"data": (images(4), [0, 1, 2, 0])}


@pytest.fixture
def model():
    model = tl.build_transfer_model(tiny_network(), 3)
    apply_freezing(model, Stage(1, unfreeze="all"))
    return model


@pytest.mark.parametrize(
    ("kind", "distance"),
    [(L2SP, lambda step: 0.5 * (step**2).sum()), (L1SP, lambda step: np.abs(step).sum())],
)
def test_the_distance_is_that_of_the_weights_that_train(model, kind, distance):
    objective = kind()
    objective.begin(setup_of(model, DATA))
    assert float(objective.losses(one_pass(model, DATA))["loss"]) == 0.0
    steps = moved(model)
    model.head.weights[0].assign_add(tf.ones_like(model.head.weights[0]))
    expected = sum(distance(step) for step in steps.values())
    found = objective.losses(one_pass(model, DATA))["loss"]
    assert len(steps) == 6
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_blocks_have_strengths_and_the_first_pattern_counts(model):
    objective = L2SP({"block1*": 3.0, "block*": 0.0})
    objective.begin(setup_of(model, DATA))
    steps = moved(model)
    expected = sum(
        0.5 * (step**2).sum() * (3.0 if "block1" in path else 0.0 if "block2" in path else 1.0)
        for path, step in steps.items()
    )
    found = objective.losses(one_pass(model, DATA))["loss"]
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_frozen_layers_are_left_out(model):
    objective = L2SP()
    objective.begin(setup_of(model, DATA))
    moved(model)
    apply_freezing(model, Stage(1))
    assert float(objective.losses(one_pass(model, DATA))["loss"]) == 0.0


def test_the_pull_points_to_the_start_and_a_second_run_starts_again(model):
    objective = L2SP()
    objective.begin(setup_of(model, DATA))
    steps = moved(model)
    pulls = objective.pulls(model)
    assert len(pulls) == 6
    for pull in pulls:
        change = pull.change(pull.variable.value, 0.25)
        np.testing.assert_allclose(change, -0.25 * steps[pull.variable.path], atol=1e-5)
    with tf.GradientTape() as tape:
        loss = objective.losses(one_pass(model, DATA))["loss"]
    assert tape.gradient(loss, model.backbone.trainable_variables[0].value) is None
    objective.begin(setup_of(model, DATA))
    assert float(objective.losses(one_pass(model, DATA))["loss"]) == 0.0


def test_a_pass_with_the_starting_values(model):
    start = StartingPoint(model, statistics=True)
    before = one_pass(model, DATA)["data"].feature_map.numpy()
    moved(model)
    for variable in model.backbone.non_trainable_variables:
        if variable.dtype == "float32":
            variable.assign_add(tf.ones_like(variable))
    batch = one_pass(model, DATA)
    assert np.abs(batch["data"].feature_map - before).max() > 0.01
    np.testing.assert_allclose(start.forward(batch, "data").feature_map, before, atol=1e-5)


def test_bad_arguments(model):
    with pytest.raises(InputError, match=r"block_strengths\['stem'\]: expected a number ≥ 0"):
        L2SP({"stem": -1})
    with pytest.raises(InputError, match="block_strengths: expected block name or pattern"):
        L1SP([1.0])
    with pytest.raises(InputError, match=r"no block is named like 'bock1'.*Did you mean"):
        L2SP({"bock1": 1}).begin(setup_of(model, DATA))


class Module(SavedModelBackbone):
    def __init__(self):
        keras.layers.Layer.__init__(self, name="module")


def test_weights_of_a_saved_model_cannot_be_replaced():
    backbone = types.SimpleNamespace(_flatten_layers=lambda **_: [Module()])
    setup = types.SimpleNamespace(model=types.SimpleNamespace(backbone=backbone))
    with pytest.raises(InputError, match="'module' is a SavedModel, whose weights cannot be"):
        require_replaceable(setup, tl.objectives.DELTA())
