"""Backbones of three channels for images with another number of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.backbones import channels
from tl_keras.inputs.preprocessing import ImagePreprocessing
from tl_keras.utils.errors import InputError

MEAN_BGR = np.array([103.939, 116.779, 123.68])


def images(channels, size=32, count=4):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, size, size, channels)).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "count"), [("VGG16", 4), ("MobileNet", 13), ("EfficientNetLite0", 1)]
)
def test_random_weights_build_and_train_with_any_number_of_channels(name, count):
    model = tl.build_transfer_model(name, 2, weights=None, input_shape=(32, 32, count))
    x, model.backbone.trainable = images(count), True
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x, training=True)[:, 0])
    variables = model.backbone.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    assert np.isfinite(loss) and gradients
    assert all(np.isfinite(one).all() for one in gradients)
    if name == "VGG16":  # How others are built makes no difference to training.
        stage = tl.Stage(1, unfreeze=1)
        run = tl.fine_tune(model, (x, [0, 1, 0, 1]), schedule=stage, verbose=False)
        assert np.isfinite(run.history["loss"]).all()


def test_statistics_of_channels_come_in_turn():
    layer = channels.preprocessing_for(tl.preprocessing.imagenet_centred_bgr(), 4)
    x = images(4)
    mean = MEAN_BGR[::-1][[0, 1, 2, 0]]
    np.testing.assert_allclose(layer(x), x - mean.astype(np.float32), rtol=1e-5)
    gray = channels.preprocessing_for(tl.preprocessing.imagenet_centred_bgr(), 1)
    np.testing.assert_allclose(gray(images(1)), images(1) - MEAN_BGR.mean(), rtol=1e-5)


def test_a_stem_keeps_its_answers_to_channels_that_repeat():
    random = np.random.default_rng(0)
    kernel = random.normal(size=(1, 1, 3, 5))
    color, gray = random.normal(size=3), random.normal()
    np.testing.assert_allclose(
        channels.stem_kernel(kernel, 1)[0, 0, 0] * gray, np.full(3, gray) @ kernel[0, 0]
    )
    # Six channels that show the same colours twice give what three give.
    np.testing.assert_allclose(
        np.tile(color, 2) @ channels.stem_kernel(kernel, 6)[0, 0], color @ kernel[0, 0]
    )
    reverse = channels.stem_kernel(kernel, 6, reverse=True)[0, 0]
    np.testing.assert_allclose(np.tile(color, 2) @ reverse, color[::-1] @ kernel[0, 0])


def test_weights_for_three_channels_serve_gray_images_and_six_channels(tmp_path):
    keras.utils.set_random_seed(0)
    three = tl.build_transfer_model("EfficientNetLite0", weights=None, input_shape=(32, 32, 3))
    three.backbone.save_weights(tmp_path / "three.weights.h5")
    arguments = {"weights": tmp_path / "three.weights.h5"}
    gray = tl.build_transfer_model("EfficientNetLite0", **arguments, input_shape=(32, 32, 1))
    six = tl.build_transfer_model("EfficientNetLite0", **arguments, input_shape=(32, 32, 6))
    x = tf.constant(images(1))  # Features of a tensor are computed without tracing.
    expected = three.features(tf.repeat(x, 3, axis=-1))
    np.testing.assert_allclose(gray.features(x), expected, rtol=1e-4, atol=1e-6)
    x = tf.constant(images(3))
    np.testing.assert_allclose(
        six.features(tf.concat([x, x], axis=-1)), three.features(x), rtol=1e-4, atol=1e-6
    )


def test_blue_green_red_weights_serve_other_channels_in_the_order_of_the_images(tmp_path):
    keras.utils.set_random_seed(0)
    three = tl.build_transfer_model("VGG16", weights=None, input_shape=(32, 32, 3))
    three.backbone.save_weights(tmp_path / "three.weights.h5")
    arguments = {"weights": tmp_path / "three.weights.h5"}
    six = tl.build_transfer_model("VGG16", **arguments, input_shape=(32, 32, 6))
    x = tf.constant(images(3))
    np.testing.assert_allclose(
        six.features(tf.concat([x, x], axis=-1)), three.features(x), rtol=1e-3, atol=1e-6
    )


def test_what_cannot_be_adapted_is_refused_when_it_is_built():
    with pytest.raises(InputError, match=r"takes \(16, 16, 3\), got \(16, 16, 4\)"):
        tl.build_transfer_model(tiny_network(), 2, input_shape=(16, 16, 4))
    layer = ImagePreprocessing(mean=[1, 2, 3])
    with pytest.raises(InputError, match="its mean has 3 numbers for images of 4 channels"):
        tl.build_transfer_model(
            "MobileNet", 2, weights=None, input_shape=(32, 32, 4), preprocessing=layer
        )
