"""Functions, tables, and datasets without an end are sources like arrays and folders."""

import functools

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.data.images import write_folder
from tl_keras.data.examples import as_examples
from tl_keras.inputs import Features, Images
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

CLASSES = TargetSpec("classification", 2, ("a", "b"))
X = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
Y = np.array(["a", "b", "a", "a", "b", "b", "a"])


def singles():
    yield from zip(X, Y, strict=True)


def in_batches(size):
    for start in range(0, 7, size):
        yield X[start : start + size], Y[start : start + size]


@pytest.mark.parametrize("source", [singles, functools.partial(in_batches, 3)])
def test_a_function_is_called_again_in_each_pass(source):
    examples = as_examples(source)
    assert len(examples) == 7 and examples.has_labels and examples.has_fixed_order
    for _ in range(2):
        ((x, y),) = examples.batches(CLASSES, 7)
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y[:, 1], Y == "b")
    with_arrays = as_examples(tf.data.Dataset.from_tensor_slices((X, Y)))
    assert examples.fingerprint() == with_arrays.fingerprint()


def test_functions_that_give_nothing_usable():
    with pytest.raises(InputError, match="generates nothing"):
        as_examples(lambda: iter(()))
    with pytest.raises(InputError, match="a function of no arguments"):
        as_examples(in_batches)


def test_what_has_no_end_has_steps():
    endless = tf.data.Dataset.from_tensor_slices((X, Y)).batch(2).repeat()
    with pytest.raises(InputError, match="steps="):
        as_examples(endless)
    assert len(as_examples(endless, steps=3)) == 6
    with pytest.raises(InputError, match="steps: it is for datasets"):
        as_examples((X, Y), steps=3)

    class Endless(keras.utils.PyDataset):
        num_batches = None

        def __getitem__(self, index):
            return X, Y

    assert len(as_examples(Endless(), steps=2)) == 14


def test_a_table_of_paths_and_labels(tmp_path):
    write_folder(tmp_path, {"a": 2, "b": 3})
    paths = sorted(tmp_path.rglob("*.png")) or sorted(tmp_path.rglob("*.*"))
    table = pd.DataFrame(
        {"path": list(map(str, paths)), "label": [path.parent.name for path in paths]}
    )
    examples = as_examples(table, wanted=Images((6, 5, 3)).spec)
    assert examples.class_names == ("a", "b")
    assert examples.spec == tf.TensorSpec((6, 5, 3), tf.uint8)
    x, y = next(iter(examples.batches(CLASSES, 5)))
    assert x.shape == (5, 6, 5, 3) and y.numpy().sum(axis=0).tolist() == [2, 3]


def test_axes_that_are_neither_of_an_example_nor_of_a_batch():
    data = tf.data.Dataset.from_tensor_slices(np.zeros((3, 2, 2, 2, 2, 2), np.float32))
    with pytest.raises(InputError, match=r"takes inputs of shape \(2,\), or batches"):
        as_examples(data, wanted=Features((2,)).spec)
    with pytest.raises(InputError, match="batched=True"):
        as_examples(data)
    assert len(as_examples(data, batched=False)) == 3
    assert len(tl.data.as_examples(data, batched=True)) == 6
