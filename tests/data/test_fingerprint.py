"""Fingerprints differ where the examples do."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tl_keras as tl
from tl_keras.data import ImageFolder, as_examples
from tl_keras.data.examples import DatasetExamples
from tl_keras.data.files import contents as file_contents
from tl_keras.data.fingerprint import (
    Content,
    add_numbers,
    image_hashes,
)
from tl_keras.utils.errors import InputError


def fingerprint(examples):
    return examples.fingerprint()


def ordered_fingerprint(examples):
    return examples.fingerprint_in_order()


def arrays(dtype="uint8"):
    x = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3)).astype(dtype)
    return x, np.arange(6) % 3


def test_arrays_by_value():
    x, y = arrays()
    names = np.array(["a", "b", "c"])[y]
    kinds = [
        (x, y),
        (x + 1, y),
        (x.astype("float32"), y),
        (x[::-1], y),
        (x.reshape(6, 48), y),
        (x, y[::-1]),
        (x, names),
        (x, np.eye(3)[y]),
        (x, {"one": y}),
        (x, {"two": y}),
        (x, {"one": y, "two": y}),
        (x, [{"a"}, {"b"}, {"a", "b"}, set(), {"c"}, {"a"}]),
        (x, None),
    ]
    first = [fingerprint(as_examples(data)) for data in kinds]
    assert len(set(first)) == len(kinds)
    assert all(len(text) == 32 for text in first)
    again = [fingerprint(as_examples((x.copy(), y))) for x, y in kinds]
    assert again == first


def test_arrays_keep_their_fingerprint_after_use():
    examples = as_examples(arrays())
    before = fingerprint(examples)
    next(iter(examples.batches(None, 2)))
    assert fingerprint(examples) == before


@pytest.fixture
def folder(tmp_path):
    for name in "ab":
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(3):
            pixels = np.full((8, 8, 3), 10 * index + ord(name), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{index}.png")
    return tmp_path / "pictures"


def read(folder, size=8):
    return tl.data.image_folder(folder, image_size=size, progress=False)


def test_folders_by_content_and_labels(folder, tmp_path):
    first = fingerprint(read(folder))
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert fingerprint(read(tmp_path / "elsewhere")) == first
    assert fingerprint(read(folder, size=9)) != first
    os.utime(folder / "a" / "0.png", ns=(0, 0))
    assert fingerprint(read(folder)) == first
    (folder / "a" / "0.png").rename(folder / "a" / "00.png")
    assert fingerprint(read(folder)) == first
    (folder / "a" / "00.png").rename(folder / "b" / "9.png")
    assert fingerprint(read(folder)) != first


def swap(one, other):
    """Exchange the contents of two files of one size; the times stay what they were."""
    contents = [path.read_bytes() for path in (one, other)]
    times = [os.stat(path) for path in (one, other)]
    assert len(contents[0]) == len(contents[1])
    for path, content, time in zip((one, other), contents[::-1], times, strict=True):
        path.write_bytes(content)
        os.utime(path, ns=(time.st_atime_ns, time.st_mtime_ns))


@pytest.mark.parametrize("inspected_again", [True, False])
def test_contents_that_change_places(folder, inspected_again):
    examples = read(folder)
    first = fingerprint(examples)
    swap(folder / "a" / "1.png", folder / "b" / "1.png")
    assert fingerprint(read(folder) if inspected_again else examples) != first
    swap(folder / "a" / "1.png", folder / "b" / "1.png")
    assert fingerprint(examples) == first


def test_files_are_read_once(folder, monkeypatch):
    for path in folder.glob("*/*"):
        os.utime(path, ns=(0, 0))
    monkeypatch.setattr(file_contents, "_SETTLED_NANOSECONDS", 0)
    opened = []
    original = file_contents.open_regular
    monkeypatch.setattr(
        file_contents, "open_regular", lambda p, most: opened.append(p) or original(p, most)
    )
    examples = read(folder)
    assert len(opened) == 6
    first = fingerprint(examples)
    assert fingerprint(examples) == first and len(opened) == 6
    os.utime(folder / "a" / "0.png")
    assert fingerprint(examples) == first and len(opened) == 7


def test_files_that_were_changed_just_now_are_read_again(folder, monkeypatch):
    """A second change within a step of the file system's clock leaves no trace in the times."""
    examples = read(folder)
    first = fingerprint(examples)
    path, other = folder / "a" / "0.png", folder / "b" / "0.png"
    before = os.stat(path)
    path.write_bytes(other.read_bytes())
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda p, **k: before if str(p) == str(path) else stat(p, **k))
    assert fingerprint(examples) != first


def test_files_that_nobody_inspected(folder):
    found = read(folder)
    plain = ImageFolder(found.paths, found.labels, found.class_names, image_size=(8, 8))
    assert fingerprint(plain) == fingerprint(found)


def test_labels_do_not_run_into_each_other(folder):
    paths = read(folder).paths[:2]
    names = [str(number) for number in range(12)]
    prints = {
        fingerprint(ImageFolder(paths, labels, names, image_size=(8, 8)))
        for labels in ([1, 11], [11, 1])
    }
    assert len(prints) == 2


def test_a_file_that_is_gone(folder):
    examples = read(folder)
    (folder / "b" / "2.png").unlink()
    with pytest.raises(InputError, match=r"2\.png' cannot be read: No such file"):
        fingerprint(examples)


def dataset(x, y, batch=None, names=False):
    y = np.array(["a", "b", "c"])[y] if names else y
    data = tf.data.Dataset.from_tensor_slices((x, y))
    return DatasetExamples(data if batch is None else data.batch(batch))


def test_datasets_in_any_order_and_any_batches():
    x, y = arrays()
    first = fingerprint(dataset(x, y))
    order = np.random.default_rng(1).permutation(6)
    assert fingerprint(dataset(x[order], y[order], batch=4)) == first
    others = [
        dataset(x, y[::-1]),
        dataset(x[:5], y[:5]),
        dataset(x + 1, y),
        dataset(x.astype("float32"), y),
        dataset(x, y, names=True),
        dataset(np.concatenate([x, x[:1]]), np.append(y, y[0])),
        DatasetExamples(tf.data.Dataset.from_tensor_slices(x)),
        DatasetExamples(tf.data.Dataset.from_tensor_slices((x, {"one": y}))),
    ]
    assert len({first, *map(fingerprint, others)}) == 1 + len(others)


def test_a_dataset_is_gone_through_once():
    passes = []
    x, y = arrays()

    def examples():
        passes.append(1)
        yield from zip(x, y, strict=True)

    spec = (tf.TensorSpec((4, 4, 3), tf.uint8), tf.TensorSpec((), tf.int64))
    data = DatasetExamples(tf.data.Dataset.from_generator(examples, output_signature=spec))
    assert fingerprint(data) == fingerprint(data) == fingerprint(dataset(x, y))
    assert len(passes) == 1


def test_the_order_counts_where_workers_share_it():
    x, y = arrays()
    first = ordered_fingerprint(dataset(x, y))
    assert ordered_fingerprint(dataset(x.copy(), y)) == first
    others = [dataset(x[::-1], y[::-1]), dataset(x, y[::-1]), dataset(x, y, names=True)]
    assert len({first, *map(ordered_fingerprint, others)}) == 4
    assert ordered_fingerprint(as_examples((x, y))) == fingerprint(as_examples((x, y)))


def test_content_knows_its_images():
    x, y = arrays()
    content = Content()
    content.add(x, y)
    hashes = image_hashes(x)
    assert len(set(hashes)) == 6 and content.has(hashes[2:4])
    assert not content.has(image_hashes(x + 1))
    assert content.images == add_numbers(*hashes[::-1]) == sum(hashes) % 2**128


def test_equal_values_have_equal_hashes_whatever_their_type():
    x, _ = arrays("float64")
    assert image_hashes(x) == image_hashes(x.astype("float32"))
    assert image_hashes(x) != image_hashes(x.astype("uint8"))
