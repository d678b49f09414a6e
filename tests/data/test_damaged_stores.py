"""A damaged feature store is described again, and its damaged shards are noticed."""

import numpy as np
import pytest

from tl_keras.frozen.feature_layout import Column, Layout
from tl_keras.frozen.feature_store import META_FILE, FeatureStore, describes, read_meta
from tl_keras.frozen.kept_stores import kept_stores
from tools.torture.feature_stores import cases, descriptions

KEY = "a" * 64
LAYOUT = Layout(
    5, 2, (Column("x0", (3,), "float32"), Column("x1", (), "bfloat16")), (Column("y0", (2,), "f4"),)
)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(Layout, "shard_examples", 4)
    return filled(tmp_path / KEY)


def filled(folder):
    store = FeatureStore.create(folder, LAYOUT, {"model": "tiny"})
    for shard in range(LAYOUT.shards):
        store.write(shard, arrays(shard), images=shard)
    return store


def arrays(shard):
    random = np.random.default_rng(shard)
    shapes = [LAYOUT.shape_in(shard, column) for column in LAYOUT.columns]
    values = [random.integers(1, 2**16, shape) for shape in shapes]
    return [v.astype(c.stored_dtype) for v, c in zip(values, LAYOUT.columns, strict=True)]


def intact(store):
    return [n for n in range(LAYOUT.shards) if store.is_there(n) and store.is_intact(n)]


def test_every_bit_of_the_description(store):
    marker = store.folder / META_FILE
    original = marker.read_bytes()
    tried = 0
    for name, content in descriptions(original):
        marker.write_bytes(content)
        assert read_meta(store.folder) == {}, name
        assert FeatureStore.open(store.folder) is None, name
        tried += 1
        if tried % 40 == 0 or not name.startswith("bit"):
            (listed,) = kept_stores(store.folder.parent)
            assert listed["model"] == "unknown", name
            again = FeatureStore.create(store.folder, LAYOUT, {"model": "tiny"})
            assert again.was_repaired and again.layout == LAYOUT, name
            assert marker.read_bytes() == original
    assert tried > 8 * len(original) and intact(store) == [0, 1]


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
def test_damaged_files(store, case):
    case.damage(store.folder)
    again = FeatureStore.create(store.folder, LAYOUT, {"model": "tiny"})
    missing = case.name == "meta.json/missing"
    assert again.was_repaired is (case.name.startswith("meta.json") and not missing)
    assert describes(read_meta(store.folder), LAYOUT)
    assert intact(again) == list(range(LAYOUT.shards - case.shards))
    for shard in range(LAYOUT.shards - case.shards, LAYOUT.shards):
        again.discard(shard)
        again.write(shard, arrays(shard))
    assert intact(again) == [0, 1]
    for found, expected in zip(again.load(1), arrays(1), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_store_of_another_layout_is_described_again(store):
    other = Layout(6, 2, LAYOUT.x, LAYOUT.y)
    assert FeatureStore.create(store.folder, other, {}).was_repaired
    assert not FeatureStore.create(store.folder, other, {}).was_repaired
