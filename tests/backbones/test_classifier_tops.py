"""A whole classifier, or a model whose pixels nothing scales, is not taken without a word."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl

layers = keras.layers


def classifier(*ends, classes=7):
    images = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255)(images)
    x = layers.GlobalAveragePooling2D(name="pooled")(layers.Conv2D(4, 3)(x))
    for end in ends:
        x = layers.Dense(classes)(x) if end == "dense" else end(x)
    return keras.Model(images, x, name="whole")


ENDS = {
    "softmax": [lambda x: layers.Dense(7, activation="softmax")(x)],
    "sigmoid": [lambda x: layers.Dense(7, activation="sigmoid")(x)],
    "activation": ["dense", lambda x: layers.Activation("softmax")(x)],
    "layer": [lambda x: layers.Dropout(0.1)(x), "dense", lambda x: layers.Softmax()(x)],
    "logits": [lambda x: layers.Dense(1000)(x)],
}


@pytest.mark.parametrize("end", ENDS)
def test_a_classifier_is_named_with_code_that_gives_its_features(end, tmp_path):
    model = classifier(*ENDS[end])
    with pytest.warns(UserWarning, match="'whole' is a whole classifier") as caught:
        tl.build_transfer_model(model, 2)
    code = str(caught[0].message).split("or pass ")[1].removesuffix(".")
    features = eval(code, {"m": model, "keras": keras})
    x = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.float32)
    pooled = keras.Model(model.input, model.get_layer("pooled").output)(x)
    np.testing.assert_allclose(features(x), pooled)
    model.save(tmp_path / "whole.keras")
    with pytest.warns(UserWarning, match="is a whole classifier"):
        tl.build_transfer_model(tmp_path / "whole.keras", 2)


def test_a_saved_model_that_gives_classes_is_named(tmp_path):
    for name, classes in (("hub", 1001), ("own", 5)):
        module = tf.Module()
        module.kernel = kernel = tf.Variable(tf.ones([3, classes]))

        @tf.function(input_signature=[tf.TensorSpec([None, 16, 16, 3], tf.float32)])
        def serve(images):
            return {"scores": tf.reduce_mean(images, [1, 2]) @ kernel}  # noqa: B023

        tf.saved_model.save(module, str(tmp_path / name), signatures={"serving_default": serve})
        with pytest.warns(UserWarning, match=f"its {classes} classes"):
            tl.build_transfer_model(str(tmp_path / name), 2)


def test_a_keras_hub_classifier_is_named():
    hub = pytest.importorskip("keras_hub", reason='pip install "tl_keras[keras-hub]"')
    backbone = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(16, 16, 3),
    )
    whole = hub.models.ImageClassifier(backbone=backbone, num_classes=5, activation="softmax")
    with pytest.warns(UserWarning, match=r"Pass its \.backbone"):
        tl.build_transfer_model(whole, 2)


def test_features_and_scaled_pixels_need_no_word():
    divided = keras.Input((16, 16, 3))
    models = [
        classifier(),
        classifier("dense"),
        keras.Model(divided, layers.Conv2D(2, 3)(divided / 255.0)),
        keras.Sequential(
            [keras.Input((16, 16, 3)), layers.BatchNormalization(), layers.Conv2D(2, 3)]
        ),
        keras.Sequential([keras.Input((5,)), layers.Dense(3)]),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for model in models:
            tl.build_transfer_model(model, 2)


def test_a_model_that_nothing_scales_pixels_for_is_named():
    def network():
        return keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(2, 3)], name="raw")

    with pytest.warns(UserWarning, match="pixels 0–255 reach 'raw' as they are"):
        tl.build_transfer_model(network(), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        tl.build_transfer_model(network(), 2, preprocessing=tl.preprocessing.identity())
