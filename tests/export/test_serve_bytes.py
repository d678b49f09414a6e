"""Files that are not images, and batches without rows, in exported models."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tl_keras as tl
from tl_keras.backbones.saved_model import SavedModelBackbone
from tools.torture.mutated_images import declared_sizes, sound_images

NOTHING_BUT_ROWS = {"float32": 0.0, "bool": False, "object": b""}
IMAGES = sound_images()
REFUSED = {
    b"": "empty: the file has 0 bytes",
    b"<html></html>": "not an image: its content is none of JPEG, PNG, BMP, GIF, WEBP",
    IMAGES["jpeg"][:400]: "cannot be decoded: the file is damaged or truncated",
    IMAGES["png"][:-30]: "cannot be decoded: the file is damaged or truncated",
    IMAGES["png"][:8]: "cannot be decoded: the file is damaged or truncated",
    IMAGES["webp animated"]: "animated WebP: save its first frame",
    declared_sizes()["png 60000"]: "too large: more than 178,956,970 pixels; save it smaller",
    declared_sizes()["jpeg 65500"]: "too large: more than 178,956,970 pixels; save it smaller",
}


def one_bit_bmp():
    stream = io.BytesIO()
    Image.new("1", (8, 8)).save(stream, "BMP")
    return stream.getvalue()


REFUSED[one_bit_bmp()] = "cannot be decoded: BMP files with compression, fewer than 8 bits"


def served(path):
    """Return a function from the name of a signature and its input to arrays."""
    loaded = tf.saved_model.load(str(path))

    def serve(name, **inputs):
        found = loaded.signatures[name](**{key: tf.constant(v) for key, v in inputs.items()})
        return {key: value.numpy() for key, value in found.items()}

    return serve


def check_only_bad_rows_are_empty(serve, good, bad):
    """Serve good files alone and among bad ones: the same rows, and rows of zeros."""
    alone = serve("serve_bytes", image_bytes=good)
    assert alone["valid"].tolist() == [True] * len(good)
    assert alone["error"].tolist() == [b""] * len(good)
    mixed = serve("serve_bytes", image_bytes=[bad[0], good[0], *bad[1:], *good[1:]])
    where = [1, *range(len(bad) + 1, len(bad) + len(good))]
    others = [row for row in range(len(good) + len(bad)) if row not in where]
    assert set(mixed) == set(alone)
    for name, value in mixed.items():
        assert len(value) == len(good) + len(bad)
        if value.dtype == np.float32:
            np.testing.assert_allclose(value[where], alone[name], atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(value[where], alone[name], err_msg=name)
        if name != "error":
            empty = NOTHING_BUT_ROWS[value.dtype.name]
            assert (value[others] == empty).all(), name
    return [mixed["error"][row].decode() for row in others]


@pytest.fixture(scope="module")
def classes(exported):
    return served(exported[1])


def test_bad_files_leave_the_others_as_they_are(classes):
    good = [IMAGES[name] for name in ("jpeg", "png palette", "bmp", "gif", "webp alpha")]
    errors = check_only_bad_rows_are_empty(classes, good, list(REFUSED))
    for error, expected in zip(errors, REFUSED.values(), strict=True):
        assert error.startswith(expected)


def test_nothing_but_bad_files(classes):
    found = classes("serve_bytes", image_bytes=[b"a", b""])
    assert not found["valid"].any()
    assert found["scores"].shape == (2, 3)
    assert not found["scores"].any()


def check_deep_and_gray(serve):
    bad = [b"", IMAGES["png 16 bits"][:-30], declared_sizes()["png 60000"]]
    good = [IMAGES["png 16 bits"], IMAGES["jpeg gray"], IMAGES["png"]]
    errors = check_only_bad_rows_are_empty(serve, good, bad)
    kinds = [error.split(":")[0] for error in errors]
    assert kinds == ["empty", "cannot be decoded", "too large"]


def test_every_kind_of_output_of_a_model_of_deep_images(build, tmp_path):
    heads = {"kind": "linear", "tags": "multi_label", "size": "regression"}
    model = build({"kind": 3, "tags": 2, "size": 1}, head=heads, pixel_range=(0, 65535))
    serve = served(tl.export.saved_model(model, tmp_path / "model"))
    check_deep_and_gray(serve)
    found = serve("serve_bytes", image_bytes=np.array([], object))
    assert set(found) == {
        *("kind_scores", "kind_score", "kind_label", "size_values"),
        *("tags_scores", "tags_labels_present", "valid", "error"),
    }
    assert {len(value) for value in found.values()} == {0}


def test_empty_batches_keep_their_shape(classes):
    none = np.zeros((0, 16, 16, 3), np.float32)
    assert classes("serving_default", images=none)["scores"].shape == (0, 3)
    assert classes("features", images=none)["features"].shape == (0, 8)
    assert classes("serve_bytes", image_bytes=np.array([], object))["label"].shape == (0,)


def test_gray_models_without_head(build, network, tmp_path):
    model = build(backbone=network((12, 12, 1)))
    check_deep_and_gray(served(tl.export.saved_model(model, tmp_path / "model")))


def test_an_export_is_a_backbone_that_needs_no_trust(exported, classes, tmp_path, images):
    """Its operations that go on after errors are among the allowed ones."""
    layer = SavedModelBackbone(str(exported[1]), signature="features")
    model = keras.Sequential([keras.Input((16, 16, 3)), layer])
    model.save(tmp_path / "model.keras")
    found = keras.models.load_model(tmp_path / "model.keras").predict(images, verbose=0)
    expected = classes("features", images=images)["features"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
