"""Starting-point penalties pull as weight decay does, whatever the optimizer makes of gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.objectives import L1SP, L2SP, Supervised
from tl_keras.objectives.regularization.l1_sp import constant_pull
from tl_keras.objectives.regularization.l2_sp import half_squared_distance, proportional_pull
from tl_keras.objectives.regularization.pull import Pull
from tl_keras.training.step.optimizers import build_optimizer
from tl_keras.training.step.pulls import Pulls, apply_changes, update_of

STEPS, RATE = 20, 1e-2
X = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3)).astype(np.uint8)


def small_network() -> keras.Model:
    """Return a network with a kernel, a bias and a BatchNorm layer."""
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, strides=4, name="stem")(images)
    return keras.Model(images, keras.layers.BatchNormalization(name="stem_bn")(x))


class OneAway(keras.callbacks.Callback):
    """Moves every weight of the backbone by 1 once the objectives know the start."""

    def on_train_begin(self, logs=None):
        self.start = {}
        for variable in self.model.backbone.trainable_variables:
            self.start[variable.path] = variable.numpy()
            variable.assign_add(tf.ones_like(variable))


def distances(objective, strategy="one_device", objectives=None, network=None, **arguments):
    """Return path → mean distance from the start after 20 steps that nothing else moves."""
    moved = OneAway()
    model = tl.build_transfer_model(network or small_network(), 2)
    stage = {"unfreeze": "all", "learning_rate": RATE, "weight_decay": 0.0, "decay": "constant"}
    tl.fine_tune(
        model,
        (X, np.arange(8) % 2),
        schedule=tl.Stage(STEPS // 4, **stage | arguments),
        objectives=objectives or [Supervised(weight=0.0), objective],
        batch_size=2,
        callbacks=[moved],
        strategy=strategy,
        verbose=False,
    )
    # Scales of BatchNorm layers with frozen statistics do not train.
    variables = {v.path: v.numpy() for v in model.backbone.trainable_variables}
    found = {path: np.mean(value - moved.start[path]) for path, value in variables.items()}
    assert len(found) == (6 if network else 2)
    return model, found


@pytest.mark.parametrize(
    ("optimizer", "weight"),
    [("adamw", 1.0), ("adamw", 1e-6), ("adam", 1e-2), ("sgd", 1e-2)],
)
def test_the_strength_is_the_weight_under_every_optimizer(optimizer, weight):
    _, found = distances(L2SP(weight=weight), optimizer=optimizer)
    expected = (1.0 - RATE * weight) ** STEPS
    for path, distance in found.items():
        assert 1 - distance == pytest.approx(1 - expected, rel=0.01, abs=1e-6), path


@pytest.mark.parametrize("weight", [0.5, 10.0])
def test_l1_moves_all_alike_and_not_past_the_start(weight):
    _, found = distances(L1SP(weight=weight))
    expected = max(0.0, 1.0 - STEPS * RATE * weight)
    np.testing.assert_allclose(list(found.values()), expected, atol=1e-4)


@pytest.mark.parametrize(
    "controls", [{"global_clipnorm": 1e-3}, {"accumulation": 2}, {"ema_momentum": 1e-3}]
)
def test_clipping_micro_batches_and_averages_do_not_change_it(controls):
    _, found = distances(L2SP(weight=1.0), **controls)
    expected = (1.0 - RATE) ** STEPS
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-3)


def test_it_follows_the_learning_rate_the_block_and_the_strength():
    model, found = distances(
        L2SP({"block1*": 3.0}, weight=lambda progress: 2.0 * progress),
        network=tiny_network(),
        layer_decay=0.5,
        decay="cosine",
    )
    steps = np.arange(STEPS)
    rates = RATE * 0.5 * (1 + np.cos(np.pi * steps / STEPS)) * 2.0 * steps / STEPS
    depth = len(model.blocks)
    for index, block in enumerate(model.blocks):
        strength = 3.0 if block.name.startswith("block1") else 1.0
        factor = strength * 0.5 ** (depth - index)
        for variable in block.weights:
            if variable.path in found:
                expected = np.prod(1.0 - rates * factor)
                assert found[variable.path] == pytest.approx(expected, rel=1e-4)


def test_on_two_devices_it_is_that_of_one(two_devices):
    expected = (1.0 - RATE) ** STEPS
    _, found = distances(L2SP(weight=1.0), two_devices)
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-4)


def test_alone_it_trains():
    _, found = distances(None, objectives=[L2SP(weight=1.0)])
    np.testing.assert_allclose(list(found.values()), (1.0 - RATE) ** STEPS, rtol=1e-4)


def test_for_plain_sgd_the_pull_is_the_gradient():
    random = np.random.default_rng(0)
    weights, start = (tf.constant(random.normal(size=(4, 3)), tf.float32) for _ in range(2))
    with tf.GradientTape() as tape:
        tape.watch(weights)
        penalty = half_squared_distance(weights, start)
    gradient = tape.gradient(penalty, weights)
    np.testing.assert_allclose(proportional_pull(weights, start, 0.1), -0.1 * gradient, rtol=1e-5)
    difference = weights - start
    expected = -np.sign(difference) * np.minimum(np.abs(difference), 0.3)
    np.testing.assert_allclose(constant_pull(weights, start, 0.3), expected, rtol=1e-5)


@pytest.mark.parametrize(("gradient", "expected"), [(0.0, 0.9), (np.inf, 1.0)])
def test_a_step_that_loss_scaling_skips_does_not_pull(gradient, expected):
    variable = keras.Variable(np.ones((2, 2), "float32"), name="kernel")
    stage = tl.Stage(1, learning_rate=0.1, decay="constant", weight_decay=0.0)
    optimizer = build_optimizer(stage, [variable], 10, scale_loss=True)

    class Drawn(L2SP):
        def pulls(self, model):
            return [Pull(variable, lambda value, amount: -amount * value)]

    pulls = Pulls(None, [Drawn(weight=1.0)], optimizer)

    @tf.function
    def step():
        changes = pulls.changes(0.5)
        gradients = [tf.fill((2, 2), gradient)]
        made = update_of(optimizer, lambda: optimizer.apply(gradients, [variable]))
        apply_changes(changes, made)

    step()
    np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6)
