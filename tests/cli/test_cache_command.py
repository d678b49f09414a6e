"""Listing and clearing stored features, and nothing else."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from tl_keras.frozen.feature_layout import Column, Layout
from tl_keras.frozen.feature_store import FeatureStore

KEYS = ("a" * 64, "b" * 64, "c" * 64)
DAY = 86_400


@pytest.fixture
def features(tmp_path, monkeypatch):
    """A cache with three stores, last used 0, 10 and 20 days ago, and other things beside them."""
    monkeypatch.setenv("TL_KERAS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "features"
    for age, key in enumerate(KEYS):
        layout = Layout(100, 1 + age, (Column("x0", (25,), "float32"),), ())
        store = FeatureStore.create(folder / key, layout, {"model": f"net{age}, all blocks"})
        store.write(0, [np.zeros(layout.shape_in(0, layout.x[0]), "float32")])
        used = time.time() - 10 * age * DAY
        os.utime(folder / key / "meta.json", (used, used))
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").write_text("mine")
    (folder / ("d" * 64)).write_text("a file")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "photo.jpg").write_text("photo")
    (folder / ("e" * 64)).symlink_to(tmp_path / "outside")
    return folder


def others_are_there(features):
    outside = features.parents[1] / "outside" / "photo.jpg"
    mine = features / "notes" / "mine.txt"
    return outside.exists() and mine.exists() and (features / ("d" * 64)).exists()


def test_stores_are_listed_by_their_last_use(features, tl_keras_cli):
    code, out, _ = tl_keras_cli("cache")
    lines = out.splitlines()
    assert code == 0
    assert [line[:12] for line in lines[2:5]] == [key[:12] for key in KEYS]
    assert "net0, all blocks" in lines[2] and lines[2].endswith(" 10.4 kB")
    assert "100 × 3 views" in lines[4]
    assert lines[-1].startswith("3 stores, 6") and str(features) in lines[-1]


def test_json(features, tl_keras_cli):
    code, out, _ = tl_keras_cli("cache", "--json", "--older-than", "5")
    listed = json.loads(out)
    assert code == 0 and listed["cleared"] == []
    assert [one["key"] for one in listed["stores"]] == list(KEYS[1:])
    assert listed["stores"][0]["bytes"] > 20_000


def test_clearing_takes_stores_and_nothing_else(features, tl_keras_cli):
    code, out, _ = tl_keras_cli("cache", "--clear")
    assert code == 0 and out.startswith("cleared 3 stores, 6")
    assert not any((features / key).exists() for key in KEYS)
    assert others_are_there(features)
    assert tl_keras_cli("cache")[1].startswith("no stored features in")


def test_clearing_what_is_old(features, tl_keras_cli):
    code, out, _ = tl_keras_cli("cache", "--clear", "--older-than", "15")
    assert code == 0 and "cleared 1 store, " in out
    assert [(features / key).exists() for key in KEYS] == [True, True, False]


def test_a_limit(features, tl_keras_cli):
    code, out, _ = tl_keras_cli("cache", "--limit", "35 kB")
    assert code == 0 and out.startswith("cleared 1 store, 30.")
    assert [(features / key).exists() for key in KEYS] == [True, True, False]
    assert others_are_there(features)
    code, _, error = tl_keras_cli("cache", "--limit", "much")
    assert code == 2 and "--limit: expected a size such as 20GB" in error
    code, _, error = tl_keras_cli("cache", "--limit", "1GB", "--clear")
    assert code == 2 and "cannot be combined" in error


def test_what_a_process_uses_is_left_alone(features, tl_keras_cli):
    code = (
        "import pathlib, time\n"
        "from tl_keras.frozen.feature_store import FeatureStore\n"
        f"features = pathlib.Path({str(features)!r})\n"
        f"one, other = (FeatureStore.open(features / key) for key in {KEYS[1:]!r})\n"
        "other.use()\n"
        "lock = one.lock(0)\n"
        "print(lock.acquire(), flush=True)\n"
        "time.sleep(600)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "True\n"
        _, out, _ = tl_keras_cli("cache", "--clear")
    finally:
        other.kill()
        other.wait()
    assert "cleared 1 store, " in out and "because a running process uses them" in out
    assert [(features / key).exists() for key in KEYS] == [False, True, True]
    tl_keras_cli("cache", "--clear")
    assert not any((features / key).exists() for key in KEYS)


def test_another_folder(features, tl_keras_cli, tmp_path):
    code, out, _ = tl_keras_cli("cache", "--clear", "--folder", tmp_path / "empty")
    assert code == 0 and "cleared 0 stores" in out
    assert (features / KEYS[0]).exists()


def test_a_store_that_says_nothing_is_listed_and_cleared(features, tl_keras_cli):
    (features / KEYS[0] / "meta.json").write_text("{")
    assert "unknown" in tl_keras_cli("cache")[1]
    assert "cleared 3 stores" in tl_keras_cli("cache", "--clear")[1]


def test_a_number_of_days_that_is_none(features, tl_keras_cli):
    code, _, error = tl_keras_cli("cache", "--clear", "--older-than", "-1")
    assert code == 2 and "older-than" in error
    assert (features / KEYS[0]).exists()
