import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tl_keras.schedules import apply_freezing
from tl_keras.schedules.layer_factors import block_factors, factors_of
from tl_keras.schedules.layerwise import LayerwiseLearningRate
from tl_keras.utils.errors import InputError

FACTORS = {"low/kernel": 0.1, "low/bias": 0.1, "norm/gamma": 0.5, "norm/beta": 0.5}
OPTIMIZERS = {
    "sgd": lambda rate: keras.optimizers.SGD(rate),
    "momentum": lambda rate: keras.optimizers.SGD(rate, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
    "adam": lambda rate: keras.optimizers.Adam(rate),
    "amsgrad": lambda rate: keras.optimizers.Adam(rate, amsgrad=True),
    "adamw": lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.1),
    "lion": lambda rate: keras.optimizers.Lion(rate, weight_decay=0.1),
    "muon": lambda rate: keras.optimizers.Muon(rate, weight_decay=0.1, adam_weight_decay=0.2),
    "nadam": lambda rate: keras.optimizers.Nadam(rate),
    "rmsprop": lambda rate: keras.optimizers.RMSprop(rate, momentum=0.5),
    "adagrad": lambda rate: keras.optimizers.Adagrad(rate),
    "adafactor": lambda rate: keras.optimizers.Adafactor(rate),
    "lamb": lambda rate: keras.optimizers.Lamb(rate),
    "ftrl": lambda rate: keras.optimizers.Ftrl(rate),
    "accumulating": lambda rate: keras.optimizers.SGD(rate, gradient_accumulation_steps=2),
}


def small_network(scope: str | None = None) -> keras.Model:
    """Two dense layers and a normalisation; in a name scope, their paths start with it."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    low, norm, top = (
        layers.Dense(5, activation="tanh", name="low"),
        layers.LayerNormalization(name="norm"),
        layers.Dense(3, name="top"),
    )
    inputs = keras.Input((4,))
    if scope is None:
        return keras.Model(inputs, top(norm(low(inputs))))
    with keras.name_scope(scope):
        return keras.Model(inputs, top(norm(low(inputs))))


def batches(count: int, size: int = 8):
    random = np.random.default_rng(0)
    for _ in range(count):
        yield random.normal(size=(size, 4)).astype("f"), random.normal(size=(size, 3)).astype("f")


def gradients_of(model: keras.Model, x, y, optimizer=None):
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum((model(x, training=True) - y) ** 2) / 8
        loss = loss if optimizer is None else optimizer.scale_loss(loss)
    return tape.gradient(loss, [variable.value for variable in variables])


def train(model: keras.Model, optimizer, steps: int = 4) -> list[np.ndarray]:
    for x, y in batches(steps):
        optimizer.apply(gradients_of(model, x, y, optimizer), model.trainable_variables)
    return values(model)


def values(model: keras.Model) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.weights]


def largest_difference(a, b) -> float:
    return max(float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_one_optimizer_per_layer(name):
    make = OPTIMIZERS[name]
    by_layer = {"low": make(1e-3), "norm": make(5e-3), "top": make(1e-2)}
    reference = keras.optimizers.MultiOptimizer(lambda v: by_layer[v.path.split("/")[0]])
    expected = train(small_network(), reference)
    got = train(small_network(), LayerwiseLearningRate(make(1e-2), FACTORS))
    assert largest_difference(got, expected) < 1e-6
    plain = train(small_network(), make(1e-2))
    assert largest_difference(got, plain) > 1e-4


def test_steps_of_adamw_are_those_of_its_formula():
    model, twin = small_network(), small_network()
    inner = keras.optimizers.AdamW(1e-2, weight_decay=0.3, epsilon=1e-7)
    optimizer = LayerwiseLearningRate(inner, FACTORS)
    vectors = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
    optimizer.exclude_from_weight_decay(var_list=vectors)
    weights = [variable.numpy().astype("float64") for variable in twin.trainable_variables]
    first = [np.zeros_like(w) for w in weights]
    second = [np.zeros_like(w) for w in weights]
    for step, (x, y) in enumerate(batches(5), start=1):
        optimizer.apply(gradients_of(model, x, y), model.trainable_variables)
        for i, gradient in enumerate(gradients_of(twin, x, y)):
            variable, g = twin.trainable_variables[i], gradient.numpy().astype("float64")
            rate = 1e-2 * FACTORS.get(variable.path, 1.0)
            decay = 0.3 if variable.path.endswith("kernel") else 0.0
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            # Keras adds ε to the root before the bias correction: "epsilon hat" of the paper.
            alpha = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            weights[i] -= rate * decay * weights[i]
            weights[i] -= alpha * first[i] / (np.sqrt(second[i]) + 1e-7)
            variable.assign(weights[i])
    assert largest_difference(values(model), weights) < 1e-6


def test_without_factors_it_is_the_inner_optimizer_to_the_bit():
    for name in ("momentum", "adamw"):
        plain = train(small_network(), OPTIMIZERS[name](1e-2))
        wrapped = train(small_network(), LayerwiseLearningRate(OPTIMIZERS[name](1e-2), {}))
        assert largest_difference(plain, wrapped) == 0


@pytest.mark.parametrize(
    "clipping", [{"clipnorm": 0.01}, {"global_clipnorm": 0.01}, {"clipvalue": 0.01}]
)
def test_gradients_are_clipped_before_the_factors_apply(clipping):
    model = small_network()
    (x, y), before = next(batches(1)), values(model)
    gradients = [np.asarray(g) for g in gradients_of(model, x, y)]
    optimizer = LayerwiseLearningRate(keras.optimizers.SGD(1.0, **clipping), FACTORS)
    optimizer.apply(gradients_of(model, x, y), model.trainable_variables)
    if "clipnorm" in clipping:
        clipped = [g * min(1, 0.01 / np.linalg.norm(g)) for g in gradients]
    elif "clipvalue" in clipping:
        clipped = [np.clip(g, -0.01, 0.01) for g in gradients]
    else:
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        assert norm > 0.01
        clipped = [g * 0.01 / norm for g in gradients]
    factors = [FACTORS.get(variable.path, 1.0) for variable in model.trainable_variables]
    expected = [w - f * g for w, f, g in zip(before, factors, clipped, strict=True)]
    assert largest_difference(values(model), expected) < 1e-7


def test_the_moving_average_follows_the_weights():
    model = small_network()
    inner = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.7)
    optimizer = LayerwiseLearningRate(inner, FACTORS)
    average = None
    for x, y in batches(4):
        optimizer.apply(gradients_of(model, x, y), model.trainable_variables)
        now = values(model)
        mixed = now if average is None else zip(average, now, strict=True)
        average = now if average is None else [0.7 * a + 0.3 * w for a, w in mixed]
    optimizer.finalize_variable_values(model.trainable_variables)
    assert largest_difference(values(model), average) < 1e-6


def test_keras_callback_swaps_averages_in_under_loss_scaling():
    x, y = next(batches(1, 32))
    measured = []
    for wrap in (lambda o: o, keras.optimizers.LossScaleOptimizer):
        model = small_network()
        inner = keras.optimizers.Adam(1e-1, use_ema=True, ema_momentum=0.9)
        model.compile(wrap(LayerwiseLearningRate(inner, FACTORS)), "mse")
        swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=False)
        run = model.fit(x, y, validation_data=(x, y), epochs=3, verbose=0, callbacks=[swap])
        plain = model.evaluate(x, y, verbose=0)
        measured.append(run.history["val_loss"][-1])
        # `fit` ends with the averages, which the callback had put in for the validation.
        assert measured[-1] == pytest.approx(plain, rel=1e-5)
    assert measured[0] == pytest.approx(measured[1], rel=1e-5)


def test_learning_rate_is_read_set_and_scheduled():
    optimizer = LayerwiseLearningRate(keras.optimizers.SGD(0.5), FACTORS)
    assert float(optimizer.learning_rate) == 0.5
    model = small_network()
    (x, y) = next(batches(1))
    for rate in (0.5, 0.25):
        optimizer.learning_rate = rate
        before, gradients = values(model), gradients_of(model, x, y)
        optimizer.apply(gradients, model.trainable_variables)
        moved = [b - a for b, a in zip(before, values(model), strict=True)]
        np.testing.assert_allclose(moved[0], 0.1 * rate * gradients[0], atol=1e-7)
        np.testing.assert_allclose(moved[-1], rate * gradients[-1], atol=1e-7)
    model.compile(optimizer, "mse")
    callback = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    run = model.fit(x, y, epochs=2, verbose=0, callbacks=[callback])
    assert run.history["learning_rate"] == pytest.approx([0.1, 0.05])
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, decay_steps=1, decay_rate=0.5)
    scheduled = LayerwiseLearningRate(keras.optimizers.SGD(schedule), FACTORS)
    train(small_network(), scheduled, steps=3)
    assert float(scheduled.learning_rate) == pytest.approx(0.5**4)
    assert int(scheduled.iterations) == 3
    with pytest.raises(TypeError, match="not settable"):
        scheduled.learning_rate = 0.1


@pytest.mark.parametrize(
    ("form", "scope"),
    [
        ("sgd", None),
        ("adamw", None),
        ("adamw", "outer"),
        ("schedule and average", None),
        ("loss scale", "outer"),
    ],
)
def test_a_saved_model_trains_on_as_if_never_interrupted(tmp_path, form, scope):
    prefix = "" if scope is None else f"{scope}/"

    def compiled():
        model = small_network(scope)
        rate = keras.optimizers.schedules.CosineDecay(0.05, 40)
        inner = {
            "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9, clipnorm=1.0),
            "adamw": lambda: keras.optimizers.AdamW(0.05, weight_decay=0.3),
            "schedule and average": lambda: keras.optimizers.Adam(rate, use_ema=True),
            "loss scale": lambda: keras.optimizers.AdamW(0.05, weight_decay=0.3),
        }[form]()
        factors = {prefix + path: factor for path, factor in FACTORS.items()}
        optimizer = LayerwiseLearningRate(inner, factors)
        vectors = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
        optimizer.exclude_from_weight_decay(var_list=vectors)
        if form == "loss scale":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, dynamic_growth_steps=3)
        # One case runs as a graph; the others run eagerly, which is faster for so small a network.
        model.compile(optimizer, "mse", run_eagerly=(form, scope) != ("adamw", None))
        return model

    x, y = next(batches(1, 32))
    uninterrupted, first = compiled(), compiled()
    for _ in range(2):
        uninterrupted.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    first.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    path = tmp_path / "half.keras"
    for _ in range(2):
        first.save(path)
        first = keras.saving.load_model(path)
    assert first.trainable_variables[0].path == "low/kernel"
    first.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    assert largest_difference(values(uninterrupted), values(first)) == 0
    slots = [variable.numpy() for variable in uninterrupted.optimizer.variables]
    assert largest_difference(slots, [v.numpy() for v in first.optimizer.variables]) == 0
    assert type(first.optimizer) is type(uninterrupted.optimizer)


def test_exclusion_by_name_survives_a_model_saved_before_training(tmp_path):
    model = small_network()
    optimizer = LayerwiseLearningRate(keras.optimizers.AdamW(0.1, weight_decay=0.5), FACTORS)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, "mse")
    model.save(tmp_path / "fresh.keras")
    loaded = keras.saving.load_model(tmp_path / "fresh.keras")
    zeros = [tf.zeros_like(variable.value) for variable in loaded.trainable_variables]
    before = values(loaded)
    loaded.optimizer.apply(zeros, loaded.trainable_variables)
    for variable, old in zip(loaded.weights, before, strict=True):
        factor = FACTORS.get(variable.path, 1.0)
        decayed = 1 - 0.5 * 0.1 * factor if variable.path.endswith("kernel") else 1.0
        np.testing.assert_allclose(variable.numpy(), decayed * old, rtol=1e-6)


def test_loss_scaling_goes_around_and_skips_steps_that_overflow():
    scaled = keras.optimizers.LossScaleOptimizer(
        LayerwiseLearningRate(keras.optimizers.AdamW(1e-2), FACTORS)
    )
    model = small_network()
    plain = LayerwiseLearningRate(keras.optimizers.AdamW(1e-2), FACTORS)
    assert largest_difference(train(model, scaled), train(small_network(), plain)) < 1e-6
    before = values(model)
    overflow = [tf.fill(v.shape, np.inf) for v in model.trainable_variables]
    scaled.apply(overflow, model.trainable_variables)
    assert largest_difference(before, values(model)) == 0
    constant = LayerwiseLearningRate(keras.optimizers.SGD(1e-2, loss_scale_factor=128.0), FACTORS)
    assert constant.loss_scale_factor == 128.0
    expected = train(small_network(), LayerwiseLearningRate(keras.optimizers.SGD(1e-2), FACTORS))
    assert largest_difference(train(small_network(), constant), expected) < 1e-6


@pytest.mark.parametrize("form", ["averaged sgd", "adamw", "clipped each", "loss scale"])
def test_two_devices_equal_one(form, two_devices):
    inner = {
        "averaged sgd": lambda: keras.optimizers.SGD(
            0.1, momentum=0.9, weight_decay=0.1, use_ema=True, ema_momentum=0.6
        ),
        "adamw": lambda: keras.optimizers.AdamW(1e-2, weight_decay=0.1),
        "clipped each": lambda: keras.optimizers.SGD(0.1, clipnorm=0.1),
        "loss scale": lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.3),
    }[form]

    def make(model):
        optimizer = LayerwiseLearningRate(inner(), FACTORS)
        optimizer.exclude_from_weight_decay(var_list=[model.get_layer("low").bias])
        if form == "loss scale":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(model.trainable_variables)
        return optimizer

    alone = small_network()
    expected = train(alone, optimizer := make(alone))
    with two_devices.scope():
        model = small_network()
        distributed = make(model)
    data = tf.data.Dataset.from_generator(
        lambda: batches(4),
        output_signature=(tf.TensorSpec((8, 4)), tf.TensorSpec((8, 3))),
    )

    @tf.function
    def step(x, y):
        def replica_step(x, y):
            gradients = gradients_of(model, x, y, distributed)
            distributed.apply(gradients, model.trainable_variables)

        two_devices.run(replica_step, args=(x, y))

    for x, y in two_devices.experimental_distribute_dataset(data):
        step(x, y)
    assert largest_difference(values(model), expected) < 1e-6
    slots = [[v.numpy() for v in o.variables] for o in (optimizer, distributed)]
    assert largest_difference(*slots) < 1e-6
    if form == "averaged sgd":
        distributed.finalize_variable_values(model.trainable_variables)
        optimizer.finalize_variable_values(alone.trainable_variables)
        assert largest_difference(values(model), values(alone)) < 1e-6


def test_what_cannot_be_wrapped_is_refused():
    Adam = keras.optimizers.Adam
    built = Adam()
    built.build(small_network().trainable_variables)
    for inner, text in (
        ("adam", "inner: expected a keras.optimizers.Optimizer, got 'adam'"),
        (keras.optimizers.LossScaleOptimizer(Adam()), "wraps no other, got a LossScaleOptimizer"),
        (LayerwiseLearningRate(Adam(), {}), "wraps no other, got a LayerwiseLearningRate"),
        (built, "not built yet, got a Adam with"),
    ):
        with pytest.raises(InputError, match=text):
            LayerwiseLearningRate(inner, {})
    for factors, text in (
        ([0.1], r"factors: expected variable.path → factor, got \[0.1\]"),
        ({"low/kernel": 0}, "number > 0, got 'low/kernel': 0. A variable that must not change"),
        ({"low/kernel": float("nan")}, "number > 0, got 'low/kernel': nan"),
        ({3: 0.5}, "got 3: 0.5"),
    ):
        with pytest.raises(InputError, match=text):
            LayerwiseLearningRate(Adam(), factors)


def test_unknown_paths_are_listed_when_the_variables_are_known():
    optimizer = LayerwiseLearningRate(keras.optimizers.Adam(), {**FACTORS, "lwo/kernel": 0.1})
    text = "none of the 6 variables that train has the path 'lwo/kernel'; there are 'low/kernel'"
    with pytest.raises(InputError, match=text):
        optimizer.build(small_network().trainable_variables)


@pytest.fixture
def model(network):
    return tl.build_transfer_model(network, 3)


def test_layer_decay_counts_blocks_from_the_top(model):
    assert [block.name for block in model.blocks] == ["stem", "block1", "block2"]
    stage = tl.Stage(1, unfreeze="all", learning_rate=1e-3, layer_decay=0.5)
    assert block_factors(model, stage) == (0.125, 0.25, 0.5, 1.0)
    apply_freezing(model, stage)
    by_layer = {"stem": 0.125, "block1_conv": 0.25, "block2_conv": 0.5, "head": 1.0}
    expected = {v.path: by_layer[v.path.split("/")[0]] for v in model.trainable_variables}
    assert factors_of(model, stage) == expected and len(expected) == 8
    upper = tl.Stage(1, unfreeze=1, learning_rate=1e-3, layer_decay=0.5)
    apply_freezing(model, upper)
    kept = {path: f for path, f in expected.items() if path.startswith(("block2", "head"))}
    assert factors_of(model, upper) == kept


def test_variables_beside_the_model_have_the_heads_factor(model):
    layer = keras.layers.Dense(2, name="own")
    layer.build((None, 8))
    stage = tl.Stage(1, layer_decay=0.5, learning_rates={"head": 3e-3}, learning_rate=1e-3)
    apply_freezing(model, stage)
    found = factors_of(model, stage, layer.trainable_variables)
    assert {path: found[path] for path in found if path.startswith("own")} == pytest.approx(
        {"own/kernel": 3.0, "own/bias": 3.0}
    )
    plain = factors_of(model, tl.Stage(1), layer.trainable_variables)
    assert set(plain.values()) == {1.0} and len(plain) == 4
    block = keras.layers.Dense(2, name="block2_conv")
    block.build((None, 8))
    lower = tl.Stage(1, unfreeze="all", layer_decay=0.5)
    apply_freezing(model, lower)
    with pytest.raises(InputError, match="in an objective's own network"):
        factors_of(model, lower, block.trainable_variables)


def test_named_learning_rates_override_the_decay(model):
    rates = {"block2": 1e-4, "block*": 4e-3, "head": 2e-3}
    stage = tl.Stage(1, learning_rate=1e-3, layer_decay=0.5, learning_rates=rates)
    assert block_factors(model, stage) == pytest.approx((0.125, 4.0, 0.1, 2.0))
    text = r"no block is named like 'blok2'; the blocks are \['stem', 'block1', 'block2'\], and "
    with pytest.raises(InputError, match=text + "'head' is the head. Did you mean 'block2'"):
        block_factors(model, tl.Stage(1, learning_rates={"blok2": 1e-3}))


def test_the_audit_shows_each_blocks_learning_rate(model):
    stage = tl.Stage(
        1, unfreeze=2, learning_rate=1e-2, layer_decay=0.5, learning_rates={"head": 3e-2}
    )
    rates = [row.learning_rate for row in apply_freezing(model, stage)]
    assert rates == pytest.approx([0.0, 2.5e-3, 5e-3, 3e-2])


def test_equal_paths_with_different_factors_are_refused():
    inputs = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    upper = keras.Input((6, 6, 4))
    nested = keras.Model(upper, keras.layers.Conv2D(4, 3, name="conv")(upper), name="nested")
    model = tl.build_transfer_model(keras.Model(inputs, nested(features)), 3)
    factors_of(model, tl.Stage(1, unfreeze="all"))
    with pytest.raises(InputError, match="two variables have the path 'conv/kernel'"):
        factors_of(model, tl.Stage(1, unfreeze="all", layer_decay=0.5))
