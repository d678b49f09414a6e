"""Labels of any form become training targets, also where some are missing."""

import numpy as np
import pytest

from tl_keras.tasks import Classification, MultiLabel, Regression
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

CLASSES = TargetSpec("classification", 3, partly=True)
NAMED = TargetSpec("classification", 3, ("a", "b", "c"), partly=True)
TAGS = TargetSpec("multi_label", 2, ("x", "y"), partly=True)
VALUES = TargetSpec("regression", 1, partly=True)


@pytest.mark.parametrize("form", [list, lambda y: np.array(y, object)], ids=["list", "array"])
@pytest.mark.parametrize(
    ("spec", "labels", "expected"),
    [
        (CLASSES, [0, 2, None], np.eye(3)[[0, 2]]),
        (CLASSES, [0, np.int64(2), -1], np.eye(3)[[0, 2]]),
        (NAMED, [0, 2.0, None], np.eye(3)[[0, 2]]),
        (NAMED, ["a", "c", None], np.eye(3)[[0, 2]]),
        (NAMED, [b"a", b"c", None], np.eye(3)[[0, 2]]),
        (VALUES, [0.5, 2, None], [[0.5], [2.0]]),
    ],
)
def test_labels_with_none_are_those_without(form, spec, labels, expected):
    found = spec.encode(form(labels))
    np.testing.assert_array_equal(found[:2], expected)
    assert np.isnan(found[2]).all() and found.dtype == np.float32


def test_rows_and_names_of_several_labels_with_none():
    rows = np.empty(3, object)
    rows[:] = [np.array([1, 0]), None, np.array([1, 1])]
    np.testing.assert_array_equal(TAGS.encode(rows), [[1, 0], [np.nan] * 2, [1, 1]])
    names = np.empty(3, object)
    names[:] = [["y"], None, []]
    np.testing.assert_array_equal(TAGS.encode(names), [[0, 1], [np.nan] * 2, [0, 0]])


def test_none_where_no_label_may_be_missing():
    spec = TargetSpec("classification", 3)
    with pytest.raises(InputError, match="y: 1 label is None, the first at row 2"):
        spec.encode([0, 1, None])
    with pytest.raises(InputError, match="labels are strings, but the model has no class names"):
        spec.encode(["a", "b"])


def test_logits_become_predictions_and_predictions_stay():
    logits = np.array([[0.0, np.log(3.0)]], np.float32)
    for task, expected in (
        (Classification(), [[0.25, 0.75]]),
        (MultiLabel(), [[0.5, 0.75]]),
        (Regression(), logits),
    ):
        np.testing.assert_allclose(task.close(logits, "linear"), expected, rtol=1e-6)
        np.testing.assert_allclose(task.close(task.open(task.close(logits))), expected, rtol=1e-5)
        np.testing.assert_array_equal(task.close(logits, "sigmoid"), logits)


def test_numbers_that_are_names_of_labels_are_asked_for_as_text():
    spec = TargetSpec("classification", 3, ("1", "2", "10"))
    with pytest.raises(InputError, match=r"got 10 .* as text, y.astype\(int\).astype\(str\)"):
        spec.encode(np.array([1, 2, 10]), "y")
    encoded = spec.encode(np.array([1.0, 2.0, 10.0]).astype(int).astype(str), "y")
    np.testing.assert_array_equal(encoded, np.eye(3))
    with pytest.raises(InputError, match=r"unknown labels \['1.0'\].*Did you mean '10' or '1'"):
        spec.encode(np.array(["1.0"]), "y")
