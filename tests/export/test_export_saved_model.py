"""SavedModels: loaded where neither this package nor Keras can be imported, and by signature."""

import importlib
import io
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.export.conftest import LABELS, numbers_network
from tl_keras import export
from tl_keras.inputs.decoding.images import decode_and_resize
from tl_keras.utils.errors import InputError

SERVE_ALONE = """
import json, sys
sys.modules["tl_keras"] = sys.modules["keras"] = sys.modules["tf_keras"] = None
import numpy as np
import tensorflow as tf
path, files, images, answers = sys.argv[1:]
served = tf.saved_model.load(path).signatures
contents = [open(name, "rb").read() for name in json.loads(files)]
given = {"image_bytes": tf.constant(contents)}, {"images": tf.constant(np.load(images))}
found = {}
for name, arguments in zip(("serve_bytes", "serving_default", "features"), given + given[1:]):
    for key, value in served[name](**arguments).items():
        value = value.numpy()
        found[name + "." + key] = value.astype("S") if value.dtype == object else value
assert not [name for name in sys.modules if name.startswith(("tl_keras.", "keras."))]
np.savez(answers, **found)
"""


def encode(pixels, image_format, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format, **options)
    return file.getvalue()


def solid(colour, height=16, width=16):
    return np.broadcast_to(np.uint8(colour), (height, width, 3)).copy()


@pytest.fixture
def photographs():
    """Encoded images of several formats and sizes, and the pixels a 16 × 16 model should see."""
    noise = np.random.default_rng(1).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    big = np.random.default_rng(2).integers(0, 256, (45, 70, 3)).astype(np.uint8)
    jpeg = encode(big, "JPEG")
    contents = {
        "wide.png": (encode(solid((250, 20, 30), 23, 40), "PNG"), solid((250, 20, 30))),
        "tall.webp": (encode(solid((9, 200, 77), 50, 31), "WEBP", lossless=True), None),
        "gray.jpg": (encode(solid((96, 96, 96), 30, 20), "JPEG"), solid((96, 96, 96))),
        "same.bmp": (encode(noise, "BMP"), noise),
        "big.jpg": (jpeg, decode_and_resize(tf.constant(jpeg), (16, 16)).numpy()),
    }
    webp = Image.open(io.BytesIO(contents["tall.webp"][0])).convert("RGB").getpixel((0, 0))
    contents["tall.webp"] = (contents["tall.webp"][0], solid(webp))
    return contents


def signature(path, name):
    served = tf.saved_model.load(str(path))
    return lambda **inputs: {
        key: value.numpy() for key, value in served.signatures[name](**inputs).items()
    }


def text(array):
    return [value.decode() for value in array]


def test_serves_without_this_package_and_without_keras(exported, images, photographs, tmp_path):
    model, path = exported
    (tmp_path / "elsewhere").mkdir()
    names = []
    for name, (content, _) in photographs.items():
        (tmp_path / name).write_bytes(content)
        names.append(str(tmp_path / name))
    np.save(tmp_path / "images.npy", images)
    answers = tmp_path / "answers.npz"
    arguments = [str(path), json.dumps(names), str(tmp_path / "images.npy"), str(answers)]
    child = subprocess.run(
        [sys.executable, "-c", SERVE_ALONE, *arguments],
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    found = np.load(answers)

    seen = np.stack([pixels for _, pixels in photographs.values()]).astype("float32")
    for name, inputs in (("serve_bytes", seen), ("serving_default", images)):
        scores = model.predict(inputs, verbose=0)
        assert len(set(scores.argmax(1))) > 1
        np.testing.assert_allclose(found[f"{name}.scores"], scores, atol=1e-5)
        np.testing.assert_allclose(found[f"{name}.score"], scores.max(1), atol=1e-5)
        assert text(found[f"{name}.label"]) == [LABELS[index] for index in scores.argmax(1)]
    np.testing.assert_allclose(found["features.features"], model.features(images), atol=1e-5)


def test_names_and_types_of_inputs_and_outputs(exported):
    _, path = exported
    served = tf.saved_model.load(str(path)).signatures
    assert set(served) == {"serving_default", "serve_bytes", "features"}
    described = {
        name: (
            {key: (spec.dtype.name, spec.shape.as_list()) for key, spec in given.items()},
            {key: (spec.dtype.name, spec.shape.as_list()) for key, spec in gives.items()},
        )
        for name, function in served.items()
        for given, gives in [(function.structured_input_signature[1], function.structured_outputs)]
    }
    images = {"images": ("float32", [None, 16, 16, 3])}
    answer = {
        "scores": ("float32", [None, 3]),
        "score": ("float32", [None]),
        "label": ("string", [None]),
    }
    assert described == {
        "serving_default": (images, answer),
        "serve_bytes": (
            {"image_bytes": ("string", [None])},
            answer | {"valid": ("bool", [None]), "error": ("string", [None])},
        ),
        "features": (images, {"features": ("float32", [None, 8])}),
    }


def test_labels_lie_beside_the_model_in_order(exported):
    _, path = exported
    assert (path / "assets" / "labels.txt").read_text("utf-8").splitlines() == list(LABELS)


def test_classes_without_labels_are_called_by_number(build, rows, tmp_path):
    model = build(3, backbone=numbers_network())
    path = export.saved_model(model, tmp_path / "model")
    found = signature(path, "serving_default")(inputs=tf.constant(rows))
    expected = model.predict(rows, verbose=0).argmax(1).astype(str)
    assert text(found["label"]) == list(expected)
    assert (path / "assets" / "labels.txt").read_text("utf-8") == "0\n1\n2\n"


def test_multi_label_states_which_labels_are_present(build, rows, tmp_path):
    model = build(3, head="multi_label", class_names=LABELS, backbone=numbers_network())
    logits = model.logits(rows)
    assert 0 < (logits > 0).mean() < 1
    found = signature(export.saved_model(model, tmp_path / "model"), "serving_default")(
        inputs=tf.constant(rows)
    )
    assert set(found) == {"scores", "labels_present"}
    np.testing.assert_allclose(found["scores"], 1 / (1 + np.exp(-logits)), atol=1e-5)
    np.testing.assert_array_equal(found["labels_present"], logits > 0)


def test_multi_label_logits_are_cut_at_zero(build, rows, tmp_path):
    model = build(3, head="multi_label", classifier_activation=None, backbone=numbers_network())
    found = signature(export.saved_model(model, tmp_path / "model"), "serving_default")(
        inputs=tf.constant(rows)
    )
    np.testing.assert_array_equal(found["labels_present"], model.logits(rows) > 0)


def test_regression_gives_values(build, rows, tmp_path):
    model = build(2, head="regression", backbone=numbers_network())
    found = signature(export.saved_model(model, tmp_path / "model"), "serving_default")(
        inputs=tf.constant(rows)
    )
    assert set(found) == {"values"}
    np.testing.assert_allclose(found["values"], model.predict(rows, verbose=0), atol=1e-5)


def test_several_tasks_are_told_apart_by_prefix(build, rows, tmp_path):
    model = build(
        {"kind-a": 3, "size": 1},
        head={"kind-a": "linear", "size": "regression"},
        class_names={"kind-a": LABELS},
        backbone=numbers_network(),
    )
    path = export.saved_model(model, tmp_path / "model")
    found = signature(path, "serving_default")(inputs=tf.constant(rows))
    expected = model.predict(rows, verbose=0)
    assert set(found) == {"kind-a_scores", "kind-a_score", "kind-a_label", "size_values"}
    np.testing.assert_allclose(found["kind-a_scores"], expected["kind-a"], atol=1e-5)
    np.testing.assert_allclose(found["size_values"], expected["size"], atol=1e-5)
    assert text(found["kind-a_label"]) == [LABELS[i] for i in expected["kind-a"].argmax(1)]
    assert {file.name for file in (path / "assets").iterdir()} == {
        "labels_kind-a.txt",
        "labels_size.txt",
    }


def test_a_model_without_head_gives_features(build, images, photographs, tmp_path):
    model = build()
    path = export.saved_model(model, tmp_path / "model")
    expected = model.backbone.predict(images, verbose=0).mean(axis=(1, 2))
    for name in ("serving_default", "features"):
        found = signature(path, name)(images=tf.constant(images))
        assert set(found) == {"features"}
        np.testing.assert_allclose(found["features"], expected, atol=1e-5)
    content, pixels = photographs["same.bmp"]
    np.testing.assert_allclose(
        signature(path, "serve_bytes")(image_bytes=tf.constant([content]))["features"],
        model.predict(pixels[None].astype("float32"), verbose=0),
        atol=1e-5,
    )
    assert not list((path / "assets").iterdir())


def test_gray_models_see_colours_as_luminance(build, network, tmp_path):
    model = build(3, backbone=network((12, 12, 1)))
    serve = signature(export.saved_model(model, tmp_path / "model"), "serve_bytes")
    ramp = np.arange(144, dtype=np.uint8).reshape(12, 12)
    colour = np.uint8((200, 100, 50))
    contents = [encode(ramp, "PNG"), encode(solid(colour, 30, 40), "PNG")]
    luminance = int(colour @ np.array([0.2989, 0.587, 0.114]))
    inputs = np.stack([ramp, np.full((12, 12), luminance)])[..., None].astype("float32")
    np.testing.assert_allclose(
        serve(image_bytes=tf.constant(contents))["scores"],
        model.predict(inputs, verbose=0),
        atol=1e-5,
    )


def test_what_is_no_image_has_no_bytes_signature(build, rows, tmp_path):
    model = build(3, backbone=numbers_network())
    path = export.saved_model(model, tmp_path / "model")
    assert set(tf.saved_model.load(str(path)).signatures) == {"serving_default", "features"}
    found = signature(path, "serving_default")(inputs=tf.constant(rows))
    np.testing.assert_allclose(found["scores"], model.predict(rows, verbose=0), atol=1e-5)


def test_mixed_precision_serves_what_it_predicts(build, network, images, tmp_path):
    model = build(3, backbone=network(policy="mixed_float16"))
    assert model.backbone.get_layer("stem").compute_dtype == "float16"
    found = signature(export.saved_model(model, tmp_path / "model"), "serving_default")(
        images=tf.constant(images)
    )
    assert found["scores"].dtype == np.float32
    np.testing.assert_allclose(found["scores"], model.predict(images, verbose=0), atol=2e-3)


def test_the_backbone_is_constants_where_its_graph_can_be_folded(
    exported, images, tmp_path, monkeypatch
):
    model, folded = exported

    def refuse(*_):
        raise ValueError("its weights take 2.1 GB")

    module = importlib.import_module("tl_keras.export.saved_model")
    monkeypatch.setattr(module, "fold_concrete", refuse)
    plain = export.saved_model(model, tmp_path / "plain")
    counts = []
    for path in (folded, plain):
        variables = tf.train.list_variables(str(path / "variables" / "variables"))
        counts.append(sum(name.startswith("_all_variables/") for name, _ in variables))
    assert counts == [len(model.head.weights), len(model.weights)]
    answers = [signature(path, "serving_default")(images=images) for path in (folded, plain)]
    np.testing.assert_allclose(answers[0]["scores"], answers[1]["scores"], atol=1e-6)
    assert (answers[0]["label"] == answers[1]["label"]).all()


def test_a_trained_and_reloaded_model_exports(build, rows, tmp_path):
    model = build(3, class_names=LABELS, head="mlp", backbone=numbers_network())
    model.compile("sgd", "categorical_crossentropy")
    model.fit(rows, np.eye(3)[np.arange(12) % 3], verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    serve = signature(export.saved_model(loaded, tmp_path / "model"), "serving_default")
    np.testing.assert_allclose(
        serve(inputs=tf.constant(rows))["scores"], model.predict(rows, verbose=0), atol=1e-5
    )


def test_refuses_what_is_no_transfer_model(network, tmp_path):
    for write, name in (
        (export.saved_model, "a"),
        (export.tflite, "a.tflite"),
        (export.onnx, "a.onnx"),
    ):
        with pytest.raises(InputError, match=r"model: expected .*build_transfer_model, got Func"):
            write(network(), tmp_path / name)
    assert not list(tmp_path.iterdir())
