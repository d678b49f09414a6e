"""A shard is there as it was written, or not at all."""

import dataclasses
import json

import numpy as np
import pytest

from tl_keras.frozen import feature_store
from tl_keras.frozen.feature_cache import (
    FeatureCache,
    features_folder,
    free_bytes,
    size_text,
    time_text,
)
from tl_keras.frozen.feature_layout import SHARD_BYTES, Column, Layout
from tl_keras.frozen.feature_store import FeatureStore, read_meta
from tl_keras.utils.errors import InputError
from tl_keras.utils.locks import is_locked


def layout(count=10, views=1, side=4, monkeypatch=None):
    columns = (Column("x0", (side, 2), "float32"), Column("x1", (), "bfloat16"))
    return Layout(count, views, columns, (Column("y0", (3,), "float32"),))


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(Layout, "shard_examples", 4)
    return FeatureStore.create(tmp_path / "store", layout(views=2), {"model": "tiny"})


def arrays_of(store, shard, seed=0):
    random = np.random.default_rng(seed + shard)
    shapes = [store.layout.shape_in(shard, column) for column in store.layout.columns]
    return [
        random.normal(size=shapes[0]).astype("float32"),
        random.integers(0, 2**16, shapes[1]).astype("uint16"),
        random.normal(size=shapes[2]).astype("float32"),
    ]


def names(store):
    return sorted(path.name for path in store.folder.iterdir())


@pytest.mark.parametrize("side", [1, 7, 1000, 3_000_000, 30_000_000])
def test_shards_hold_all_examples_and_are_of_moderate_size(side):
    one = layout(count=1000, side=side)
    assert [n for shard in range(one.shards) for n in one.examples_of(shard)] == list(range(1000))
    assert one.shard_examples == 1 or one.shard_examples * one.example_bytes <= SHARD_BYTES
    assert 2 * one.shard_examples * one.example_bytes > SHARD_BYTES
    assert one.shard_examples & (one.shard_examples - 1) == 0


def test_sizes_are_sums_over_columns_and_views():
    assert layout(views=1).bytes == 10 * (4 * 2 * 4 + 2 + 3 * 4)
    assert layout(views=3).bytes == 3 * layout(views=1).bytes


def test_a_layout_goes_through_json():
    for tasks in (None, ("a",)):
        one = dataclasses.replace(layout(), tasks=tasks)
        assert Layout.from_json(json.loads(json.dumps(dataclasses.asdict(one)))) == one


def test_what_is_written_is_read(store):
    assert not store.is_there(1)
    store.write(1, arrays_of(store, 1), images=2**100 + 1)
    assert store.is_there(1) and store.is_intact(1)
    for found, expected in zip(store.load(1), arrays_of(store, 1), strict=True):
        assert isinstance(found, np.memmap)
        np.testing.assert_array_equal(found, expected)
    assert store.images_of(1) == 2**100 + 1
    assert store.bytes_there() == 4 * store.layout.example_bytes
    store.write(2, arrays_of(store, 2))
    assert store.bytes_there() == 6 * store.layout.example_bytes


def test_the_files_are_numpys_own(store):
    store.write(0, arrays_of(store, 0))
    found = np.load(store.folder / "000000.x0.npy")
    np.testing.assert_array_equal(found, arrays_of(store, 0)[0])


def test_every_damaged_byte_is_noticed(store):
    store.write(0, arrays_of(store, 0))
    for path in sorted(store.folder.glob("000000.*.npy")):
        content = path.read_bytes()
        for place in (0, 8, 20, 128, len(content) // 2, len(content) - 1):
            damaged = bytearray(content)
            damaged[place] ^= 0b100
            path.write_bytes(damaged)
            assert not store.is_intact(0)
        for size in (0, 50, 128, len(content) - 1):
            path.write_bytes(content[:size])
            assert not store.is_intact(0)
        path.write_bytes(content)
        assert store.is_intact(0)


def test_a_shard_of_another_shape_is_not_written(store):
    with pytest.raises(ValueError, match="shard 2: x0 has the shape"):
        store.write(2, arrays_of(store, 1))
    assert names(store) == ["meta.json"]


@pytest.mark.parametrize("column", ["x0", "y0"])
def test_nothing_is_left_of_a_shard_that_cannot_be_written(store, monkeypatch, column):
    original = feature_store._save

    def save(file, array):
        if f".{column}." in file.name:
            file.write(b"half")
            raise OSError(28, "No space left on device")
        original(file, array)

    monkeypatch.setattr(feature_store, "_save", save)
    with pytest.raises(OSError, match="No space"):
        store.write(0, arrays_of(store, 0))
    assert names(store) == ["meta.json"]


def test_what_a_killed_process_left_goes_with_the_shard(store):
    (store.folder / ".partial-99-1.000001.x0.npy").write_bytes(b"half")
    (store.folder / "000001.x0.npy").write_bytes(b"whole")
    assert not store.is_there(1)
    store.discard(1)
    assert names(store) == ["meta.json"]


def test_a_store_is_opened_as_it_was_made(store):
    found = FeatureStore.open(store.folder)
    assert found.layout == store.layout
    assert read_meta(store.folder)["model"] == "tiny"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 1, "layout": {}}', None])
def test_a_store_that_says_nothing_is_none(store, text):
    path = store.folder / "meta.json"
    path.unlink() if text is None else path.write_text(text)
    assert FeatureStore.open(store.folder) is None


def test_a_store_of_another_version_is_none(store, monkeypatch):
    monkeypatch.setattr(feature_store, "STORE_VERSION", 99)
    assert FeatureStore.open(store.folder) is None


def test_a_store_in_use_is_locked(store):
    for left in ("use-1-1.lock", "000000.lock", "pass.lock"):
        (store.folder / left).write_text("")
    store.use()
    (lock,) = store.folder.glob("*.lock")
    assert is_locked(lock)
    store.leave()
    assert names(store) == ["meta.json"]


def test_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TL_KERAS_CACHE", str(tmp_path))
    assert FeatureCache().features_folder == features_folder() == tmp_path / "features"
    monkeypatch.delenv("TL_KERAS_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert features_folder() == tmp_path / "tl_keras" / "features"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert features_folder() == tmp_path / ".cache" / "tl_keras" / "features"
    assert FeatureCache(folder="~/here").features_folder == tmp_path / "here" / "features"


def test_how_much_a_store_may_take(tmp_path):
    assert FeatureCache().bytes_allowed(20 * 2**30) == 17 * 2**30
    assert FeatureCache(max_bytes=5).bytes_allowed(20 * 2**30) == 5
    assert free_bytes(tmp_path / "not" / "there") > 0


@pytest.mark.parametrize(
    ("keywords", "text"),
    [
        ({"precision": "bfloat"}, "precision: expected one of .* Did you mean 'bfloat16'"),
        ({"views": -1}, "views: expected a whole number ≥ 0, got -1"),
        ({"views": 1.5}, "views: expected a whole number"),
        ({"views": None}, "views: expected a whole number"),
        ({"max_bytes": True}, "max_bytes: expected a whole number"),
        ({"folder": 3}, "folder: expected a path or None, got 3"),
    ],
)
def test_settings_that_cannot_be_used(keywords, text):
    with pytest.raises(InputError, match=text):
        FeatureCache(**keywords)


def test_sizes_and_times_in_words():
    assert [size_text(n) for n in (12, 3_400, 13_400_000, 2.5e12)] == [
        "12 bytes",
        "3.4 kB",
        "13.4 MB",
        "2,500.0 GB",
    ]
    assert [time_text(s) for s in (0.1, 14.2, 200, 9000)] == ["1 s", "14 s", "3 min", "2.5 h"]
