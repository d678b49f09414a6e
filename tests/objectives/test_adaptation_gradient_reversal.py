"""Gradients come back turned round; values and files stay as they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.objectives.eager import points
from tl_keras.objectives import reverse_gradient
from tl_keras.utils.errors import InputError


@pytest.mark.parametrize("strength", [0.0, 0.3, -2.0])
def test_values_pass_and_gradients_turn(strength):
    x = points(4, 3)

    @tf.function
    def gradient(x, strength):
        with tf.GradientTape() as tape:
            tape.watch(x)
            passed = reverse_gradient(x, strength)
            loss = tf.reduce_sum(tf.square(passed))
        return passed, tape.gradient(loss, x)

    passed, found = gradient(x, tf.constant(strength))
    np.testing.assert_array_equal(passed, x)
    np.testing.assert_allclose(found, -strength * 2 * x, rtol=1e-6)


def test_the_layer_is_saved_and_loaded(tmp_path):
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2)(tl.objectives.GradientReversal(0.5)(inputs))
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = points(4, 3)
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.layers[1].strength == 0.5
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(loaded(x))
    expected = -0.5 * np.tile(loaded.layers[2].kernel.numpy().sum(axis=1), (4, 1))
    np.testing.assert_allclose(tape.gradient(loss, x), expected, rtol=1e-5)


def test_bad_strength():
    with pytest.raises(InputError, match="strength: expected a number ≥ 0, got -1"):
        tl.objectives.GradientReversal(-1)
