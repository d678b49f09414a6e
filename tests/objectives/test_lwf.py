"""LwF: the source head's answers against those of the starting point."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from scipy.stats import entropy

import tl_keras as tl
from tests.conftest import tiny_network
from tests.objectives.passes import images, moved, one_pass, setup_of
from tl_keras.objectives import LwF
from tl_keras.schedules import Stage, apply_freezing
from tl_keras.utils.errors import InputError

DATA = {"source": (images(4), [0, 1, 2, 0]), "target": images(3, 1)}


def source_head(channels=8, activation="softmax"):
    layer = keras.layers.Dense(
        5, activation, kernel_initializer=keras.initializers.GlorotUniform(seed=3)
    )
    layer.build((None, channels))
    return layer


@pytest.fixture
def model():
    model = tl.build_transfer_model(tiny_network(), 3, head="mlp")
    apply_freezing(model, Stage(1, unfreeze="all"))
    return model


def test_divergence_from_the_answers_at_the_start(model):
    head = source_head()
    objective = LwF(head, temperature=2.0)
    objective.begin(setup_of(model, DATA))
    kernel, bias = (variable.numpy() for variable in head.weights)

    def logits(batch):
        maps = np.concatenate([one.feature_map for one in batch.values()])
        return maps.mean(axis=(1, 2)) @ kernel + bias

    before = logits(one_pass(model, DATA))
    assert float(objective.losses(one_pass(model, DATA))["loss"]) == pytest.approx(0, abs=1e-6)
    moved(model)
    batch = one_pass(model, DATA)
    parts = entropy(softmax(before / 2, axis=1), softmax(logits(batch) / 2, axis=1), axis=1)
    assert float(objective.losses(batch)["loss"]) == pytest.approx(4 * parts.mean(), rel=1e-3)
    found = objective.source_logits(batch["target"].feature_map)
    np.testing.assert_allclose(found, logits(batch)[4:], atol=1e-5)


def test_the_copied_head_trains_and_the_old_one_stays(model):
    head = source_head()
    objective = LwF(head)
    objective.begin(setup_of(model, DATA))
    own = objective.trainable_variables()
    assert len(own) == 2 and len(objective.networks()) == 2
    with tf.GradientTape() as tape:
        moved(model)
        loss = objective.losses(one_pass(model, DATA))["loss"]
    assert all(np.abs(one).max() > 0 for one in tape.gradient(loss, [v.value for v in own]))
    own[0].assign(tf.zeros_like(own[0]))
    assert np.abs(head.weights[0]).max() > 0
    objective.begin(setup_of(model, DATA))
    np.testing.assert_array_equal(objective.trainable_variables()[0], head.weights[0])


def test_a_head_of_several_layers_and_a_frozen_backbone(model):
    head = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(4, "relu"), source_head(4, None)]
    )
    objective = LwF(head)
    objective.begin(setup_of(model, DATA))
    apply_freezing(model, Stage(1))
    batch = one_pass(model, DATA)
    assert float(objective.losses(batch)["loss"]) == pytest.approx(0, abs=1e-6)
    pooled = batch["target"].feature_map.numpy().mean((1, 2))
    np.testing.assert_allclose(
        objective.source_logits(batch["target"].feature_map), head(pooled), atol=1e-5
    )


def test_bad_arguments(model):
    with pytest.raises(InputError, match="source_head: expected the trained layer"):
        LwF(keras.layers.ReLU())
    with pytest.raises(InputError, match="temperature: expected a number > 0"):
        LwF(source_head(), 0)
    with pytest.raises(InputError, match="source_head: it does not read the backbone's 8 channels"):
        LwF(source_head(7)).begin(setup_of(model, DATA))
