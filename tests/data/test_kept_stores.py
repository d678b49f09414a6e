"""The cache stays within its bound, and the stores used least recently go."""

import os
import shutil
import time

import numpy as np
import pytest

from tl_keras.frozen import kept_stores
from tl_keras.frozen.cache_room import make_room
from tl_keras.frozen.feature_cache import FeatureCache, bytes_of, bytes_of_all
from tl_keras.frozen.feature_layout import Column, Layout
from tl_keras.frozen.feature_store import FeatureStore
from tl_keras.utils.errors import InputError

KEYS = [letter * 64 for letter in "abc"]
LAYOUT = Layout(1000, 1, (Column("x0", (25,), "float32"),), ())


@pytest.fixture
def cache(tmp_path):
    """Three stores of 100 kB, the first used now, the last 20 days ago."""
    cache = FeatureCache(folder=tmp_path)
    for age, key in enumerate(KEYS):
        store = FeatureStore.create(cache.features_folder / key, LAYOUT, {})
        store.write(0, [np.zeros((1000, 25), "float32")])
        used = time.time() - 10 * age * 86_400
        os.utime(store.folder / "meta.json", (used, used))
    return cache


def keys(cache):
    return sorted(path.name for path in cache.features_folder.iterdir())


@pytest.mark.parametrize(("most", "left"), [(10**6, 3), (220_000, 2), (110_000, 1), (0, 0)])
def test_those_used_least_recently_go(cache, most, left):
    removed, total = kept_stores.evict(cache.features_folder, most)
    assert keys(cache) == KEYS[:left]
    assert [one["key"] for one in removed] == KEYS[left:][::-1]
    assert total <= most and total == sum(
        file.stat().st_size for file in cache.features_folder.glob("*/*")
    )


def test_those_in_use_stay(cache):
    store = FeatureStore(cache.features_folder / KEYS[2], LAYOUT)
    used = os.stat(store.folder / "meta.json")
    store.use()
    os.utime(store.folder / "meta.json", (used.st_atime, used.st_mtime))
    removed, total = kept_stores.evict(cache.features_folder, 0)
    assert len(removed) == 2 and keys(cache) == KEYS[2:] and total > 100_000
    store.leave()
    assert kept_stores.evict(cache.features_folder, 0)[1] == 0


def test_one_that_is_taken_into_use_meanwhile_comes_back(cache, monkeypatch):
    folder = cache.features_folder / KEYS[0]
    store = FeatureStore(folder, LAYOUT)
    rename = type(folder).rename

    def late(path, target):
        if path == folder:
            store.use()
        return rename(path, target)

    monkeypatch.setattr(type(folder), "rename", late)
    assert not kept_stores.remove(folder)
    assert store.is_intact(0) and keys(cache) == KEYS


def test_what_a_killed_process_left_goes_too(cache):
    folder = cache.features_folder
    shutil.copytree(folder / KEYS[0], folder / f".removed-1-{KEYS[0]}")
    kept_stores.evict(folder, 10**9)
    assert keys(cache) == KEYS


def test_room_for_a_new_store(cache, monkeypatch):
    said = []
    monkeypatch.setenv("TL_KERAS_CACHE_BYTES", "320kB")
    assert make_room(cache, "d" * 64, LAYOUT, 0, said.append) == ""
    assert keys(cache) == KEYS[:2]
    assert said == [
        "removed 1 store of features used least recently (100.4 kB): the cache may take 320.0 kB "
        "($TL_KERAS_CACHE_BYTES)"
    ]
    assert make_room(cache, KEYS[1], LAYOUT, 100_000, said.append) == ""
    assert keys(cache) == KEYS[:2] and len(said) == 1
    monkeypatch.setenv("TL_KERAS_CACHE_BYTES", "90kB")
    reason = make_room(cache, "d" * 64, LAYOUT, 0, said.append)
    assert reason.endswith("would take 100.0 kB, and the cache may take 90.0 kB here")
    assert keys(cache) == KEYS[:2]
    monkeypatch.setenv("TL_KERAS_CACHE_BYTES", "150kB")
    store = FeatureStore(cache.features_folder / KEYS[0], LAYOUT)
    store.use()
    reason = make_room(cache, "d" * 64, LAYOUT, 0, said.append)
    assert "running processes use 100.4 kB of the 150.0 kB" in reason


def test_sizes_in_words(monkeypatch, tmp_path):
    for text, size in {
        "0": 0,
        "123": 123,
        "20GB": 20 * 10**9,
        "1.5 TiB": 3 * 2**39,
        "7k": 7000,
        "5 mb": 5 * 10**6,
        "12B": 12,
    }.items():
        assert bytes_of(text, "--limit") == size
        monkeypatch.setenv("TL_KERAS_CACHE_BYTES", text)
        assert bytes_of_all(tmp_path) == size
    for text in ("", "GB", "-1", "1e9", "20 apples", "1 ib"):
        with pytest.raises(InputError, match="--limit: expected a size such as 20GB, got"):
            bytes_of(text, "--limit")
    monkeypatch.delenv("TL_KERAS_CACHE_BYTES")
    assert bytes_of_all(tmp_path / "not" / "there") == shutil.disk_usage(tmp_path).total // 2


def test_nothing_but_stores_is_removed(cache, tmp_path):
    features, project = cache.features_folder, tmp_path / "project"
    project.mkdir()
    (project / "uv.lock").write_text("versions")
    own = [features / ".removed-photos" / "cat.jpg", features / "notes" / "a.txt"]
    for file in own:
        file.parent.mkdir()
        file.write_text("mine")
    (features / f".removed-1-{KEYS[0]}").symlink_to(project)
    (features / ("d" * 64)).symlink_to(project)
    left = features / f".removed-2-{KEYS[0]}"
    left.mkdir()
    kept_stores.evict(features, 0)
    assert (project / "uv.lock").read_text() == "versions"
    assert all(file.read_text() == "mine" for file in own)
    assert not left.exists() and not any((features / key).exists() for key in KEYS)
