"""Batches out of a store, from memory or from files."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tl_keras.data import Epochs, Part, as_examples
from tl_keras.data.rows import Cycle, row_batches
from tl_keras.frozen import stored_examples
from tl_keras.frozen.feature_layout import Column, Layout
from tl_keras.frozen.feature_store import FeatureStore
from tl_keras.frozen.stored_examples import StoredExamples
from tl_keras.frozen.taught_examples import TaughtExamples
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

SPEC = TargetSpec("classification", 3)
COUNT, SHARD = 23, 4


def values(views=1):
    """Return values in which row and view can be read."""
    rows = np.arange(COUNT * views, dtype="float32")
    return np.stack([rows, -rows], axis=1), rows[:, None] + np.arange(3)


@pytest.fixture(params=["memory", "files"])
def make(request, tmp_path, monkeypatch):
    """A function that fills a store and opens it."""
    monkeypatch.setattr(Layout, "shard_examples", SHARD)
    if request.param == "files":
        monkeypatch.setattr(stored_examples, "MEMORY_BYTES", 0)

    def make(views=1, labels=True, several=False, dtype="float32", spec=SPEC, tasks=None):
        x, y = values(views)
        x = tf.cast(x, dtype).numpy()
        columns = (Column("x0", (2,), dtype), Column("x1", (), "float32"))[: 1 + several]
        targets = tuple(Column(f"y{n}", (3,), "float32") for n in range(len(tasks or "1") * labels))
        layout = Layout(COUNT, views, columns, targets, tasks)
        store = FeatureStore.create(tmp_path / "store", layout, {})
        for shard in range(layout.shards):
            part = layout.examples_of(shard)
            rows = slice(part.start * views, part.stop * views)
            arrays = [x[rows], 10 * x[rows, 0].astype("float32")][: 1 + several]
            store.write(shard, arrays + [y[rows].astype("float32")] * len(targets))
        store.use()
        return StoredExamples(store, spec, ("a", "b", "c"))

    return make


def test_several_tasks_are_not_counted_as_classes():
    labels = {"animal": np.array([0, 1]), "age": np.array([3.0, 4.0])}
    dataset = tf.data.Dataset.from_tensor_slices((np.zeros((2, 3), "float32"), labels))
    dataset.class_names = {"animal": ["cat", "dog"], "age": None}
    assert repr(TaughtExamples(as_examples(dataset), {})) == "TaughtExamples(2 examples)"


def collect(dataset):
    x, y = zip(*dataset, strict=True)
    return np.concatenate(x), np.concatenate(y)


def test_all_rows_in_order(make):
    stored = make()
    assert len(stored) == COUNT and stored.class_names == ("a", "b", "c")
    batches = list(stored.batches(SPEC, 5))
    assert [len(x) for x, _ in batches] == [5, 5, 5, 5, 3]
    x, y = collect(batches)
    np.testing.assert_array_equal(x, values()[0])
    np.testing.assert_array_equal(y, values()[1])
    np.testing.assert_array_equal(stored.encoded_targets(SPEC), values()[1])
    spec = stored.batches(SPEC, 5).element_spec
    assert [tuple(one.shape) for one in spec] == [(None, 2), (None, 3)]


@pytest.mark.parametrize("spec", [None, SPEC])
@pytest.mark.parametrize(("several", "dtype"), [(False, "bfloat16"), (True, "float32")])
def test_shapes_are_known_without_a_pipeline(make, several, dtype, spec):
    stored = make(several=several, dtype=dtype)
    assert stored.element_spec(spec) == stored.batches(spec, 5).element_spec


def test_shuffled_epochs_are_those_of_arrays(make):
    stored, arrays = make(), tl.data.as_examples((values()[0], values()[1] / 3))
    plain = TargetSpec("regression", 3)
    places = (Epochs(seed=3), Epochs(seed=3, first=1, count=2, skip=2), Cycle(3, first=3, count=9))
    for epochs in places:
        found, _ = collect(stored.batches(SPEC, 6, epochs=epochs))
        expected, _ = collect(arrays.batches(plain, 6, epochs=epochs))
        np.testing.assert_array_equal(found, expected)


def test_parts_make_the_whole(make):
    stored = make()
    whole = list(stored.batches(SPEC, 6, epochs=Epochs(seed=1)))
    parts = [list(stored.batches(SPEC, 6, epochs=Epochs(1), part=Part(n, 4))) for n in range(4)]
    for batch, *shares in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(batch[0], np.concatenate([x for x, _ in shares]))
    assert len(parts[3][-1][0]) == 1
    assert [len(x) for x, _ in stored.batches(SPEC, 1, part=Part(1, 2))] == [0] * COUNT


def test_an_epoch_reads_its_view(make):
    stored = make(views=3)
    for epoch in range(5):
        x, y = collect(stored.batches(SPEC, 7, epochs=Epochs(seed=0, first=epoch)))
        assert set(x[:, 0] % 3) == {epoch % 3}
        assert sorted(x[:, 0] // 3) == list(range(COUNT))
        np.testing.assert_array_equal(y[:, 0], x[:, 0])
    assert len(stored.encoded_targets(SPEC)) == COUNT


def test_a_batch_that_carries_over_reads_the_view_of_each_row_s_pass(make):
    cycle = Cycle(0, first=2, count=10)
    found = [x for x, _ in make(views=3).batches(SPEC, 7, epochs=cycle)]
    places = row_batches(COUNT, 7, cycle, with_epoch=True)
    for x, (numbers, rows) in zip(found, places, strict=True):
        np.testing.assert_array_equal(x[:, 0], 3 * rows + numbers % 3)


def test_several_tensors_are_a_tuple(make):
    for (first, second), y in make(several=True).batches(SPEC, 9):
        np.testing.assert_array_equal(second, 10 * first[:, 0])
        np.testing.assert_array_equal(y[:, 0], first[:, 0])


def test_labels_that_are_not_there_or_not_wanted(make):
    for stored, spec in ((make(labels=False), SPEC), (make(), None)):
        for x in stored.batches(spec, 10):
            assert x.shape[1:] == (2,)
        assert stored.encoded_targets(spec) is None


def test_labels_for_another_spec_are_refused(make):
    with pytest.raises(InputError, match=r"targets for .*size=3.*, not for .*size=4"):
        make().batches(TargetSpec("classification", 4), 10)
    with pytest.raises(InputError, match="batch_size: expected"):
        make().batches(SPEC, 0)


def test_tasks_are_a_dict(make):
    spec = {"b": SPEC, "a": SPEC}
    stored = make(spec=spec, tasks=("a", "b"))
    for x, y in stored.batches(spec, 10):
        assert set(y) == {"a", "b"}
        np.testing.assert_array_equal(y["b"][:, 0], x[:, 0])
    assert set(stored.encoded_targets(spec)) == {"a", "b"}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int32"])
def test_types(make, dtype):
    x, _ = next(iter(make(dtype=dtype).batches(SPEC, COUNT)))
    assert x.dtype == dtype
    np.testing.assert_array_equal(tf.cast(x, tf.float32), values()[0])


def test_few_files_are_open_at_a_time(make, monkeypatch):
    monkeypatch.setattr(stored_examples, "OPEN_FILES", 4)
    monkeypatch.setattr(stored_examples, "_mapped", stored_examples._MappedShards())
    stored = make()
    for _ in range(2):
        x, _ = collect(stored.batches(SPEC, 6, epochs=Epochs(seed=1)))
        assert sorted(x[:, 0]) == list(range(COUNT))
    assert sum(map(len, stored_examples._mapped._arrays.values())) <= 4
    stored.close()


@pytest.mark.parametrize("make", ["files"], indirect=True)
def test_a_store_stays_in_use_while_it_is_read(make, tmp_path):
    stored = make()
    assert list((tmp_path / "store").glob("use-*.lock"))
    collect(stored.batches(SPEC, 6))
    stored.close()
    assert not list((tmp_path / "store").glob("use-*.lock"))


RESIDENT = """
    import pathlib, resource, sys
    import numpy as np
    from tl_keras.data import Epochs
    from tl_keras.frozen.feature_layout import Column, Layout
    from tl_keras.frozen.feature_store import FeatureStore
    from tl_keras.frozen.stored_examples import StoredExamples

    def resident():
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    layout = Layout(19200, 1, (Column("x0", (8192,), "float32"),), ())
    store = FeatureStore.create(pathlib.Path(sys.argv[1]), layout, {})
    for shard in range(layout.shards):
        shape = layout.shape_in(shard, layout.x[0])
        rows = np.arange(layout.examples_of(shard).start, layout.examples_of(shard).stop)
        store.write(shard, [np.broadcast_to(rows[:, None], shape).astype("float32")])
    stored = StoredExamples(store, None)
    seen, sizes = 0, []
    for x in stored.batches(None, 64, epochs=Epochs(seed=0, count=2)):
        seen += float(x[:, 8000].numpy().sum())
        sizes.append(resident())
    assert seen == 2 * sum(range(19200)), seen
    print(layout.bytes / 2**20, max(sizes) - sizes[0], sizes[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux' /proc")
def test_resident_memory_does_not_grow_with_the_store(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RESIDENT), str(tmp_path / "store")],
        capture_output=True,
        text=True,
        check=True,
    )
    store, growth, _ = map(float, done.stdout.split())
    assert store == 600.0
    assert growth < 150
