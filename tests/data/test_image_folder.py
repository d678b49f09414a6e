import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tl_keras as tl
from tests.conftest import tiny_network
from tests.data.images import (
    encode,
    noise,
    read_plainly,
    smooth,
    with_orientation,
    write_folder,
)
from tl_keras.data import Epochs, ImageFolder, Part, decode_and_resize, image_folder
from tl_keras.data.rows import WHOLE
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

SPEC = TargetSpec("classification", 2, ("cats", "dogs"))


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "pets", {"cats": 4, "dogs": 3})


@pytest.fixture
def broken(folder):
    """A folder with every kind of defect, and three files that only look odd."""
    cats, dogs = folder / "cats", folder / "dogs"
    (cats / "empty.png").write_bytes(b"")
    (cats / "text.png").write_text("this is a page of text")
    (dogs / "cut.jpg").write_bytes(encode(smooth(), "JPEG")[:500])
    (dogs / "cut.png").write_bytes(encode(noise(), "PNG")[:-100])
    (dogs / "picture.tiff").write_bytes(encode(noise(), "TIFF"))
    (dogs / "one_bit.bmp").write_bytes(encode(noise(1).convert("1"), "BMP"))
    frames = {"save_all": True, "append_images": [smooth(1)]}
    (dogs / "moving.webp").write_bytes(encode(smooth(), "WEBP", **frames))
    (cats / "really_jpeg.png").write_bytes(encode(smooth(), "JPEG"))
    (cats / "no_extension").write_bytes(encode(noise(), "PNG"))
    (cats / "turned.jpg").write_bytes(encode(smooth(), "JPEG", exif=with_orientation(6)))
    (folder / "loose.png").write_bytes(encode(noise(), "PNG"))
    (folder / "birds").mkdir()
    return folder


PROBLEMS = {
    "cats/empty.png": "empty",
    "cats/text.png": "not an image",
    "dogs/cut.jpg": "truncated",
    "dogs/cut.png": "truncated",
    "dogs/picture.tiff": "unsupported format",
    "dogs/one_bit.bmp": "cannot be decoded",
    "dogs/moving.webp": "animated WebP",
    "loose.png": "without a class",
    "birds": "empty class",
}
NOTES = {"cats/really_jpeg.png": "wrong extension", "cats/no_extension": "wrong extension"}


def test_reads_class_subfolders(folder):
    images = image_folder(folder, image_size=(10, 14))
    assert images.class_names == ("cats", "dogs")
    assert len(images) == 7
    assert images.labels.tolist() == [0] * 4 + [1] * 3
    assert images.problems == [] and images.problem_table() == ""
    assert "7 images, 2 classes, 10×14" in repr(images)
    assert "cats  4" in images.summary()
    (x, y), rest = list(images.batches(SPEC, 5))
    assert x.dtype == tf.uint8 and x.shape == (5, 10, 14, 3) and rest[0].shape[0] == 2
    expected = [np.asarray(Image.open(path)) for path in images.paths[:5]]
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(y, np.eye(2)[[0, 0, 0, 0, 1]])
    spec = images.batches(SPEC, 5).element_spec
    assert spec[0].shape.as_list() == [None, 10, 14, 3] and spec[1].shape.as_list() == [None, 2]


def test_image_size_is_height_and_width_or_one_number(folder):
    images = image_folder(folder, image_size=(6, 9))
    batch = next(iter(images.batches(None, 1)))
    assert batch.shape == (1, 6, 9, 3)
    content = tf.io.read_file(images.paths[0])
    np.testing.assert_array_equal(batch[0], decode_and_resize(content, (6, 9)))
    assert image_folder(folder, image_size=8).image_size == (8, 8)


def test_finds_every_defect_and_skips_the_files(broken):
    with pytest.warns(UserWarning, match="9 problems .left out. and 2 notes") as caught:
        images = image_folder(broken, image_size=(10, 14))
    assert len(caught) == 1 and "not an image" in str(caught[0].message)
    assert {p.path: p.kind for p in images.problems if not p.usable} == PROBLEMS
    assert {p.path: p.kind for p in images.problems if p.usable} == NOTES
    assert len(images) == 7 + 3
    assert images.class_names == ("cats", "dogs")
    assert sum(len(x) for x in images.batches(None, 4)) == 10
    table = images.problem_table().splitlines()
    assert table[0].split() == ["file", "problem", "used", "detail"]
    assert len(table) == 1 + 9 + 2
    assert "named .png, the content is JPEG" in images.problem_table()


def test_refuses_problems_but_not_notes(broken, tmp_path):
    with pytest.raises(InputError, match=r"on_problem='refuse'(.|\n)*cats/empty.png +empty +no"):
        image_folder(broken, on_problem="refuse")
    fine = write_folder(tmp_path / "fine", {"a": 1, "b": 1})
    (fine / "a" / "jpeg.png").write_bytes(encode(smooth(), "JPEG"))
    with pytest.warns(UserWarning, match="0 problems .left out. and 1 note in"):
        assert len(image_folder(fine, on_problem="refuse")) == 3


def test_reads_a_csv_file(folder):
    table = folder / "labels.csv"
    table.write_text(
        "\ufeffpath, label\ncats/00.png,tabby\ndogs/00.png,husky\ncats/01.png,tabby\n"
        "cats/gone.png,tabby\ncats/00.png,tabby\ndogs/00.png,tabby\ndogs/01.png,\n",
        encoding="utf-8",
    )
    with pytest.warns(UserWarning, match="3 problems"):
        images = image_folder(table, image_size=8)
    assert images.class_names == ("husky", "tabby")
    assert [path.replace("\\", "/")[-11:] for path in images.paths] == [
        "cats/00.png",
        "cats/01.png",
        "dogs/00.png",
    ]
    assert images.labels.tolist() == [1, 1, 0]
    assert {(p.path, p.kind) for p in images.problems} == {
        ("cats/gone.png", "missing"),
        ("cats/00.png", "listed twice"),
        ("dogs/00.png", "two labels"),
        ("dogs/01.png", "no label"),
    }


def test_split_is_stratified_disjoint_and_reproducible(tmp_path):
    root = write_folder(tmp_path / "many", {"a": 20, "b": 10, "c": 3})
    parts = image_folder(root, image_size=4, split=(0.7, 0.15, 0.15), seed=3)
    assert [np.bincount(part.labels).tolist() for part in parts] == [
        [14, 7, 1],
        [3, 2, 1],
        [3, 1, 1],
    ]
    paths = [path for part in parts for path in part.paths]
    assert len(set(paths)) == len(paths) == 33
    again = image_folder(root, image_size=4, split=(0.7, 0.15, 0.15), seed=3)
    assert [part.paths for part in again] == [part.paths for part in parts]
    other = image_folder(root, image_size=4, split=(0.7, 0.15, 0.15), seed=4)
    assert other[0].paths != parts[0].paths
    moved = root.rename(tmp_path / "elsewhere")
    third = image_folder(moved, image_size=4, split=(0.7, 0.15, 0.15), seed=3)
    names = [[path[-8:] for path in part.paths] for part in (parts[1], third[1])]
    assert names[0] == names[1]


def test_the_split_does_not_depend_on_where_the_files_lie(tmp_path):
    splits = []
    for place in ("here", "far/away"):
        root = write_folder(tmp_path / place / "pets", {"cats": 12, "dogs": 12})
        table = tmp_path / f"{len(splits)}.csv"
        rows = [f"{path},{path.parent.name}" for path in sorted(root.rglob("*.*"))]
        table.write_text("\n".join(["path,label", *rows]))
        parts = image_folder(table, image_size=8, split=(0.5, 0.5), progress=False)
        splits.append([[path.split("pets")[-1] for path in part.paths] for part in parts])
    assert splits[0] == splits[1]


def test_shuffling_is_seeded_and_changes_every_epoch(folder, monkeypatch):
    read_plainly(monkeypatch)
    images = image_folder(folder, image_size=(10, 14))

    def pixels(seed, epoch, part=WHOLE):
        batches = images.batches(SPEC, 4, epochs=Epochs(seed, epoch), part=part)
        return [x.numpy() for x, _ in batches]

    first, again = np.concatenate(pixels(1, 0)), np.concatenate(pixels(1, 0))
    later, other = np.concatenate(pixels(1, 1)), np.concatenate(pixels(2, 0))
    np.testing.assert_array_equal(first, again)
    assert (first != later).any() and (first != other).any()
    np.testing.assert_array_equal(np.sort(first, axis=0), np.sort(later, axis=0))
    halves = [pixels(1, 0, Part(index, 2)) for index in range(2)]
    joined = [np.concatenate(pair) for pair in zip(*halves, strict=True)]
    np.testing.assert_array_equal(np.concatenate(joined), first)


def test_classes_are_matched_by_name(folder):
    images = image_folder(folder, image_size=4)
    turned = TargetSpec("classification", 3, ("dogs", "birds", "cats"))
    np.testing.assert_array_equal(images.encoded_targets(turned), np.eye(3)[[2] * 4 + [0] * 3])
    unnamed = TargetSpec("classification", 2)
    np.testing.assert_array_equal(images.encoded_targets(unnamed), np.eye(2)[images.labels])
    assert images.encoded_targets(None) is None
    for spec, text in [
        (TargetSpec("classification", 2, ("cats", "cows")), r"unknown labels \['dogs'\]"),
        (TargetSpec("classification", 5), "num_classes=5 without class names"),
        (TargetSpec("regression", 1), "one class per image, the model expects regression"),
        ({"pet": SPEC}, r"one class per image, the model expects the tasks \['pet'\]"),
    ]:
        with pytest.raises(InputError, match=text):
            images.batches(spec, 2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"image_size": 0}, "image_size: expected pixels"),
        ({"image_size": 8.5}, "got 8.5"),
        ({"image_size": (8, 8, 3)}, r"got \(8, 8, 3\)"),
        ({"split": (0.7, 0.7)}, r"\(0.7, 0.7\), which sum to 1.4"),
        ({"split": (70, 15, 15)}, r"got \(70, 15, 15\). Divide counts"),
        ({"split": 0.8}, "split: expected fractions above 0 .* got 0.8"),
        ({"split": (0.5, 0.0)}, "fractions above 0"),
        ({"split": (0.2,) * 5}, r"parts of \[2, 2, 2, 1, 0\] images"),
        ({"on_problem": "skipp"}, "got 'skipp'. Did you mean 'skip'"),
    ],
)
def test_wrong_arguments(folder, arguments, text):
    with pytest.raises(InputError, match=text):
        image_folder(folder, **arguments)


def test_wrong_paths(folder, tmp_path):
    (tmp_path / "flat").mkdir()
    noise().save(tmp_path / "flat" / "one.png")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "hollow" / "cats").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("text")
    for name, content in [
        ("columns", "file,label\na.png,cat\n"),
        ("blank", ""),
        ("headless", "path,label\n"),
    ]:
        (tmp_path / f"{name}.csv").write_text(content)
    (tmp_path / "binary.csv").write_bytes(b"path,label\n\xff\xfe\x00,a\n")
    for path, text in [
        (tmp_path / "petz", "'.*petz', which does not exist"),
        (tmp_path / "flat", r"holds 1 image without class subfolders. Expected one subfolder per"),
        (tmp_path / "nothing", "holds no images. Expected one subfolder per class"),
        (tmp_path / "hollow", "subfolders of .* are empty"),
        (tmp_path / "notes.txt", "a file ending in .csv"),
        (tmp_path / "columns.csv", "columns path,label, got file,label. Add or rename path"),
        (tmp_path / "blank.csv", "got an empty file"),
        (tmp_path / "headless.csv", "lists no labelled images"),
        (tmp_path / "binary.csv", "not a CSV file in UTF-8"),
        (42, "expected a folder or a CSV file, got int"),
    ]:
        with pytest.raises(InputError, match=text):
            image_folder(path)


def test_one_class_is_read_to_test_on_and_not_to_train_on(folder, tmp_path, monkeypatch):
    read_plainly(monkeypatch)
    images = image_folder(folder, image_size=16)
    cats = image_folder(write_folder(tmp_path / "one", {"cats": 4}), image_size=16)
    assert cats.class_names == ("cats",) and "cats" in cats.summary() and len(cats) == 4
    model = tl.build_transfer_model(tiny_network(), class_names=images.class_names)
    both, alone = (tl.predict(model, one).rows for one in (images, cats))
    assert [row["label"] for row in alone] == [row["label"] for row in both][:4]
    right = np.mean([row["label"] == "cats" for row in alone])
    report = tl.evaluate(model, cats, verbose=False)
    assert report["accuracy"] == pytest.approx(right)
    report.plot(tmp_path / "report.png")
    with pytest.raises(InputError, match="all examples are of one class, 'cats'; training needs"):
        tl.fine_tune(model, cats, verbose=False)
    tl.fine_tune(model, images, cats, schedule=tl.Stage(1), verbose=False)
    with pytest.raises(InputError, match=r"unknown labels \['cats'\]"):
        tl.evaluate(
            tl.build_transfer_model(tiny_network(), class_names=["a", "b"]), cats, verbose=False
        )


def test_one_class_for_one_output_is_the_one_that_the_model_names(tmp_path, monkeypatch):
    read_plainly(monkeypatch)
    cats = image_folder(write_folder(tmp_path / "one", {"cats": 4}), image_size=16)
    head = {"head": "multi_label"}
    named = tl.build_transfer_model(tiny_network(), class_names=["cats"], **head)
    assert cats.encoded_targets(named.targets).tolist() == [[1.0]] * 4
    assert 0 <= tl.evaluate(named, cats, verbose=False)["exact_match"] <= 1
    with pytest.raises(InputError, match="all examples are of one class, 'cats'"):
        tl.fine_tune(named, cats, verbose=False)
    unnamed = tl.build_transfer_model(tiny_network(), 1, **head)
    with pytest.raises(InputError, match="it is unknown whether that is the class which counts as"):
        tl.evaluate(unnamed, cats, verbose=False)


def test_one_class_is_refused_where_it_is_split_or_may_hold_the_classes(tmp_path):
    one = write_folder(tmp_path / "one", {"cats": 4})
    text = "at least two classes in .* got only the class 'cats'.* Without split, one class is read"
    with pytest.raises(InputError, match=text):
        image_folder(one, split=(0.5, 0.5))
    outer = write_folder(tmp_path / "outer", {"pets/cats": 2, "pets/dogs": 2})
    with pytest.raises(
        InputError, match=r"got only the class 'pets'.* one level deeper: pass '.*p"
    ):
        image_folder(outer)
    file = next((one / "cats").iterdir())
    (tmp_path / "one.csv").write_text(f"path,label\none/cats/{file.name},cats\n")
    assert image_folder(tmp_path / "one.csv").class_names == ("cats",)


def test_images_of_another_size_than_the_models_are_read_again(folder):
    images = image_folder(folder, image_size=24)
    model = tl.build_transfer_model(tiny_network(), class_names=images.class_names)
    with pytest.raises(InputError, match=r"Read the images with image_size=\(16, 16\)"):
        tl.fine_tune(model, images, verbose=False)
    with pytest.raises(InputError, match=r"Read the images with image_size=\(16, 16\)"):
        tl.evaluate(model, images, verbose=False)


def test_all_files_unreadable(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").write_text("no")
    with (
        warnings.catch_warnings(),
        pytest.raises(InputError, match=r"no readable image at all(.|\n)*a/x.jpg +not an image"),
    ):
        warnings.simplefilter("ignore")
        image_folder(tmp_path)


def test_split_labels_are_stable_objects(folder):
    train, test = image_folder(folder, image_size=4, split=(0.5, 0.5))
    assert isinstance(train, ImageFolder) and train.class_names == test.class_names
    assert len(train) + len(test) == 7
