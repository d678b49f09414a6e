"""Data that has changed is other data, whatever the names, sizes and times of its files say."""

import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tl_keras as tl
from tests.data.images import read_plainly
from tl_keras.data import as_examples
from tl_keras.data.domains import DomainExamples
from tl_keras.frozen.feature_pass import FeaturePass
from tl_keras.frozen.frozen_features import stored_features
from tl_keras.frozen.prefix import frozen_prefix
from tl_keras.schedules.freezing import apply_freezing
from tl_keras.training.distributed import agreement
from tl_keras.training.distributed.agreement import check_agreement
from tl_keras.training.runs.identity import shared_content
from tl_keras.utils.errors import InputError

STAGES = (tl.Stage(1, learning_rate=1e-2),)


def small_network():
    """Return a network that is the same each time."""
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    return keras.Model(images, keras.layers.Conv2D(4, 3, strides=4)(scaled))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Eight pictures of two colours, all of one size."""
    read_plainly(monkeypatch)
    random = np.random.default_rng(0)
    for index in range(8):
        pixels = random.integers(0, 99, (16, 16, 3), dtype=np.uint8)
        pixels[..., index % 2] += 100
        path = tmp_path / "pictures" / "ab"[index % 2] / f"{index}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "pictures"


def read(folder):
    return tl.data.image_folder(folder, image_size=16, progress=False)


def swap_classes(folder):
    """Exchange the contents of both classes in place; names, sizes and times stay."""
    for one, other in zip(*(sorted((folder / name).iterdir()) for name in "ab"), strict=True):
        contents, times = zip(*((p.read_bytes(), os.stat(p)) for p in (one, other)), strict=True)
        for path, content, time in zip((one, other), contents[::-1], times, strict=True):
            path.write_bytes(content)
            os.utime(path, ns=(time.st_atime_ns, time.st_mtime_ns))


def train(data, output, cache):
    model = tl.build_transfer_model(small_network(), 2)
    return tl.fine_tune(model, data, schedule=STAGES, output=output, cache=cache, batch_size=4)


def test_a_run_with_swapped_classes_is_another(folder, tmp_path, capsys):
    cache = tl.FeatureCache(folder=tmp_path / "cache")
    train(read(folder), tmp_path / "run", cache)
    again = tl.data.image_folder(folder, image_size=16, progress=False)
    capsys.readouterr()
    train(again, tmp_path / "run", cache)
    assert "this run is finished" in capsys.readouterr().out
    swap_classes(folder)
    for data in (read(folder), again):
        with pytest.raises(InputError, match="the training examples have changed"):
            train(data, tmp_path / "run", cache)


def stored(data, cache):
    model = tl.build_transfer_model(small_network(), 2)
    apply_freezing(model, tl.Stage(1))
    prefix = frozen_prefix(model)
    found = stored_features(prefix, data, model.targets, cache)
    return None if found is None else next(iter(found.batches(model.targets, 8)))


def test_features_of_swapped_files_are_computed_again(folder, tmp_path, capsys):
    cache = tl.FeatureCache(folder=tmp_path / "cache")
    before, _ = stored(read(folder), cache)
    np.testing.assert_array_equal(stored(read(folder), cache)[0], before)
    assert capsys.readouterr().out.count("found in the cache") == 1
    swap_classes(folder)
    after, _ = stored(read(folder), cache)
    assert "found in the cache" not in capsys.readouterr().out
    np.testing.assert_allclose(after, np.roll(before, 4, axis=0), atol=1e-4)


def test_features_of_files_that_change_meanwhile_are_not_kept(
    folder, tmp_path, capsys, monkeypatch
):
    cache = tl.FeatureCache(folder=tmp_path / "cache")
    data = read(folder)
    compute = FeaturePass._compute

    def disturbed(self, *arguments):
        compute(self, *arguments)
        swap_classes(folder)

    monkeypatch.setattr(FeaturePass, "_compute", disturbed)
    assert stored(data, cache) is None
    assert "image files were changed while their features were" in capsys.readouterr().out
    assert not list(cache.features_folder.glob("*/*.npy"))


def worlds(folder):
    """Return kinds of data, and the same kinds with other content of the same length."""
    x = np.random.default_rng(1).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    y = np.arange(8) % 2
    other = x.copy()
    other[7, 15, 15, 2] ^= 1
    arrays = [((x, y), (other, y)), ((x, y), (x, 1 - y))]
    slices = tf.data.Dataset.from_tensor_slices
    yield from arrays
    yield from ((slices(one), slices(two)) for one, two in [*arrays, ((x, y), (x[::-1], y[::-1]))])
    other = shutil.copytree(folder, folder.parent / "other")
    swap_classes(other)
    yield read(folder), read(other)


def test_workers_with_other_data_of_the_same_length_do_not_agree(folder, monkeypatch):
    chief = []

    def agree(data):
        check_agreement(None, shared_content(DomainExamples({"": as_examples(data)}), None))

    def from_chief(strategy, arrays):
        chief.append(arrays)
        return chief[0]

    monkeypatch.setattr(agreement, "from_chief", from_chief)
    for first, second in worlds(folder):
        agree(first)
        agree(first)
        with pytest.raises(InputError, match="content of data: not the same as in worker 0"):
            agree(second)
        chief.clear()
