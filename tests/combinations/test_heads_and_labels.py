"""Every task with every data source, label form and order of classes: the same targets come out.

Heads of one task read labels the same way: one of them stands for all.
"""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.data.colours import CHANNELS, coloured, right_model, write_folders
from tl_keras.data import as_examples
from tl_keras.models.heads import NAMED_HEADS
from tl_keras.tasks.targets import TargetSpec

ONE_OF_EACH_TASK = {tl.heads.resolve_head(head).task.name: head for head in reversed(NAMED_HEADS)}
HEADS = sorted(ONE_OF_EACH_TASK.values())
CLASSES = np.array([2, 0, 1, 2, 1, 0, 0, 2])
X = coloured(CLASSES)
NAMES = np.array(CHANNELS)[CLASSES]
ORDERS = {"as the data": CHANNELS, "turned": ("blue", "red", "green")}
OWN = ("green", "blue", "red")
"""The order in which the data counts its classes."""

ROWS = np.array([[name == one for one in OWN] for name in NAMES], float)
FORMS = {
    "names": NAMES,
    "integers": ROWS.argmax(axis=1),
    "column": ROWS.argmax(axis=1)[:, None],
    "rows": ROWS,
    "series": pd.Series(NAMES, dtype="category"),
    "frame": pd.DataFrame(ROWS, columns=list(OWN)),
}
COUNTED = ("integers", "column", "rows")
"""Forms that say nothing about names, and need a source that knows them."""


def dataset(x, y):
    y = y.to_numpy().astype(str) if isinstance(y, pd.Series) else np.asarray(y)
    made = tf.data.Dataset.from_tensor_slices((x, y))
    made.class_names = list(OWN)
    return made


SOURCES = {
    "arrays": lambda x, y: (x, y),
    "lists": lambda x, y: (list(x), y if isinstance(y, pd.DataFrame) else list(y)),
    "dataset": dataset,
    "batched": lambda x, y: dataset(x, y).batch(3),
}
CASES = [
    (source, form)
    for source in SOURCES
    for form in FORMS
    if form not in COUNTED or source in ("dataset", "batched")
]


def expected(labels) -> np.ndarray:
    return np.array([[name == label for label in labels] for name in NAMES], np.float32)


def fits(head: str, form: str) -> bool:
    """Return whether a form says what a head learns: values stand in rows only."""
    return head != "regression" or form in ("rows", "frame")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("head", HEADS)
def test_targets_are_the_same_from_every_source_form_and_order(head, order):
    labels = ORDERS[order]
    model = right_model(labels) if head == "linear" else None
    kind = tl.heads.resolve_head(head).task
    spec = TargetSpec(kind, 3, labels)
    for source, form in CASES:
        y = FORMS[form]
        if not fits(head, form) or (kind.has_several and form in ("names", "series")):
            continue
        examples = as_examples(SOURCES[source](X, y))
        found = examples.encoded_targets(spec)
        np.testing.assert_array_equal(found, expected(labels), err_msg=f"{source}, {form}")
        batches = [part for _, part in examples.batches(spec, 5)]
        np.testing.assert_array_equal(np.concatenate(batches), found, err_msg=f"{source}, {form}")
    if model is not None:
        report = tl.evaluate(model, SOURCES["batched"](X, FORMS["rows"]), verbose=False)
        assert report["accuracy"] == 1.0


@pytest.mark.parametrize("head", sorted({*HEADS} - {"regression"}))
def test_image_folders_and_tables_give_the_targets_of_their_names(head, files):
    folder, table, right = files
    spec = TargetSpec(tl.heads.resolve_head(head).task, 3, ("blue", "red", "green"))
    rows = np.array([[name == label for label in spec.class_names] for name in right], np.float32)
    np.testing.assert_array_equal(folder.encoded_targets(spec), rows)
    if spec.task.one_class:
        np.testing.assert_array_equal(table.encoded_targets(spec), rows)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder and a table of the same files, and the names of their classes."""
    path = tmp_path_factory.mktemp("images")
    write_folders(path, {"red": 2, "green": 1, "blue": 2})
    folder = tl.data.image_folder(path, image_size=8, progress=False)
    names = [file.split("/")[-2] for file in folder.paths]
    frame = pd.DataFrame({"path": folder.paths, "label": names})
    table = tl.data.image_table(frame, image_size=8, progress=False)
    assert [file.split("/")[-2] for file in table.paths] == names
    return folder, table, names
