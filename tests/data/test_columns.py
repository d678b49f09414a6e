"""Columns of tables reach the outputs of their names, whatever their order."""

import numpy as np
import pandas as pd
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.data import as_examples
from tl_keras.tasks.targets import TargetSpec

LABELS = ("a", "b", "c")
X = np.zeros((6, 4, 4, 3), np.uint8)
CLASSES = np.array([0, 1, 2, 2, 0, 1])
NAMES = np.array(LABELS)[CLASSES]
TAGS = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0]])
VALUES = np.random.default_rng(1).normal(size=(6, 3)).astype("float32")
SPECS = {kind: TargetSpec(kind, 3, LABELS) for kind in ("multi_label", "regression")}
SPECS["classification"] = TargetSpec("classification", 3, LABELS)
ROWS = {"classification": np.eye(3)[CLASSES], "multi_label": TAGS, "regression": VALUES}


def encoded(y, spec):
    """Return the targets, having asserted that batches have the same."""
    examples = as_examples((X, y))
    targets = examples.encoded_targets(spec)
    batches = [part for _, part in examples.batches(spec, 4)]
    if isinstance(spec, TargetSpec):
        np.testing.assert_array_equal(np.concatenate(batches), targets)
    return targets


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("kind", SPECS)
def test_columns_in_any_order(kind, order):
    frame = pd.DataFrame(ROWS[kind], columns=list(LABELS)).iloc[:, list(order)]
    np.testing.assert_array_equal(encoded(frame, SPECS[kind]), ROWS[kind])
    if kind != "regression":
        np.testing.assert_array_equal(encoded(frame.astype("Int64"), SPECS[kind]), ROWS[kind])
        np.testing.assert_array_equal(encoded(frame.astype(bool), SPECS[kind]), ROWS[kind])


@pytest.mark.parametrize("dtype", [str, "string", "category"])
@pytest.mark.parametrize("kind", SPECS)
def test_columns_of_numbers_as_text_are_taken_by_name(kind, dtype):
    frame = pd.DataFrame(ROWS[kind], columns=list(LABELS))[["c", "a", "b"]].astype(str)
    np.testing.assert_array_equal(encoded(frame.astype(dtype), SPECS[kind]), ROWS[kind])
    with pytest.raises(tl.InputError, match=r"numbers in the columns \['c', 'a', 'b'\], got text"):
        encoded(frame.replace(frame.iloc[0, 0], "yes"), SPECS[kind])


@pytest.mark.parametrize("kind", SPECS)
def test_unknown_and_missing_columns_are_named(kind):
    frame = pd.DataFrame(ROWS[kind], columns=["b", "c", "d"])
    with pytest.raises(tl.InputError, match=r"data: y: unknown labels \['d'\]"):
        encoded(frame, SPECS[kind])
    if kind == "classification":  # Rows that sum to 1 say all about the classes that are there.
        two = pd.get_dummies(pd.Series(list("cbcbbb")))
        assert encoded(two, SPECS[kind]).argmax(axis=1).tolist() == [2, 1, 2, 1, 1, 1]
    else:
        two = pd.DataFrame(ROWS[kind][:, :2], columns=["c", "a"])
        with pytest.raises(tl.InputError, match=r"the columns \['b'\] are missing, got \['c', 'a'"):
            encoded(two, SPECS[kind])
    with pytest.raises(tl.InputError, match="two columns are called 'b'"):
        encoded(pd.DataFrame(ROWS[kind], columns=["a", "b", "b"]), SPECS[kind])


def test_columns_without_names_keep_their_order():
    np.testing.assert_array_equal(encoded(pd.DataFrame(TAGS), SPECS["multi_label"]), TAGS)


@pytest.mark.parametrize(
    "y",
    [
        pd.Series(NAMES, name="whatever"),
        pd.Series(NAMES, index=[5, 4, 3, 2, 1, 0]),
        pd.Series(NAMES).astype("category"),
        pd.Series(NAMES).astype(pd.CategoricalDtype(["c", "b", "a"], ordered=True)),
        pd.Series(NAMES, dtype="string"),
        pd.DataFrame({"label": NAMES}),
        pd.Series(CLASSES, dtype="Int64"),
        pd.Series(CLASSES).astype("category"),
        pd.DataFrame({"label": CLASSES}),
    ],
)
def test_series_of_every_type(y):
    np.testing.assert_array_equal(encoded(y, SPECS["classification"]), ROWS["classification"])


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_missing_values_of_tables_are_missing_labels(dtype):
    y = pd.Series(["a", None, "c", "b", "a", None], dtype=dtype)
    spec = TargetSpec("classification", 3, LABELS, partly=True)
    found = encoded(y, spec)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False, False, False, True]
    np.testing.assert_array_equal(found[[0, 2, 3]], np.eye(3)[[0, 2, 1]])
    with pytest.raises(tl.InputError, match="2 labels are None, the first at row 1"):
        encoded(y, SPECS["classification"])
    numbers = encoded(pd.Series([0, None, 2, 1, 0, None], dtype="Int64"), spec)
    np.testing.assert_array_equal(numbers, found)


def test_several_tasks_in_a_dict_and_in_one_table():
    spec = {
        "colour": SPECS["classification"],
        "tags": SPECS["multi_label"],
        "price": TargetSpec("regression", 1),
        "sold": TargetSpec("multi_label", 1),
    }
    tags = pd.DataFrame(TAGS[:, ::-1], columns=list("cba"))
    sold = np.array([0, 1, 1, 0, 0, 1])
    y = {"colour": pd.Series(NAMES), "tags": tags, "price": pd.Series(VALUES[:, 0]), "sold": sold}
    found = encoded(y, spec)
    expected = {
        "colour": ROWS["classification"],
        "tags": TAGS,
        "price": VALUES[:, :1],
        "sold": sold[:, None],
    }
    for task, rows in expected.items():
        np.testing.assert_array_equal(found[task], rows)
    del spec["tags"]
    frame = pd.DataFrame({"sold": sold, "price": VALUES[:, 0], "colour": NAMES, "id": range(6)})
    found = encoded(frame, spec)
    for task in spec:
        np.testing.assert_array_equal(found[task], expected[task])


def test_the_name_of_a_single_column_is_no_class():
    for y in (CLASSES, NAMES, VALUES[:, 0]):
        assert as_examples((X, pd.DataFrame({"label": y}))).class_names is None
    model = tl.build_transfer_model(tiny_network(), class_names=LABELS)
    data = (np.zeros((6, 16, 16, 3), np.uint8), pd.DataFrame({"label": NAMES}))
    run = tl.fine_tune(model, data, data, schedule=tl.Stage(1), verbose=False)
    np.testing.assert_array_equal(encoded(data[1], model.targets), ROWS["classification"])
    assert run.history["val_accuracy"]


def test_one_sigmoid_takes_labels_in_one_row():
    y = np.array([1, 0, 1, 1, 0, 0])
    spec = TargetSpec("multi_label", 1)
    for labels in (y, y.astype(bool), y.astype("float32"), list(y), pd.Series(y), y[:, None]):
        np.testing.assert_array_equal(encoded(labels, spec), y[:, None])
