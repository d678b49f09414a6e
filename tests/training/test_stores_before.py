"""A resumed run reads stored features where it did before, and only there."""

import contextlib
import pathlib
import shutil

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tests.training.crashes import Crash, Stop
from tl_keras.frozen.feature_cache import FeatureCache
from tl_keras.frozen.stores_before import StoresBefore


def train(folder, name, callbacks=()):
    x = np.random.default_rng(0).integers(0, 255, (24, 16, 16, 3)).astype(np.uint8)
    keras.utils.set_random_seed(3)
    model = tl.build_transfer_model(tiny_network(), 3)
    tl.fine_tune(
        model,
        (x, np.arange(24) % 3),
        schedule=tl.Stage(3, unfreeze=0, learning_rate=1e-1),
        batch_size=8,
        callbacks=callbacks,
        output=folder / name,
        cache=FeatureCache(folder=folder / "cache"),
        checkpoints=tl.Checkpoints(steps=1),
        verbose=False,
    )
    return model.get_weights()


@pytest.mark.parametrize("before", [True, False])
def test_a_cache_that_comes_or_goes_changes_no_bit(tmp_path, before):
    cache = tmp_path / "cache"
    if not before:
        cache.write_bytes(b"in the way")
    whole = train(tmp_path, "whole")
    with pytest.raises(Stop):
        train(tmp_path, "run", [Crash(5)])
    if before:
        shutil.rmtree(cache)
        cache.write_bytes(b"in the way")
    else:
        cache.unlink()
    for one, two in zip(whole, train(tmp_path, "run"), strict=True):
        np.testing.assert_array_equal(one, two)


def test_where_no_place_is_left_a_line_says_so(tmp_path):
    tried = []

    def make(cache):
        tried.append(pathlib.Path(cache.folder))

    with contextlib.ExitStack() as stack, pytest.warns(UserWarning, match="to the last bit"):
        made = StoresBefore([{"training": True}]).make(
            "training", FeatureCache(folder=tmp_path), make, stack
        )
        assert made is None and tried[1].is_dir()
    assert tried[0] == tmp_path and len(tried) == 2 and not tried[1].exists()


def test_a_later_stage_does_as_those_before_it(tmp_path):
    record, stack = [{"training": True}, {}], contextlib.ExitStack()
    (tmp_path / "file").touch()
    cache = FeatureCache(folder=tmp_path / "file")
    with stack:
        made = StoresBefore(record).make(
            "training", cache, lambda c: c.folder if c is not cache else None, stack
        )
        assert pathlib.Path(made).is_dir() and record[1] == {"training": True}
