"""Running the frozen blocks first and the rest afterwards is running the model."""

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.frozen.prefix import frozen_prefix
from tl_keras.schedules.freezing import apply_freezing

layers = keras.layers


def model_for(unfreeze, *, network=None, head="linear", batch_norm="frozen"):
    model = tl.build_transfer_model(network or tiny_network(), 3, head=head)
    apply_freezing(model, tl.Stage(1, unfreeze=unfreeze, batch_norm=batch_norm))
    return model


def prefix_of(unfreeze, **keywords):
    return frozen_prefix(model_for(unfreeze, **keywords))


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype("uint8")


@pytest.mark.parametrize(
    ("unfreeze", "boundary"), [(0, 3), (1, 2), (2, 1), ("stem", None), ("block2", 2), ("all", None)]
)
def test_the_prefix_ends_below_the_lowest_block_that_trains(unfreeze, boundary):
    prefix = prefix_of(unfreeze)
    assert (prefix and prefix.boundary) == boundary


def test_updated_statistics_are_a_change_without_a_trained_weight():
    network = tiny_network()
    model = model_for(1, network=network)
    network.get_layer("stem_bn").trainable = True
    for variable in network.get_layer("stem_bn").trainable_variables:
        variable.trainable = False
    assert frozen_prefix(model) is None


@pytest.mark.parametrize(
    ("pooling", "readers", "pooled"),
    [
        ("average", [], True),
        ("average", ["averaged", "averaged"], True),
        ("average", ["averaged", "whole"], False),
        ("max", [], True),
        ("max", ["averaged"], False),
        ("gem", ["averaged"], False),
    ],
)
def test_vectors_stand_for_the_map_where_all_readers_make_the_same(pooling, readers, pooled):
    model = tl.build_transfer_model(tiny_network(), 3, head=tl.heads.HeadSpec(pooling=pooling))
    apply_freezing(model, tl.Stage(1))
    values = frozen_prefix(model, readers).lower(pixels(2, 16, 16, 3))
    assert (len(values.shape) == 2) == pooled


class Shifted(keras.layers.Layer):
    """Adds the mean of another layer's weights, and trains them."""

    def __init__(self, tied, **keywords):
        super().__init__(**keywords)
        self.tied = tied

    def call(self, x):
        return x + keras.ops.mean(self.tied)


def test_a_weight_that_is_trained_elsewhere_is_a_change():
    images = keras.Input((8, 8, 4))
    second = layers.Conv2D(4, 3, name="second")
    x = second(layers.Conv2D(4, 3, name="first")(images))
    x = layers.Conv2D(4, 3, name="third")(x)
    x = Shifted(second.kernel, name="fourth")(x)
    model = model_for("fourth", network=keras.Model(images, x))
    second.kernel.trainable = True
    assert [id(w) for w in model.backbone.trainable_variables] == [id(second.kernel)]
    assert frozen_prefix(model).boundary == 1


@pytest.mark.parametrize("head", ["linear", "gem", "mlp"])
@pytest.mark.parametrize("unfreeze", [0, 1, 2])
def test_the_results_are_those_of_the_model(unfreeze, head):
    prefix = prefix_of(unfreeze, head=head)
    x = pixels(4, 16, 16, 3)
    expected = prefix.model.forward(x).logits
    np.testing.assert_allclose(prefix.images_forward(x).logits, expected, rtol=1e-4, atol=1e-5)
    values = prefix.lower(x)
    pooled = unfreeze == 0 and head != "gem"
    assert tuple(values.shape) == ((4, 8) if pooled else (4, 8, 8, 8))


@pytest.mark.parametrize("unfreeze", [0, 3])
def test_mobilenet(unfreeze):
    network = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(96, 96, 3)
    )
    prefix = prefix_of(unfreeze, network=network)
    x = pixels(2, 96, 96, 3)
    expected = prefix.model.forward(x).logits
    np.testing.assert_allclose(prefix.images_forward(x).logits, expected, atol=1e-4)


@pytest.mark.slow
def test_a_cut_of_two_tensors_is_a_tuple():
    network = keras.applications.NASNetMobile(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    prefix = prefix_of(0.5, network=network)
    x = pixels(2, 32, 32, 3)
    values = prefix.lower(x)
    assert isinstance(values, tuple) and len(values) == 2
    expected = prefix.model.forward(x).logits
    np.testing.assert_allclose(prefix.forward(values).logits, expected, atol=1e-4)


def test_several_tasks():
    model = tl.build_transfer_model(tiny_network(), {"a": 2, "b": 3})
    apply_freezing(model, tl.Stage(1))
    prefix = frozen_prefix(model)
    logits = prefix.images_forward(pixels(4, 16, 16, 3)).logits
    assert {name: tuple(value.shape) for name, value in logits.items()} == {
        "a": (4, 2),
        "b": (4, 3),
    }


def with_dropout():
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, name="one")(images)
    x = layers.Dropout(0.5, seed=1)(x)
    x = layers.Conv2D(8, 3, name="two")(x)
    x = layers.Dropout(0.5, seed=2)(x)
    return keras.Model(images, layers.Conv2D(8, 3, name="three")(x))


def test_dropout_is_at_work_in_the_rest_only():
    x = pixels(4, 8, 8, 3)
    frozen_part = prefix_of(2, network=with_dropout())
    values = frozen_part.lower(x, training=True)
    np.testing.assert_array_equal(values, frozen_part.lower(x))
    trained, still = (frozen_part.forward(values, training).logits for training in (True, False))
    assert np.abs(trained - still).max() > 0.1
    top = prefix_of(1, network=with_dropout())
    np.testing.assert_array_equal(
        top.images_forward(x, True).feature_map, top.images_forward(x, False).feature_map
    )


def test_augmentation_inside_the_backbone_stays_random():
    images = keras.Input((8, 8, 3))
    x = layers.RandomFlip("horizontal", seed=0, name="flip")(images)
    x = layers.Conv2D(8, 3, name="one")(x)
    network = keras.Model(images, layers.Conv2D(8, 3, name="two")(x))
    x = pixels(16, 8, 8, 3)
    for unfreeze in (0, 1):
        prefix = prefix_of(unfreeze, network=network, head="gem")
        assert prefix.random_layer == "flip"
        plain = np.asarray(prefix.lower(x))
        np.testing.assert_array_equal(plain, prefix.lower(x))
        assert np.abs(np.asarray(prefix.lower(x, training=True)) - plain).max() > 1


def test_layers_that_only_prepare_images_are_not_random():
    images = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 255)(layers.CenterCrop(8, 8)(layers.Resizing(10, 10)(images)))
    x = layers.Dropout(0.5)(layers.Conv2D(8, 3, name="one")(x))
    network = keras.Model(images, layers.Conv2D(8, 3, name="two")(x))
    assert prefix_of(1, network=network).random_layer is None


def test_a_prefix_says_what_it_is():
    assert str(prefix_of(1)) == "tiny_0, 2 of 3 blocks"
    assert str(prefix_of(0)) == "tiny_0, all blocks, pooled"
    assert str(prefix_of(0, head="gem")) == "tiny_0, all blocks"
