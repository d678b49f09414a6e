import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.utils.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


def refused(text, *arguments, **keywords):
    with pytest.raises(InputError, match=text):
        tl.build_transfer_model(*arguments, **keywords)


def test_unknown_backbones_offer_the_nearest_names():
    refused("unknown name 'ResNet5'. Did you mean 'ResNet50'", "ResNet5", 2)
    refused("Did you mean .*'EfficientNetLite0'", "efficientnetlite", 2)
    refused("The path does not exist", "models/nothing", 2)
    refused("expected a name, a path, a URL", 5, 2)


def test_shapes_that_cannot_be():
    small = {"weights": None, "input_shape": (16, 16, 3)}
    refused("needs images of at least 32×32 pixels, got 16×16", "ResNet50", 2, **small)
    refused(
        "needs images of at least 75×75", "InceptionV3", 2, weights=None, input_shape=(32, 32, 3)
    )
    text = "EfficientNetB0 normalises 3 channels inside, and its weights cannot be adapted to 1"
    refused(text, "EfficientNetB0", 2, input_shape=(64, 64, 1))
    refused(r"expected \(height, width, channels\)", "ResNet50", 2, input_shape=(64, 64))
    refused("Leave input_shape out", tiny_network(), 2, input_shape=(32, 32, 3))


@pytest.mark.parametrize("shape", [32, (), (32, 0, 3), "32", (32.0, 32, 3)])
def test_an_input_shape_is_of_whole_numbers(shape):
    text = r"input_shape: expected \(height, width, channels\), got"
    refused(text, "MobileNetV2", 2, weights=None, input_shape=shape)


@pytest.mark.parametrize(
    ("argument", "value", "text"),
    [
        ("name", "a/b", "name: expected a name without '/', got 'a/b'"),
        ("name", 3, "name: expected a name"),
        ("preprocessing", lambda x: x / 255, "preprocessing: expected a layer, such as"),
        ("class_names", 3, "class_names: expected a list of names, got 3"),
    ],
)
def test_arguments_of_another_type(argument, value, text):
    refused(text, tiny_network(), 2, **{argument: value})


@pytest.mark.parametrize("method", ["features", "logits"])
@pytest.mark.parametrize(
    ("images", "text"),
    [
        (IMAGES[0], r"\(batch, 16, 16, 3\), got shape \(16, 16, 3\). Pass one image as x\[None\]"),
        (IMAGES[:, :8], r"got shape \(3, 8, 16, 3\). Resize the images"),
        (tf.constant(IMAGES[:, :8]), r"got shape \(3, 8, 16, 3\). Resize the images"),
        (IMAGES[:0], "got none. Pass at least one image"),
        ("image.png", "got 'image.png'. Read image files with tl.data.decode_image"),
        (["a.png", "b.png"], r"got ndarray of shape \(2,\). Read image files"),
        ([IMAGES[0], IMAGES[0, :8]], "got list of length 2 whose items differ in shape"),
        (None, "got None"),
    ],
)
def test_images_of_another_form(method, images, text):
    model = tl.build_transfer_model(tiny_network(), 3)
    with pytest.raises(InputError, match=f"images: expected an array of numbers.*{text}"):
        getattr(model, method)(images)


def test_lists_of_images_are_arrays():
    model = tl.build_transfer_model(tiny_network(), 3)
    np.testing.assert_array_equal(model.features(list(IMAGES)), model.features(IMAGES))
    with pytest.raises(InputError, match="batch_size: expected a whole number"):
        model.features(IMAGES, batch_size=0)


def test_class_counts_and_labels():
    network = tiny_network()
    refused("expected a whole number ≥ 1, got 0", network, 0)
    refused("expected a whole number ≥ 1, got 2.5", network, 2.5)
    refused("one class leaves nothing to tell apart", network, 1)
    refused("expected 2 names, one per class, got 3", network, 2, class_names=["a", "b", "c"])
    refused("names must be distinct", network, class_names=["a", "a"])
    refused("Did you mean 'linear'", network, 2, head="liner")
    refused("expected the name of a Keras activation", network, 2, classifier_activation="softmux")
    refused(r"are no tasks of num_classes", network, {"a": 2}, head={"b": "linear"})
    refused("task names become names of outputs", network, {"a/b": 2})
    assert tl.build_transfer_model(network, np.int64(3)).targets.size == 3
    assert tl.build_transfer_model(tiny_network(), class_names=["a", "b"]).targets.size == 2


def test_weights_files(tmp_path):
    refused("which is no file", "MobileNetV2", 2, weights=tmp_path / "none.h5")
    (tmp_path / "bad.weights.h5").write_text("not a file of weights")
    arguments = {"weights": tmp_path / "bad.weights.h5", "input_shape": (32, 32, 3)}
    refused("does not fit", "MobileNetV2", 2, **arguments)
    keras.utils.set_random_seed(1)
    model = tl.build_transfer_model("MobileNetV2", 2, weights=None, input_shape=(32, 32, 3))
    path = tmp_path / "backbone.weights.h5"
    model.backbone.save_weights(path)
    again = tl.build_transfer_model("MobileNetV2", 2, weights=path, input_shape=(32, 32, 3))
    for a, b in zip(model.backbone.weights, again.backbone.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_keras_file_is_a_backbone_and_a_lambda_is_refused(tmp_path):
    network = tiny_network()
    network.save(tmp_path / "network.keras")
    model = tl.build_transfer_model(tmp_path / "network.keras", 2)
    expected = network.predict(IMAGES, verbose=0).mean(axis=(1, 2))
    np.testing.assert_allclose(model.features(IMAGES), expected, rtol=1e-5)
    inputs = keras.Input((4,))
    doubled = keras.layers.Lambda(lambda x: 2 * x)(inputs)
    keras.Model(inputs, doubled).save(tmp_path / "lambda.keras")
    refused("holds a Lambda layer, which is Python code", tmp_path / "lambda.keras", 2)
    (tmp_path / "empty.keras").write_text("")
    refused("is not a Keras archive", tmp_path / "empty.keras", 2)


def test_a_transfer_model_lends_its_backbone_and_preprocessing():
    first = tl.build_transfer_model(
        tiny_network(), 3, preprocessing=tl.preprocessing.to_minus_one_one()
    )
    second = tl.build_transfer_model(first, 5)
    assert second.backbone is first.backbone
    np.testing.assert_array_equal(second.features(IMAGES), first.features(IMAGES))
    assert second(IMAGES).shape == (3, 5)


def test_preprocessing_keeps_what_it_has_learned(tmp_path):
    images = IMAGES.astype(np.float32)
    layer = keras.layers.Normalization()
    layer.adapt(images)
    first = tl.build_transfer_model(tiny_network(), 3, preprocessing=layer)
    first.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for model in (first, tl.build_transfer_model(first, 5), loaded):
        np.testing.assert_array_equal(model.preprocessing(images), layer(images))


def test_features_follow_constants_that_are_set(tmp_path):
    images = IMAGES.astype(np.float32)
    models = []
    for shift in (0.0, 50.0):
        layer = keras.layers.Normalization()
        layer.adapt(images + shift)
        models.append(tl.build_transfer_model(tiny_network(), 3, preprocessing=layer))
    first, second = models
    before, expected = first.features(images), second.features(images)
    assert np.abs(before - expected).max() > 0.01
    second.save_weights(tmp_path / "second.weights.h5")
    own = first.get_weights()
    first.set_weights(second.get_weights())
    np.testing.assert_allclose(first.features(images), expected, rtol=1e-5)
    first.set_weights(own)
    np.testing.assert_allclose(first.features(images), before, rtol=1e-5)
    first.load_weights(tmp_path / "second.weights.h5")
    np.testing.assert_allclose(first.features(images), expected, rtol=1e-5)


def test_a_modality_brings_its_range():
    modality = tl.inputs.Images((16, 16, 3), pixel_range=(0, 4095))
    model = tl.build_transfer_model(tiny_network(), 3, modality=modality)
    same = tl.build_transfer_model(tiny_network(), 3, pixel_range=(0, 4095))
    assert model.pixel_range == model.modality.pixel_range == (0, 4095)
    deep = IMAGES.astype(np.float32) * 16
    np.testing.assert_array_equal(model.features(deep), same.features(deep))


def test_attributes_of_before_name_those_of_now():
    model = tl.build_transfer_model(tiny_network(), class_names=["a", "b"])
    assert not hasattr(model, "labels")
    with pytest.raises(tl.InputError, match=r"model\.class_names"):
        _ = model.labels
    report = tl.evaluate(model, (IMAGES, ["a", "b", "a"]), verbose=False)
    assert not hasattr(report, "kind")
    with pytest.raises(tl.InputError, match=r"report\.task\.name"):
        _ = report.kind


@pytest.mark.parametrize("task", ["head", "images", "preprocessing", "tiny_0"])
def test_tasks_are_not_called_as_parts_of_the_model_are(task):
    refused(
        f"num_classes: the task name '{task}' is that of another part", tiny_network(), {task: 2}
    )


def test_logits_features_and_activation_agree():
    model = tl.build_transfer_model(tiny_network(), 3)
    logits = model.logits(IMAGES)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), expected, rtol=1e-5)
    kernel, bias = (w.numpy() for w in model.head.weights)
    np.testing.assert_allclose(model.features(IMAGES) @ kernel + bias, logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        model.features(IMAGES, batch_size=2), model.features(IMAGES), rtol=1e-5
    )
    raw = tl.build_transfer_model(tiny_network(), 3, classifier_activation=None)
    np.testing.assert_allclose(raw.predict(IMAGES, verbose=0), raw.logits(IMAGES), rtol=1e-5)
    features = tl.build_transfer_model(tiny_network())
    assert features.predict(IMAGES, verbose=0).shape == (3, 8)
    with pytest.raises(InputError, match="has no logits"):
        features.logits(IMAGES)


def test_uint8_and_float_images_give_the_same():
    model = tl.build_transfer_model("MobileNetV2", 3, weights=None, input_shape=(32, 32, 3))
    x = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(model(x), model(x.astype("float32")))


def test_it_is_an_ordinary_keras_model(blobs):
    x, y = blobs
    model = tl.build_transfer_model(tiny_network(), 3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=2, verbose=0).history
    assert set(history) == {"loss", "accuracy"}
    assert model.count_params() == sum(int(np.prod(w.shape)) for w in model.weights)


@pytest.mark.parametrize("kind", [set, frozenset])
def test_labels_in_no_order_are_refused(kind):
    names = kind({"cat", "dog", "cow"})
    text = f"expected names in the order of the outputs, got a {kind.__name__}"
    with pytest.raises(tl.InputError, match=rf"^class_names: {text}"):
        tl.build_transfer_model(tiny_network(), 3, class_names=names)
    with pytest.raises(tl.InputError, match=rf"^class_names\['pet'\]: {text}"):
        tl.build_transfer_model(tiny_network(), {"pet": 3}, class_names={"pet": names})
    ordered = dict.fromkeys(["dog", "cow", "cat"]).keys()
    model = tl.build_transfer_model(tiny_network(), 3, class_names=ordered)
    assert model.class_names == ("dog", "cow", "cat")
