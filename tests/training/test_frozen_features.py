"""Frozen layers run once, and what is read back is what they gave."""

import os
import pathlib
import re
import resource
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.data import Epochs, as_examples
from tl_keras.data.examples import Examples
from tl_keras.frozen import feature_store
from tl_keras.frozen.feature_cache import FeatureCache
from tl_keras.frozen.feature_layout import Layout
from tl_keras.frozen.feature_pass import FeaturePass
from tl_keras.frozen.feature_store import FeatureStore
from tl_keras.frozen.frozen_features import stored_features
from tl_keras.frozen.prefix import Prefix, frozen_prefix
from tl_keras.schedules.freezing import apply_freezing
from tl_keras.utils.errors import InputError


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(folder=tmp_path / "cache")


@pytest.fixture
def computed(monkeypatch):
    """Number of examples that the frozen layers ran on."""
    seen = []
    original = FeaturePass._compute

    def counting(self, shard, batches, *rest):
        batches = list(batches)
        seen.append(sum(len(x) for _, x, _ in batches))
        return original(self, shard, batches, *rest)

    monkeypatch.setattr(FeaturePass, "_compute", counting)
    return seen


def small_shards(monkeypatch, examples=8):
    monkeypatch.setattr(Layout, "shard_examples", examples)


def prefix_of(unfreeze=1, network=None, **keywords):
    model = tl.build_transfer_model(network or tiny_network(), 3, **keywords)
    apply_freezing(model, tl.Stage(1, unfreeze=unfreeze))
    return frozen_prefix(model)


def store(prefix, data, cache, **keywords) -> Examples | None:
    return stored_features(prefix, as_examples(data), prefix.model.targets, cache, **keywords)


def rows_of(examples, targets, **keywords):
    x, y = zip(*examples.batches(targets, 7, **keywords), strict=True)
    return np.concatenate([np.asarray(part) for part in x]), np.concatenate(y)


def files(cache):
    return sorted(path.name for path in cache.features_folder.glob("*/*"))


@pytest.mark.parametrize("unfreeze", [0, 1, 2])
def test_values_and_labels_are_those_of_the_layers(blobs, cache, unfreeze):
    x, y = blobs
    prefix = prefix_of(unfreeze)
    stored = store(prefix, blobs, cache, verbose=False)
    assert len(stored) == 45
    values, targets = rows_of(stored, prefix.model.targets)
    np.testing.assert_allclose(values, prefix.lower(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(targets, np.eye(3)[y])
    np.testing.assert_array_equal(stored.encoded_targets(prefix.model.targets), np.eye(3)[y])
    logits = prefix.forward(values).logits
    np.testing.assert_allclose(logits, prefix.model.logits(x), atol=1e-4)


def test_the_order_of_batches_is_that_of_the_images(blobs, cache):
    prefix = prefix_of()
    targets, epochs = prefix.model.targets, Epochs(seed=5, count=2)
    _, expected = rows_of(as_examples(blobs), targets, epochs=epochs)
    _, found = rows_of(store(prefix, blobs, cache, verbose=False), targets, epochs=epochs)
    np.testing.assert_array_equal(found, expected)


def test_a_cut_of_two_tensors(blobs, cache, monkeypatch):
    layers = keras.layers
    images = keras.Input((16, 16, 3))
    inner = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(3, 3, padding="same", name="one"),
            layers.Conv2D(3, 3, padding="same", name="two"),
        ]
    )
    network = keras.Model(images, layers.Add()([inner(images), images]))
    prefix = prefix_of(network=network)
    for memory in (2**26, 0):
        monkeypatch.setattr("tl_keras.frozen.stored_examples.MEMORY_BYTES", memory)
        stored = store(prefix, blobs, cache, verbose=False)
        for x, _ in stored.batches(prefix.model.targets, 45):
            assert isinstance(x, tuple) and len(x) == 2
            expected = prefix.model.forward(blobs[0]).logits
            np.testing.assert_allclose(prefix.forward(x).logits, expected, rtol=1e-4, atol=1e-4)


def test_examples_without_labels(blobs, cache):
    prefix = prefix_of()
    stored = stored_features(prefix, as_examples(blobs[0]), None, cache, verbose=False)
    values = np.concatenate(list(stored.batches(None, 10)))
    np.testing.assert_allclose(values, prefix.lower(blobs[0]), rtol=1e-4, atol=1e-4)
    assert stored.encoded_targets(prefix.model.targets) is None


def test_several_tasks(blobs, cache):
    x, y = blobs
    model = tl.build_transfer_model(tiny_network(), {"b": 2, "a": 3})
    apply_freezing(model, tl.Stage(1))
    examples = as_examples((x, {"a": y, "b": y % 2}))
    stored = stored_features(frozen_prefix(model), examples, model.targets, cache, verbose=False)
    _, targets = next(iter(stored.batches(model.targets, 45)))
    np.testing.assert_array_equal(targets["a"], np.eye(3)[y])
    np.testing.assert_array_equal(targets["b"], np.eye(2)[y % 2])
    with pytest.raises(InputError, match="came with targets for"):
        stored.batches(model.targets["a"], 4)


def test_other_types_than_float32(blobs, cache):
    for policy in ("mixed_bfloat16", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        try:
            prefix = prefix_of()
        finally:
            keras.config.set_dtype_policy("float32")
        for x, _ in (
            store(prefix, blobs, cache, verbose=False).batches(None, 45).map(lambda x: (x, 0))
        ):
            assert x.dtype == policy.removeprefix("mixed_")
            expected = tf.cast(prefix.lower(blobs[0]), tf.float32)
            np.testing.assert_allclose(tf.cast(x, tf.float32), expected, rtol=0.05, atol=0.05)


def test_a_line_says_what_happens_and_the_second_time_nothing_runs(blobs, cache, computed, capsys):
    prefix = prefix_of()
    store(prefix, blobs, cache)
    assert "features of 45 images: 92.7 kB\n" in capsys.readouterr().out
    store(prefix_of(), blobs, cache)
    assert capsys.readouterr().out == "features of 45 images: found in the cache\n"
    assert computed == [45]


def test_time_is_foretold_from_two_batches(cache, capsys):
    x = np.random.default_rng(0).integers(0, 256, (150, 16, 16, 3), np.uint8)
    store(prefix_of(), (x, np.arange(150) % 3), cache)
    out = capsys.readouterr().out
    assert re.search(r"^features of 150 images: 309\.0 kB, about \d+ s$", out, re.MULTILINE)


@pytest.mark.parametrize("change", ["weights", "images", "labels", "unfreeze", "preprocessing"])
def test_what_has_changed_is_not_read(blobs, cache, computed, change):
    x, y = blobs
    store(prefix_of(), blobs, cache, verbose=False)
    prefix = prefix_of(2 if change == "unfreeze" else 1)
    if change == "preprocessing":
        prefix = prefix_of(preprocessing=tl.preprocessing.unit_range())
    if change == "weights":
        bias = prefix.model.backbone.get_layer("stem").bias
        bias.assign(bias + 1e-3)
    if change == "images":
        x = x.copy()
        x[44, 15, 15, 2] += 1
    if change == "labels":
        y = (y + 1) % 3
    values, targets = rows_of(store(prefix, (x, y), cache, verbose=False), prefix.model.targets)
    assert computed == [45, 45]
    np.testing.assert_allclose(values, prefix.lower(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(targets, np.eye(3)[y])


def test_weights_above_the_cut_make_no_difference(blobs, cache, computed):
    store(prefix_of(), blobs, cache, verbose=False)
    network = tiny_network()
    network.get_layer("block2_conv").bias.assign(np.ones(8))
    store(prefix_of(network=network), blobs, cache, verbose=False)
    assert computed == [45]


def test_an_interrupted_store_goes_on_where_it_was(blobs, cache, computed, monkeypatch):
    small_shards(monkeypatch)
    original = FeatureStore.write

    def interrupted(self, shard, arrays, images=0):
        if shard == 3:
            raise KeyboardInterrupt
        original(self, shard, arrays, images)

    monkeypatch.setattr(FeatureStore, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store(prefix_of(), blobs, cache, verbose=False)
    assert not [name for name in files(cache) if name.endswith(".lock")]
    monkeypatch.setattr(FeatureStore, "write", original)
    prefix = prefix_of()
    values, _ = rows_of(store(prefix, blobs, cache, verbose=False), prefix.model.targets)
    assert computed == [8, 8, 8, 8, 8, 8, 5]
    np.testing.assert_allclose(values, prefix.lower(blobs[0]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing", "record"])
def test_a_damaged_shard_is_computed_again(blobs, cache, computed, monkeypatch, damage):
    small_shards(monkeypatch)
    store(prefix_of(), blobs, cache, verbose=False)
    computed.clear()
    (path,) = cache.features_folder.glob("*/000002.x0.npy")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:-100])
    elif damage == "flipped":
        content[-1000] ^= 1
        path.write_bytes(content)
    elif damage == "missing":
        path.unlink()
    else:
        path.with_name("000002.json").write_text("{")
    prefix = prefix_of()
    values, _ = rows_of(store(prefix, blobs, cache, verbose=False), prefix.model.targets)
    assert computed == [8]
    np.testing.assert_allclose(values, prefix.lower(blobs[0]), rtol=1e-4, atol=1e-4)


def test_damage_is_said_and_mended(blobs, cache, computed, monkeypatch, capsys):
    small_shards(monkeypatch)
    prefix = prefix_of()
    store(prefix, blobs, cache)
    (marker,) = cache.features_folder.glob("*/meta.json")
    marker.write_text(marker.read_text().replace('"count": 45', '"count": 44'))
    computed.clear()
    capsys.readouterr()
    store(prefix, blobs, cache)
    lines = capsys.readouterr().out.splitlines()
    assert "meta.json) was damaged and is written again" in lines[0] and computed == []
    assert lines[1:] == ["features of 45 images: found in the cache"]
    for shard in (1, 3):
        marker.with_name(f"{shard:06}.y0.npy").write_bytes(b"")
    store(prefix, blobs, cache)
    out = capsys.readouterr().out
    assert out == "features of 45 images: 2 of 6 shards damaged, computed again\n"
    assert computed == [8, 8]


def test_the_bound_of_the_cache(blobs, cache, monkeypatch, capsys):
    monkeypatch.setenv("TL_KERAS_CACHE_BYTES", "150kB")
    store(prefix_of(), blobs, cache)
    store(prefix_of(2), blobs, cache)
    assert "removed 1 store of features used least recently" in capsys.readouterr().out
    assert len(list(cache.features_folder.iterdir())) == 1
    monkeypatch.setenv("TL_KERAS_CACHE_BYTES", "much")
    with pytest.raises(InputError, match="TL_KERAS_CACHE_BYTES: expected a size such as 20GB"):
        store(prefix_of(0), blobs, cache)


def test_shards_of_another_process_are_left_to_it(blobs, cache, computed, monkeypatch):
    small_shards(monkeypatch)
    prefix = prefix_of()
    store(prefix, blobs, cache, verbose=False)
    (folder,) = cache.features_folder.iterdir()
    theirs = FeatureStore.open(folder)
    kept = [np.array(array) for array in theirs.load(1)]
    theirs.discard(1)
    lock = theirs.lock(1)
    assert lock.acquire()
    computed.clear()
    waited = []

    def finish(seconds):
        waited.append(seconds)
        theirs.write(1, kept)
        lock.release()

    monkeypatch.setattr("tl_keras.frozen.feature_pass.time.sleep", finish)
    values, _ = rows_of(store(prefix, blobs, cache, verbose=False), prefix.model.targets)
    assert computed == [] and len(waited) == 1
    np.testing.assert_allclose(values, prefix.lower(blobs[0]), rtol=1e-4, atol=1e-4)


def test_shards_of_a_process_that_died_are_taken_over(blobs, cache, computed, monkeypatch):
    small_shards(monkeypatch)
    prefix = prefix_of()
    store(prefix, blobs, cache, verbose=False)
    (folder,) = cache.features_folder.iterdir()
    theirs = FeatureStore.open(folder)
    theirs.discard(1)
    lock = theirs.lock(1)
    assert lock.acquire()
    computed.clear()
    monkeypatch.setattr("tl_keras.frozen.feature_pass.time.sleep", lambda seconds: lock.release())
    store(prefix, blobs, cache, verbose=False)
    assert computed == [8]


def shuffled(blobs):
    data = tf.data.Dataset.from_tensor_slices(blobs)
    return data.shuffle(45, reshuffle_each_iteration=True).batch(4)


def assert_same_examples(found, expected):
    """Check that values and labels are the expected ones, each once, in whatever order."""
    (values, labels), (expected_values, expected_labels) = found, expected
    flat, expected_flat = (v.reshape(len(v), -1) for v in (values, expected_values))
    distances = np.abs(flat[:, None] - expected_flat[None]).max(axis=2)
    rows = distances.argmin(axis=1)
    assert sorted(rows) == list(range(len(expected_values)))
    assert distances.min(axis=1).max() < 1e-4
    np.testing.assert_array_equal(labels, expected_labels[rows])


def test_a_dataset_that_shuffles_itself(blobs, cache, computed, monkeypatch):
    small_shards(monkeypatch)
    x, y = blobs
    prefix = prefix_of()
    expected = np.asarray(prefix.lower(x)), np.eye(3)[y]
    for _ in range(2):
        found = rows_of(store(prefix, shuffled(blobs), cache, verbose=False), prefix.model.targets)
        assert_same_examples(found, expected)
    assert sum(computed) == 45
    (folder,) = cache.features_folder.iterdir()
    FeatureStore.open(folder).discard(2)
    found = rows_of(store(prefix, shuffled(blobs), cache, verbose=False), prefix.model.targets)
    assert_same_examples(found, expected)
    assert sum(computed) >= 90


def test_a_dataset_in_a_fixed_order_is_taken_up_shard_by_shard(blobs, cache, computed, monkeypatch):
    small_shards(monkeypatch)
    prefix, data = prefix_of(), tf.data.Dataset.from_tensor_slices(blobs)
    store(prefix, data, cache, verbose=False)
    (folder,) = cache.features_folder.iterdir()
    FeatureStore.open(folder).discard(2)
    computed.clear()
    store(prefix, data, cache, verbose=False)
    assert computed == [8]


def test_a_dataset_that_augments_itself_is_not_stored(blobs, cache, capsys):
    random = np.random.default_rng(0)

    def examples():
        for x, y in zip(*blobs, strict=True):
            yield x + random.random(x.shape, "float32"), y

    spec = (tf.TensorSpec((16, 16, 3), tf.float32), tf.TensorSpec((), tf.int64))
    data = tf.data.Dataset.from_generator(examples, output_signature=spec)
    assert store(prefix_of(), data, cache) is None
    assert "in every epoch: the data gives other images in each pass" in capsys.readouterr().out
    assert not [name for name in files(cache) if name.endswith((".npy", ".lock"))]


def test_random_layers_are_not_stored(blobs, cache, capsys):
    layers = keras.layers
    images = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, name="one")(layers.RandomFlip(name="flip")(images))
    network = keras.Model(images, layers.Conv2D(4, 3, name="two")(x))
    assert store(prefix_of(network=network), blobs, cache) is None
    assert "in every epoch: the layer 'flip' among them is random" in capsys.readouterr().out


def test_augmentation_without_views_is_not_stored(blobs, cache, capsys):
    flip = keras.layers.RandomFlip()
    assert store(prefix_of(), blobs, cache, augmentation=[flip]) is None
    assert "cache=FeatureCache(views=4) keeps four" in capsys.readouterr().out


def test_augmented_views(blobs, tmp_path, computed):
    x, y = blobs
    cache = FeatureCache(folder=tmp_path, views=3)
    flip = keras.layers.RandomFlip("horizontal")
    prefix = prefix_of(2)
    targets = prefix.model.targets
    stored = store(prefix, blobs, cache, augmentation=[flip], seed=1, verbose=False)
    assert len(stored) == 45
    np.testing.assert_array_equal(stored.encoded_targets(targets), np.eye(3)[y])
    ways = [np.asarray(prefix.lower(images)) for images in (x, x[:, :, ::-1])]
    views = []
    for epoch in range(4):
        epochs = Epochs(seed=2, first=epoch)
        values, labels = rows_of(stored, targets, epochs=epochs)
        images, expected = rows_of(as_examples(blobs), targets, epochs=epochs)
        np.testing.assert_array_equal(labels, expected)
        rows = [int(np.flatnonzero((x == image).all(axis=(1, 2, 3)))[0]) for image in images]
        near = np.array(
            [
                [np.abs(value - way[row]).max() < 1e-3 for way in ways]
                for value, row in zip(values, rows, strict=True)
            ]
        )
        assert near.any(axis=1).all() and near.all(axis=0).sum() == 0
        views.append(near[np.argsort(rows), 1])
    assert (views[0] != views[1]).any() and (views[1] != views[2]).any()
    np.testing.assert_array_equal(views[0], views[3])
    again = keras.layers.RandomFlip("horizontal")
    store(prefix, blobs, cache, augmentation=[again], seed=1, verbose=False)
    assert sum(computed) == 45
    store(prefix, blobs, cache, augmentation=[again], seed=2, verbose=False)
    store(prefix, blobs, cache, augmentation=[keras.layers.RandomFlip()], seed=1, verbose=False)
    assert sum(computed) == 3 * 45


def test_mixed_labels_belong_to_their_view(blobs, tmp_path):
    cache = FeatureCache(folder=tmp_path, views=2)
    prefix = prefix_of(2)
    stored = store(prefix, blobs, cache, augmentation=[keras.layers.MixUp()], verbose=False)
    _, labels = rows_of(stored, prefix.model.targets)
    np.testing.assert_allclose(labels.sum(axis=1), 1.0, atol=1e-5)
    assert (labels.max(axis=1) < 0.99).any()


def test_a_store_that_would_be_too_large(blobs, tmp_path, capsys):
    cache = FeatureCache(folder=tmp_path / "cache", max_bytes=90_000)
    assert store(prefix_of(), blobs, cache) is None
    out = capsys.readouterr().out
    assert "features of 45 images would take 92.7 kB, and the cache may take 90.0 kB" in out
    assert not files(cache)


def test_a_disk_that_is_full(blobs, cache, capsys, monkeypatch):
    small_shards(monkeypatch)
    original = feature_store._save

    def save(file, array):
        if "000003" in file.name:
            file.write(b"half")
            raise OSError(28, "No space left on device")
        original(file, array)

    monkeypatch.setattr(feature_store, "_save", save)
    assert store(prefix_of(), blobs, cache) is None
    assert "cannot be written (No space left on device)" in capsys.readouterr().out
    assert files(cache) == ["meta.json"]


def test_a_folder_that_cannot_be_made(blobs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert store(prefix_of(), blobs, FeatureCache(folder=tmp_path / "file")) is None
    assert "cannot be written (Not a directory)" in capsys.readouterr().out


def test_a_backbone_that_gives_no_numbers(blobs, cache):
    network = tiny_network()
    network.get_layer("stem").kernel.assign(np.full((3, 3, 3, 8), np.nan, "float32"))
    with pytest.raises(InputError, match="gives NaN or infinity for 45 of 45 images"):
        store(prefix_of(network=network), blobs, cache, verbose=False)
    assert files(cache) == ["meta.json"]


def test_a_saved_model(blobs, cache, tmp_path):
    tiny_network().export(tmp_path / "module", verbose=False)
    for _ in range(2):
        model = tl.build_transfer_model(str(tmp_path / "module"), 3, input_shape=(16, 16, 3))
        apply_freezing(model, tl.Stage(1))
        prefix = frozen_prefix(model)
        values, _ = rows_of(store(prefix, blobs, cache, verbose=False), model.targets)
        np.testing.assert_allclose(values, prefix.lower(blobs[0]), rtol=1e-4, atol=1e-4)
    assert len(list(cache.features_folder.iterdir())) == 1


def test_images_of_any_size(blobs, cache):
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, name="one")(images)
    network = keras.Model(images, keras.layers.Conv2D(4, 3, name="two")(x))
    prefix = prefix_of(network=network)
    values, _ = rows_of(store(prefix, blobs, cache, verbose=False), prefix.model.targets)
    np.testing.assert_allclose(values, prefix.lower(blobs[0]), rtol=1e-4, atol=1e-3)


def test_mirrored_models(blobs, cache, two_devices):
    with two_devices.scope():
        prefix = prefix_of()
        stored = store(prefix, blobs, cache, verbose=False)
    values, _ = rows_of(stored, prefix.model.targets)
    np.testing.assert_allclose(values, prefix.lower(blobs[0]), rtol=1e-4, atol=1e-4)


def many_small_shards(monkeypatch):
    small_shards(monkeypatch, 4)
    random = np.random.default_rng(0)
    return random.integers(0, 256, (96, 16, 16, 3), np.uint8), np.arange(96) % 3


def fill_and_compare(folder, monkeypatch):
    """Store features beside another process that does the same."""
    x, y = many_small_shards(monkeypatch)
    prefix = prefix_of()
    stored = store(prefix, (x, y), FeatureCache(folder=folder), verbose=False)
    values, targets = rows_of(stored, prefix.model.targets)
    np.testing.assert_allclose(values, prefix.lower(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(targets, np.eye(3)[y])


PROGRAM = """
    import sys
    from tests.training.test_frozen_features import *
    print("ready", flush=True)
    sys.stdin.readline()
    fill_and_compare(sys.argv[1], pytest.MonkeyPatch())
    print("right")
"""


@pytest.mark.slow
def test_two_processes_share_a_store(tmp_path, monkeypatch):
    root = pathlib.Path(tl.__file__).parents[1]
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert other.stdout.readline() == "ready\n"
    other.stdin.write("now\n")
    other.stdin.flush()
    fill_and_compare(tmp_path, monkeypatch)
    out, _ = other.communicate(timeout=300)
    assert other.returncode == 0 and "right" in out
    (folder,) = (tmp_path / "features").iterdir()
    assert len(list(folder.glob("*.x0.npy"))) == 24
    assert not list(folder.glob("*.lock")) and not list(folder.glob(".*"))


def test_files_that_may_not_grow(tmp_path, monkeypatch, capsys):
    examples, prefix = many_small_shards(monkeypatch), prefix_of()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        stored = store(prefix, examples, FeatureCache(folder=tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert stored is None and "cannot be written (File too large)" in capsys.readouterr().out
    assert not list((tmp_path / "features").glob("*/*.npy"))


def test_the_prefix_of_a_whole_model_is_pooled(blobs, cache):
    prefix = prefix_of(0)
    assert isinstance(prefix, Prefix)
    x, _ = next(iter(store(prefix, blobs, cache, verbose=False).batches(prefix.model.targets, 5)))
    assert tuple(x.shape) == (5, 8)
