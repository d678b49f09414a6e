"""Paths in tables that are written otherwise, names in two Unicode forms, shapes and sizes."""

import os
import warnings
import zlib

import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tests.data.images import noise, write_folder
from tl_keras.data import as_examples, image_folder, image_table
from tl_keras.data.files.inspection import inspect_image
from tl_keras.inputs.image_batches import shape_remedy
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.fixture
def root(tmp_path):
    write_folder(tmp_path, {"Cats": 2, "dogs": 2})
    noise().save(tmp_path / "dogs" / f"{DECOMPOSED}.png")
    noise().save(tmp_path / "dogs" / "both.png")
    noise().save(tmp_path / "dogs" / "both.jpg")
    return tmp_path


def read(root, *rows, reader=image_folder):
    table = root / "table.csv"
    table.write_text("\n".join(["path,label", *rows, "Cats/00.png,x", "dogs/00.png,y"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reader(table, image_size=8)


@pytest.mark.parametrize("reader", [image_folder, image_table])
@pytest.mark.parametrize(
    ("cell", "file", "kinds"),
    [
        ("Cats\\01.png", "Cats/01.png", ["backslashes"]),
        (".\\dogs\\01.png", "dogs/01.png", ["backslashes"]),
        ("Cats/01", "Cats/01.png", ["no extension"]),
        ("dogs\\01", "dogs/01.png", ["backslashes", "no extension"]),
        ("CATS/01.PNG", "Cats/01.png", ["other spelling"]),
        (f"dogs/{COMPOSED}.png", f"dogs/{DECOMPOSED}.png", ["other spelling"]),
        ("Cats/01.png", "Cats/01.png", []),
    ],
)
def test_files_are_found_by_other_spellings(root, reader, cell, file, kinds):
    images = read(root, f"{cell},x", reader=reader)
    assert str(root / file) in images.paths and len(images) == 3
    assert [problem.kind for problem in images.problems] == kinds
    assert all(problem.usable for problem in images.problems)


@pytest.mark.parametrize(
    ("cell", "detail"),
    [
        ("dogs/both", "'both.jpg' and 'both.png' are there: write which one is meant"),
        ("dogs/01.jpg", "did you mean '01.png'?"),
        ("gone/table.csv", "did you mean 'table.csv'?"),
        ("dogs/nothing like it.png", "there is no such file"),
    ],
)
def test_files_that_are_not_there(root, cell, detail):
    (problem,) = read(root, f"{cell},x").problems
    assert problem.kind == "missing" and detail in problem.detail


def test_tables_may_hold_names_that_are_not_utf8_but_no_such_labels(root):
    try:
        os.rename(root / "dogs" / "01.png", os.fsencode(root / "dogs") + b"/k\xe4fer.png")
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    table = root / "table.csv"
    table.write_bytes(b"path,label\ndogs/k\xe4fer.png,a\nCats/00.png,b\n")
    assert len(image_folder(table, image_size=8)) == 2
    for line in (b"dogs/00.png,k\xe4fer", b"dogs/h\xfcnd.png,a"):
        table.write_bytes(b"path,label\nCats/00.png,b\n" + line)
        with pytest.raises(InputError, match="not a CSV file in UTF-8"):
            image_folder(table, image_size=8)


def test_labels_in_either_unicode_form_are_one():
    spec = TargetSpec("classification", 2, ("tea", DECOMPOSED))
    assert spec.class_names == ("tea", COMPOSED)
    y = [COMPOSED, "tea", DECOMPOSED]
    expected = np.eye(2)[[1, 0, 1]]
    np.testing.assert_array_equal(spec.encode(y), expected)
    dataset = tf.data.Dataset.from_tensor_slices((np.zeros((3, 4, 4, 3), np.uint8), y))
    (_, encoded), *_ = as_examples(dataset).batches(spec, 3)
    np.testing.assert_array_equal(encoded, expected)
    model = tl.build_transfer_model(tiny_network(), class_names=[DECOMPOSED, "tea"])
    assert model.targets.class_names == (COMPOSED, "tea")
    with pytest.raises(InputError, match="distinct"):
        TargetSpec("classification", 2, (COMPOSED, DECOMPOSED))


SHAPES = [(20, 20), (16, 16), (16, 16, 1), (20, 20, 4), (3, 16, 16), (1, 20, 20), (9, 16, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_remedy_for_a_shape_is_one_that_works(shape):
    model = tl.build_transfer_model(tiny_network(), 2, head="linear")
    x = np.zeros((4, *shape), np.float32)
    for call in (
        lambda: model.features(x),
        lambda: tl.fine_tune(model, (x, [0, 1, 0, 1]), schedule=(tl.Stage(1),)),
    ):
        with pytest.raises(InputError) as caught:
            call()
        remedy = shape_remedy(shape, (16, 16, 3))
        assert remedy in str(caught.value)
        scope = {"x": x, "np": np, "tf": tf}
        for step in remedy.split("; "):
            exec(step.split(": ")[1].split(", or")[0].rstrip("."), scope)
        assert model(scope["x"]).shape == (4, 2)


def png_header(width, height):
    """Return a PNG file whose header is right and whose pixels are missing."""
    header = b"IHDR" + np.array([width, height], ">u4").tobytes() + b"\x08\x02\x00\x00\x00"
    check = np.array(zlib.crc32(header), ">u4").tobytes()
    end = b"\x00\x00\x00\x00IDAT" + np.array(zlib.crc32(b"IDAT"), ">u4").tobytes()
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d" + header + check + end


@pytest.mark.parametrize("limit", [89_478_485, None])
def test_images_beyond_the_decoders_limit_say_what_to_do(tmp_path, monkeypatch, limit):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", limit)
    (tmp_path / "a.png").write_bytes(png_header(14_000, 14_000))
    problem = inspect_image(tmp_path / "a.png", "a.png")
    assert problem.kind == "too large"
    assert "more than 178,956,970 pixels" in problem.detail
    assert "thumbnail" in problem.detail
