"""Feature hints against NumPy and Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tests.objectives.passes import images, one_pass, setup_of
from tl_keras.objectives import FeatureHints
from tl_keras.objectives.distillation.feature_hints import brought_together, hint_distance
from tl_keras.utils.errors import InputError

RANDOM = np.random.default_rng(0)
DATA = {"source": (images(4), [0, 1, 2, 0]), "target": images(3, 1)}


def normal(*shape):
    return tf.constant(RANDOM.normal(size=shape), tf.float32)


def test_distance_equals_numpys_and_keras():
    hint, guided = normal(3, 4, 5, 6), normal(3, 4, 5, 6)
    found = hint_distance(hint, guided).numpy()
    np.testing.assert_allclose(found, ((hint - guided) ** 2).numpy().mean((1, 2, 3)), rtol=1e-5)
    theirs = keras.distillation.FeatureDistillation("mse").compute_loss(hint, guided)
    assert found.mean() == pytest.approx(float(theirs), rel=1e-5)


def test_maps_of_other_sizes_are_brought_together():
    same = brought_together(normal(2, 4, 4, 3), normal(2, 4, 4, 3))
    assert [tuple(one.shape) for one in same] == [(2, 4, 4, 3)] * 2
    hint, resized = brought_together(normal(2, 6, 4, 3), tf.ones((2, 3, 2, 3)))
    assert hint.shape == (2, 6, 4, 3)
    np.testing.assert_allclose(resized, np.ones((2, 6, 4, 3)))
    tokens, vector = normal(2, 7, 3), normal(2, 3)
    averaged, as_it_is = brought_together(tokens, vector)
    np.testing.assert_allclose(averaged, tokens.numpy().mean(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(as_it_is, vector)


def test_the_regressor_brings_channels_to_the_teachers():
    teacher = keras.Model(
        (network := tiny_network(1)).input, keras.layers.Conv2D(5, 1)(network.output)
    )
    model = tl.build_transfer_model(tiny_network(), 3)
    objective = FeatureHints(teacher)
    objective.begin(setup_of(model, DATA))
    kernel, bias = (variable.numpy() for variable in objective.trainable_variables())
    assert kernel.shape == (8, 5)
    batch = one_pass(model, DATA, teachers=objective.teacher_functions())
    x = np.concatenate([images(4), images(3, 1)]).astype(np.float32)
    guided = np.concatenate([one.feature_map for one in batch.values()]) @ kernel + bias
    expected = ((teacher(x) - guided) ** 2).numpy().mean()
    assert float(objective.losses(batch)["loss"]) == pytest.approx(expected, rel=1e-4)
    objective.begin(setup_of(model, DATA))
    np.testing.assert_array_equal(objective.trainable_variables()[0], kernel)


def test_several_teachers_have_a_regressor_each():
    first = tiny_network(1)
    small = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 4, 4), keras.layers.ReLU()]
    )
    model = tl.build_transfer_model(tiny_network(), 3)
    single = []
    for teacher in (first, small):
        objective = FeatureHints(teacher)
        objective.begin(setup_of(model, DATA))
        single.append(objective)
    both = FeatureHints([first, small])
    both.begin(setup_of(model, DATA))
    shapes = [tuple(v.shape) for v in both.trainable_variables()]
    assert shapes == [(8, 8), (8,), (8, 4), (4,)]
    for variable, value in zip(
        both.trainable_variables(),
        [v for one in single for v in one.trainable_variables()],
        strict=True,
    ):
        variable.assign(value)
    losses = [
        float(one.losses(one_pass(model, DATA, teachers=one.teacher_functions()))["loss"])
        for one in (*single, both)
    ]
    assert losses[2] == pytest.approx((losses[0] + losses[1]) / 2, rel=1e-5)


def test_the_backbone_of_a_transfer_model_gives_the_hint():
    teacher, model = (tl.build_transfer_model(tiny_network(s), 3 + s) for s in (1, 0))
    objective = FeatureHints(teacher)
    objective.begin(setup_of(model, DATA))
    (function,) = objective.teacher_functions().values()
    np.testing.assert_allclose(function(images(2)), teacher.feature_map(images(2)), atol=1e-5)


def test_bad_arguments():
    with pytest.raises(InputError, match="teachers: expected a Keras model"):
        FeatureHints("ResNet50")
    small = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)])
    model = tl.build_transfer_model(tiny_network(), 3)
    with pytest.raises(InputError, match="A teacher reads the same images, 0–255"):
        FeatureHints(small).begin(setup_of(model, DATA))
