import numpy as np
import pytest

from tl_keras.arrays.marks import is_missing, keep_marks


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["cat", "dog", -1], ["cat", "dog", -1]),
        (["cat", -1.0, np.int64(-1)], ["cat", -1, -1]),
        (["cat", None, -1], ["cat", None, -1]),
        (("cat", "-1"), ["cat", "-1"]),
        (["cat", 5, -1], ["cat", "5", -1]),
        ([1, 2, -1], [1, 2, -1]),
        ([1, None], [1, None]),
        ([["cat"], [-1]], [["cat"], [-1]]),
    ],
)
def test_marks_among_strings_stay_marks(given, expected):
    assert np.asarray(keep_marks(given)).tolist() == expected


def test_missing_labels_among_strings_stay_missing():
    found = np.asarray(keep_marks(["cat", float("nan"), -1]))
    assert found.dtype == object
    assert found[0] == "cat" and found[1] != found[1] and found[2] == -1


@pytest.mark.parametrize("given", [np.array(["cat", "-1"]), np.array(["cat", -1], object), None])
def test_arrays_stay_as_they_are(given):
    assert keep_marks(given) is given


def test_what_is_missing():
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    for value in (None, float("nan"), np.float32("nan"), pandas.NA, pandas.NaT):
        assert is_missing(value) is True
    for value in (0, -1, "", "nan", False, np.str_("a")):
        assert is_missing(value) is False
