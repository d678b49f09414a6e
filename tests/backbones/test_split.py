"""A split network gives what the whole one gives, at every boundary."""

import functools

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.backbones.cuts import find_blocks
from tl_keras.backbones.split import split_network

layers = keras.layers


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("float32")


def scramble(network, seed=0):
    """Give every weight a value of its own, so that a skipped layer is noticed."""
    generator = np.random.default_rng(seed)
    for weight in network.weights:
        if "variance" in weight.path or "gamma" in weight.path:
            weight.assign(generator.uniform(0.8, 1.2, weight.shape))
        elif len(weight.shape) == 1 and weight.dtype == "float32":
            weight.assign(generator.normal(0, 0.1, weight.shape))


def run(split, x):
    return np.asarray(split.upper(split.lower(x, training=False), training=False))


def assert_splits(network, x, boundaries=None, exact=True):
    blocks = find_blocks(network)
    expected = np.asarray(network(x, training=False))
    assert expected.std() > 0
    for boundary in boundaries or range(1, len(blocks)):
        split = split_network(network, blocks, boundary)
        assert split is not None
        assert not exact or split.boundary == boundary
        np.testing.assert_allclose(run(split, x), expected, rtol=1e-5, atol=1e-6)
        inside = {id(weight) for block in blocks[: split.boundary] for weight in block.weights}
        assert {id(weight) for weight in split.lower.weights} == inside
        assert {id(weight) for weight in network.weights} >= {id(w) for w in split.upper.weights}
    return blocks


def test_every_boundary_of_a_small_network():
    network = tiny_network()
    scramble(network)
    flags = [layer.trainable for layer in network.layers]
    blocks = assert_splits(network, pixels(3, 16, 16, 3))
    assert len(blocks) == 3
    assert [layer.trainable for layer in network.layers] == flags


@functools.cache
def application(name):
    """Return a network of Keras, which no test changes but for its weights."""
    return tl.build_transfer_model(name, weights=None, input_shape=(32, 32, 3)).backbone


@pytest.mark.parametrize(
    "name",
    [
        "MobileNetV2",
        "ResNet50",
        "EfficientNetB0",
        pytest.param("DenseNet121", marks=pytest.mark.slow),
        pytest.param("NASNetMobile", marks=pytest.mark.slow),
        pytest.param("ConvNeXtTiny", marks=pytest.mark.slow),
    ],
)
def test_applications(name):
    network = application(name)
    scramble(network)
    count = len(find_blocks(network))
    boundaries = [count // 3, count - 1]
    assert_splits(network, pixels(2, 32, 32, 3) / 255, boundaries)


def test_nasnet_is_cut_at_two_tensors():
    network = application("NASNetMobile")
    blocks = find_blocks(network)
    split = split_network(network, blocks, len(blocks) // 2)
    assert len(split.lower.outputs) == 2


def nested_model():
    inner = tiny_network()
    scramble(inner)
    images = keras.Input((16, 16, 3))
    x = layers.Rescaling(0.5)(images)
    x = inner(x)
    x = layers.Conv2D(4, 3, name="after")(x)
    return keras.Model(images, x, name="nested")


def sequential_model():
    inner = tiny_network()
    scramble(inner)
    return keras.Sequential([keras.Input((16, 16, 3)), inner, layers.GlobalAveragePooling2D()])


def model_with_a_way_around():
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.Conv2D(4, 3, padding="same", name="one"),
            layers.Conv2D(4, 3, padding="same", name="two"),
            layers.Conv2D(4, 3, padding="same", name="three"),
        ]
    )
    images = keras.Input((8, 8, 4))
    return keras.Model(images, layers.Add()([inner(images), images]))


def model_of_operations():
    images = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, name="one")(images) * 2.0 + 1.0
    x = keras.ops.relu(x)[:, ::2, ::2]
    x = layers.Conv2D(8, 3, name="two")(x)
    return keras.Model(images, keras.ops.mean(x, axis=(1, 2)))


@pytest.mark.parametrize(
    "make", [nested_model, sequential_model, model_with_a_way_around, model_of_operations]
)
def test_models_within_models_and_operations(make):
    network = make()
    blocks = assert_splits(network, pixels(2, *network.input_shape[1:]) / 255)
    assert len(blocks) >= 2


def test_the_smallest_tensor_between_two_blocks_is_taken():
    network = model_of_operations()
    split = split_network(network, find_blocks(network), 1)
    assert split.lower.output_shape == (None, 7, 7, 8)


def test_a_way_around_a_nested_model_is_part_of_the_cut():
    network = model_with_a_way_around()
    assert len(split_network(network, find_blocks(network), 2).lower.outputs) == 2


class Doubled(keras.Model):
    """A Functional model whose call is more than its graph."""

    def call(self, inputs, training=None):
        return 2 * super().call(inputs, training=training)


def test_a_model_with_a_call_of_its_own_is_not_split():
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="one")(images)
    network = Doubled(images, layers.Conv2D(4, 3, name="two")(x))
    assert split_network(network, find_blocks(network), 1) is None
    x = layers.Conv2D(3, 3, padding="same", name="zero")(images)
    outer = keras.Model(images, network(x))
    blocks = find_blocks(outer)
    assert [block.name for block in blocks] == ["zero", "one", "two"]
    assert_splits(outer, pixels(1, 8, 8, 3), [1])
    assert split_network(outer, blocks, 2).boundary == 1


def test_a_mask_is_not_cut_off():
    steps = keras.Input((5, 3))
    x = layers.Dense(4, name="one")(layers.Masking()(steps))
    x = layers.LSTM(4, return_sequences=True, name="two")(x)
    x = layers.LSTM(4, name="three")(x)
    network = keras.Model(steps, layers.Dense(2, name="four")(x))
    blocks = find_blocks(network)
    assert [split_network(network, blocks, n) is None for n in (1, 2)] == [True, True]
    assert_splits(network, pixels(2, 5, 3), [3])


def test_layers_without_a_graph_are_not_split():
    layer = layers.Conv2D(4, 3)
    layer.build((None, 8, 8, 3))
    assert split_network(layer, find_blocks(layer), 1) is None


def test_a_split_network_saves_as_before(tmp_path):
    network = tiny_network()
    scramble(network)
    x = pixels(2, 16, 16, 3)
    expected = np.asarray(network(x, training=False))
    for boundary in (1, 2):
        split_network(network, find_blocks(network), boundary)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded(x, training=False), expected)


def test_training_goes_through_the_upper_part_only():
    network = tiny_network()
    split = split_network(network, find_blocks(network), 1)
    before = {weight.path: weight.numpy() for weight in network.weights}
    x = pixels(4, 16, 16, 3)
    values = split.lower(x, training=False)
    split.upper(values, training=True)
    changed = {w.path for w in network.weights if not np.array_equal(w.numpy(), before[w.path])}
    assert changed == {
        f"block{index}_bn/moving_{name}" for index in (1, 2) for name in ("mean", "variance")
    }
