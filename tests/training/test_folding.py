"""A folded graph computes what the layers compute."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.frozen import folding
from tl_keras.frozen.folding import fold, has_amx
from tl_keras.frozen.prefix import frozen_prefix
from tl_keras.schedules.freezing import apply_freezing
from tl_keras.utils.errors import InputError

IMAGES = tf.TensorSpec([None, 16, 16, 3], tf.uint8)


def pixels(count=5):
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3)).astype("uint8")


def silent(line):
    raise AssertionError(line)


def prefix_of(unfreeze=0, network=None):
    model = tl.build_transfer_model(network or tiny_network(), 3)
    apply_freezing(model, tl.Stage(1, unfreeze=unfreeze))
    return frozen_prefix(model)


@pytest.mark.parametrize("unfreeze", [0, 1])
def test_the_results_are_those_of_the_layers(unfreeze):
    prefix = prefix_of(unfreeze)
    run = fold(prefix.lower, IMAGES, say=silent)
    for count in (5, 1):
        expected = prefix.lower(pixels(count))
        found = run(pixels(count))
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_weights_keep_the_values_they_had():
    prefix = prefix_of()
    run = fold(prefix.lower, IMAGES, say=silent)
    before = run(pixels()).numpy()
    prefix.model.backbone.get_layer("stem").kernel.assign(np.zeros((3, 3, 3, 8)))
    np.testing.assert_array_equal(run(pixels()), before)


def test_a_nest_keeps_its_structure():
    run = fold(lambda x: (x + 1, x * 2), tf.TensorSpec([None, 2], tf.float32), say=silent)
    first, second = run(np.ones((3, 2), "float32"))
    np.testing.assert_array_equal(first + second, np.full((3, 2), 4.0))


def test_a_saved_model_folds(tmp_path):
    keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3)]).export(
        tmp_path / "module", verbose=False
    )
    model = tl.build_transfer_model(str(tmp_path / "module"), 3, input_shape=(16, 16, 3))
    apply_freezing(model, tl.Stage(1))
    prefix = frozen_prefix(model)
    run = fold(prefix.lower, IMAGES, say=silent)
    np.testing.assert_allclose(run(pixels()), prefix.lower(pixels()), rtol=1e-5, atol=1e-5)


def test_mirrored_variables_fold_or_run_as_they_are(two_devices):
    with two_devices.scope():
        prefix = prefix_of(1)
    run = fold(prefix.lower, IMAGES, say=lambda line: None)
    np.testing.assert_allclose(run(pixels()), prefix.lower(pixels()), rtol=1e-5, atol=1e-5)


def test_a_graph_that_is_too_large_runs_as_it_is(monkeypatch):
    prefix = prefix_of()
    monkeypatch.setattr(folding, "LARGEST_GRAPH", 1000)
    said = []
    run = fold(prefix.lower, IMAGES, say=said.append)
    np.testing.assert_allclose(run(pixels()), prefix.lower(pixels()), rtol=1e-6)
    assert len(said) == 1 and "cannot be folded (its weights take" in said[0]


def test_a_graph_that_would_not_fit_into_memory_runs_as_it_is(monkeypatch):
    prefix = prefix_of()
    monkeypatch.setattr(folding, "available_bytes", lambda: 1000.0)
    said = []
    run = fold(prefix.lower, IMAGES, say=said.append)
    np.testing.assert_allclose(run(pixels()), prefix.lower(pixels()), rtol=1e-6)
    assert len(said) == 1 and "of memory, and less is free" in said[0]


def test_bfloat16_is_refused_where_it_is_slow(monkeypatch):
    monkeypatch.setattr(folding, "has_amx", lambda path: False)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])
    with pytest.raises(InputError, match="'bfloat16' needs a GPU or a processor with AMX"):
        fold(prefix_of().lower, IMAGES, precision="bfloat16")
    with pytest.raises(InputError, match="Did you mean 'bfloat16'"):
        fold(prefix_of().lower, IMAGES, precision="bfloat")


def test_amx_is_read_from_the_list_of_flags(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("model name : amx_bf16\nflags\t\t: fpu sse avx512f\n")
    assert not has_amx(path)
    path.write_text("flags\t\t: fpu amx_bf16 amx_tile\n")
    assert has_amx(path)
    assert not has_amx(tmp_path / "missing")


def relative_error(found, expected):
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.skipif(
    not has_amx() and not tf.config.list_physical_devices("GPU"),
    reason="bfloat16 needs a GPU or a processor with AMX",
)
def test_bfloat16_is_near():
    prefix = prefix_of()
    run = fold(prefix.lower, IMAGES, precision="bfloat16", layers=prefix.layers, say=silent)
    assert 0 < relative_error(run(pixels()), prefix.lower(pixels())) < 0.03


def test_the_layers_of_a_gpu_compute_in_bfloat16_and_stay_as_they_were(monkeypatch):
    monkeypatch.setattr(folding, "check_precision", lambda precision: True)
    prefix = prefix_of(1)
    expected = prefix.lower(pixels())
    run = fold(prefix.lower, IMAGES, precision="bfloat16", layers=prefix.layers, say=silent)
    found = run(pixels())
    assert found.dtype == tf.float32 and 0 < relative_error(found, expected) < 0.03
    np.testing.assert_array_equal(prefix.lower(pixels()), expected)
    assert {layer.compute_dtype for layer in prefix.layers} == {"float32"}


def test_the_rewrite_for_cpus_gives_a_graph_of_the_same_function(monkeypatch):
    monkeypatch.setattr(folding, "check_precision", lambda precision: False)
    prefix = prefix_of()
    run = fold(prefix.lower, IMAGES, precision="bfloat16", say=silent)
    assert relative_error(run(pixels()), prefix.lower(pixels())) < 0.03
