import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tl_keras.schedules.layerwise import LayerwiseLearningRate
from tl_keras.training.step.optimizers import build_optimizer, carry_slots, last_learning_rate
from tl_keras.training.step.weight_decay import is_decayed

KERNEL = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
BIAS = np.array([0.5, -0.5, 1.0], "float32")


def two_variables() -> list[keras.Variable]:
    with keras.name_scope("dense"):
        return [keras.Variable(KERNEL, name="kernel"), keras.Variable(BIAS, name="bias")]


def stage(**arguments) -> tl.Stage:
    return tl.Stage(1, **{"learning_rate": 0.1, "decay": "constant", **arguments})


def built(stage_, variables, *, steps=10, scale_loss=False, factors=None):
    return build_optimizer(stage_, variables, steps, scale_loss=scale_loss, factors=factors)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sgd", keras.optimizers.SGD),
        ("adam", keras.optimizers.Adam),
        ("adamw", keras.optimizers.AdamW),
    ],
)
def test_a_stage_names_its_optimizer(name, kind):
    for weight_decay in (0.0, 0.1):
        optimizer = built(stage(optimizer=name, weight_decay=weight_decay), two_variables())
        assert type(optimizer) is kind and optimizer.built
    factors = {"dense/kernel": 0.1, "dense/bias": 1.0}
    wrapped = built(stage(optimizer=name, ema_momentum=0.9), two_variables(), factors=factors)
    assert type(wrapped) is LayerwiseLearningRate and wrapped.factors == factors
    assert type(wrapped.inner_optimizer) is kind
    ones = dict.fromkeys(factors, 1.0)
    assert type(built(stage(optimizer=name), two_variables(), factors=ones)) is kind


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_weight_decay_skips_vectors_and_follows_the_factor(name):
    variables = two_variables()
    optimizer = built(
        stage(optimizer=name, weight_decay=0.5), variables, factors={"dense/kernel": 0.2}
    )
    optimizer.apply([tf.zeros((4, 3)), tf.zeros(3)], variables)
    np.testing.assert_allclose(variables[0].numpy(), KERNEL * (1 - 0.5 * 0.1 * 0.2), rtol=1e-6)
    np.testing.assert_array_equal(variables[1].numpy(), BIAS)


def vit(images):
    """A vision transformer as keras.io has it: tokens and positions by hand and by layers."""

    class Tokens(keras.layers.Layer):
        def build(self, input_shape):
            self.class_token = self.add_weight(shape=(1, 1, 8), name="class_token")
            self.positions = keras.layers.Embedding(5, 8, name="positions")
            self.scale = self.add_weight(shape=(8,), name="layer_scale")
            self.added = self.add_weight(shape=(1, 5, 8), name="offset")

        def call(self, x):
            x = keras.ops.reshape(x, (-1, 4, 8))
            token = keras.ops.tile(self.class_token, (keras.ops.shape(x)[0], 1, 1))
            x = keras.ops.concatenate([token, x], axis=1) * self.scale + self.added
            return x + self.positions(keras.ops.arange(5))

    x = Tokens()(keras.layers.Conv2D(8, 4, strides=4, name="patches")(images))
    x = keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    return keras.layers.Dense(1, name="dense")(x)


def keras_hub_vit(images):
    models = pytest.importorskip("keras_hub").models
    return models.ViTBackbone(
        image_shape=(8, 8, 3), patch_size=4, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=16
    )(images)


@pytest.mark.parametrize("network", [vit, keras_hub_vit])
def test_what_is_added_scaled_or_looked_up_is_not_decayed(network):
    """As timm's `no_weight_decay`: kernels only; the rest stays where it is, to the bit."""
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, network(images))
    variables = model.trainable_variables
    for variable in variables:
        variable.assign(tf.ones_like(variable))
    optimizer = built(stage(weight_decay=0.5), variables)
    optimizer.apply([tf.zeros(variable.shape) for variable in variables], variables)
    decayed = {v.path for v in variables if float(np.mean(v.numpy())) < 0.96}
    assert decayed == {v.path for v in variables if v.name == "kernel"}
    kept = [v for v in variables if len(v.shape) > 1 and v.path not in decayed]
    assert len(kept) >= 5


def test_kernels_of_every_kind_are_decayed():
    layers = keras.layers
    images = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 1)(images)
    x = layers.DepthwiseConv2D(1)(x)
    x = layers.SeparableConv2D(4, 1)(x)
    x = layers.Conv1D(4, 1)(layers.Reshape((64, 4))(x))
    x = layers.Dense(1)(layers.GRU(4)(x))
    x = layers.Dense(2, name="position_head")(x)
    matrices = [v for v in keras.Model(images, x).trainable_variables if "kernel" in v.name]
    assert len(matrices) == 9 and all(is_decayed(one) for one in matrices)


@pytest.mark.parametrize("factors", [None, {"dense/kernel": 0.2}])
def test_gradients_are_clipped_by_the_norm_of_all(factors):
    variables = two_variables()
    clipping = stage(optimizer="sgd", weight_decay=0.0, global_clipnorm=0.5)
    optimizer = built(clipping, variables, factors=factors)
    optimizer.apply([tf.constant(KERNEL), tf.constant(BIAS)], variables)
    norm = np.sqrt((KERNEL**2).sum() + (BIAS**2).sum())
    # The first step of Nesterov momentum 0.9 is 1.9 gradients long.
    moved = [1.9 * 0.1 * 0.5 / norm * gradient for gradient in (KERNEL, BIAS)]
    factor = (factors or {}).get("dense/kernel", 1.0)
    np.testing.assert_allclose(variables[0].numpy(), KERNEL - factor * moved[0], atol=1e-6)
    np.testing.assert_allclose(variables[1].numpy(), BIAS - moved[1], atol=1e-6)


@pytest.mark.parametrize("factors", [None, {"dense/kernel": 0.2}])
def test_the_last_learning_rate_is_that_of_unscaled_variables(factors):
    variables = two_variables()
    cosine = tl.Stage(1, learning_rate=0.2)
    optimizer = built(cosine, variables, factors=factors)
    for _ in range(3):
        optimizer.apply([tf.zeros((4, 3)), tf.zeros(3)], variables)
    expected = 0.2 * 0.5 * (1 + np.cos(np.pi * 2 / 10))
    assert last_learning_rate(optimizer, cosine, 10) == pytest.approx(expected)
    constant = stage(learning_rate=1)
    optimizer = built(constant, variables, factors=factors)
    assert last_learning_rate(optimizer, constant, 10) == 1.0
    optimizer.learning_rate = 0.01
    assert last_learning_rate(optimizer, constant, 10) == pytest.approx(0.01)


@pytest.mark.parametrize("scale_loss", [False, True])
@pytest.mark.parametrize("factors", [None, {"dense/kernel": 0.2}])
def test_momenta_carry_over_whatever_stands_around_the_optimizer(factors, scale_loss):
    variables = two_variables()
    old = built(stage(), variables[:1])
    old.apply([tf.constant(KERNEL)], variables[:1])
    new = built(stage(), variables, factors=factors, scale_loss=scale_loss)
    assert carry_slots(old, new) == 2
    slots = {v.name: v.numpy() for v in new.variables}
    np.testing.assert_allclose(slots["dense_kernel_momentum"], 0.1 * KERNEL, rtol=1e-6)
    np.testing.assert_allclose(slots["dense_kernel_velocity"], 1e-3 * KERNEL**2, rtol=1e-5)
    assert not slots["dense_bias_momentum"].any() and int(new.iterations) == 0
    again = built(stage(), variables)
    assert carry_slots(new, again) == 4
    assert carry_slots(new, built(stage(optimizer="sgd"), variables, factors=factors)) == 0
    assert carry_slots(None, again) == 0


def distributed_step(strategy, optimizer, variables):
    """Return a step in which each replica has a gradient of its own for every variable."""

    @tf.function
    def step(per_replica):
        def replica_step(per_replica):
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            gradients = [values[index] for values in per_replica]
            optimizer.apply(gradients, variables)

        strategy.run(replica_step, args=(per_replica,))

    return step


def test_an_overflow_on_any_replica_skips_the_step(two_devices):
    with two_devices.scope():
        variables = two_variables()
        optimizer = built(
            stage(optimizer="sgd"), variables, scale_loss=True, factors={"dense/bias": 0.5}
        )
    step = distributed_step(two_devices, optimizer, variables)
    gradients = [np.ones((2, 4, 3), "float32"), np.ones((2, 3), "float32")]
    before, scale = [KERNEL, BIAS], 2.0**15
    for replica in (0, 1):
        overflowing = [values.copy() for values in gradients]
        overflowing[0][replica, 0, 0] = np.inf
        step([tf.constant(values) for values in overflowing])
        for variable, old in zip(variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), old)
        scale /= 2
        assert float(optimizer.dynamic_scale.numpy()) == scale
    step([tf.constant(values * scale) for values in gradients])
    moved = 1.9 * 0.1 * 2
    np.testing.assert_allclose(variables[1].numpy(), BIAS - 0.5 * moved, rtol=1e-5)


def test_clipping_measures_the_sum_over_replicas(two_devices):
    with two_devices.scope():
        variables = two_variables()
        clipping = stage(optimizer="sgd", weight_decay=0.0, global_clipnorm=0.5)
        optimizer = built(clipping, variables)
    random = np.random.default_rng(0)
    shares = [random.normal(size=shape).astype("float32") for shape in ((2, 4, 3), (2, 3))]
    distributed_step(two_devices, optimizer, variables)([tf.constant(s) for s in shares])
    sums = [share.sum(axis=0) for share in shares]
    norm = np.sqrt(sum((gradient**2).sum() for gradient in sums))
    assert norm > 0.5
    for variable, old, gradient in zip(variables, (KERNEL, BIAS), sums, strict=True):
        expected = old - 1.9 * 0.1 * 0.5 / norm * gradient
        np.testing.assert_allclose(variable.numpy(), expected, atol=1e-6)
