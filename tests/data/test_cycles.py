"""Domains that are smaller than the largest: their batches carry over the ends of passes."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tl_keras.data import Epochs, Part, image_folder
from tl_keras.data.domains import DomainExamples, as_domains, domain_seed
from tl_keras.data.examples import as_examples
from tl_keras.data.rows import Cycle, row_batches
from tl_keras.frozen.taught_examples import TaughtExamples

SMALL, LARGE, BATCH = 33, 200, 32


def numbered(count):
    return np.arange(count, dtype=np.float32)[:, None]


def as_source(kind, count):
    x = numbered(count)
    if kind == "dataset":
        return tf.data.Dataset.from_tensor_slices(x)
    if kind == "batched dataset":
        return tf.data.Dataset.from_tensor_slices(x).batch(7)
    if kind == "taught":
        return TaughtExamples(as_examples(x), {"same": as_examples(x)})
    return x


def rows_of(x):
    return np.asarray(x.x if hasattr(x, "x") else x)[:, 0].astype(int)


@pytest.mark.parametrize("kind", ["array", "dataset", "batched dataset", "taught"])
def test_every_batch_is_full_and_passes_are_whole(kind):
    source = {"source": numbered(LARGE), "target": as_source(kind, SMALL)}
    examples = as_domains(source)
    batches = [x["target"] for x, _ in examples.batches(None, BATCH, epochs=Epochs(1, count=3))]
    found = [rows_of(x) for x in batches]
    assert [len(rows) for rows in found] == [BATCH] * 21
    order = np.concatenate(found)
    for first in range(0, len(order) - SMALL, SMALL):
        assert sorted(order[first : first + SMALL]) == list(range(SMALL))
    if kind == "taught":
        for x in batches:
            np.testing.assert_array_equal(x.x, x.outputs["same"])
    # A later start, in the middle of an epoch and of a pass, resumes with the same batches.
    rest = examples.batches(None, BATCH, epochs=Epochs(1, first=1, count=2, skip=2))
    for (x, _), rows in zip(rest, found[9:], strict=True):
        np.testing.assert_array_equal(rows_of(x["target"]), rows)
    parts = [examples.batches(None, BATCH, epochs=Epochs(1), part=Part(i, 3)) for i in range(3)]
    for *shares, rows in zip(*parts, found[:7], strict=True):
        own = [rows_of(x["target"]) for x, _ in shares]
        assert [len(one) for one in own] == [11, 11, 10]
        np.testing.assert_array_equal(np.concatenate(own), rows)


@pytest.mark.parametrize("seed", [0, 7])
def test_rows_are_those_of_the_passes_one_after_the_other(seed):
    passes = row_batches(SMALL, BATCH, Epochs(seed, count=4), with_epoch=True)
    rows = np.concatenate([rows.numpy() for _, rows in passes])
    numbers = np.repeat(np.arange(4), SMALL)
    cycle = row_batches(SMALL, BATCH, Cycle(seed, first=1, count=3), with_epoch=True)
    for index, (number, own) in enumerate(cycle, 1):
        place = slice(index * BATCH, (index + 1) * BATCH)
        np.testing.assert_array_equal(own, rows[place])
        np.testing.assert_array_equal(number, numbers[place])


def test_a_domain_smaller_than_a_batch_comes_whole_in_every_batch():
    examples = as_domains({"source": numbered(LARGE), "target": numbered(5)})
    orders = [
        tuple(rows_of(x["target"])) for x, _ in examples.batches(None, BATCH, epochs=Epochs(0))
    ]
    assert all(sorted(order) == list(range(5)) for order in orders) and len(set(orders)) > 1


def test_the_largest_domain_stays_one_pass_an_epoch():
    examples = as_domains({"source": numbered(LARGE), "target": numbered(SMALL)})
    found = [rows_of(x["source"]) for x, _ in examples.batches(None, BATCH, epochs=Epochs(3))]
    assert [len(rows) for rows in found] == [32] * 6 + [8]
    assert sorted(np.concatenate(found)) == list(range(LARGE))
    seed = domain_seed(3, "source")
    for rows, own in zip(row_batches(LARGE, BATCH, Epochs(seed)), found, strict=True):
        np.testing.assert_array_equal(own, rows)


def test_a_folder_of_images_carries_over(tmp_path):
    for index in range(10):
        (tmp_path / "ab"[index % 2]).mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (index, 0, 0)).save(tmp_path / "ab"[index % 2] / f"{index}.png")
    folder = image_folder(tmp_path, image_size=4, progress=False)
    examples = DomainExamples({"source": as_examples(np.zeros((40, 4, 4, 3))), "target": folder})
    batches = examples.batches(None, 8, epochs=Epochs(0, count=2))
    rows = [x["target"].numpy()[:, 0, 0, 0] for x, _ in batches]
    assert [len(one) for one in rows] == [8] * 10
    assert np.unique(np.concatenate(rows), return_counts=True)[1].tolist() == [8] * 10
