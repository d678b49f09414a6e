import numpy as np
import pytest

from tl_keras import InputError
from tl_keras.arrays import labelled_samples, require_classes, resolve_domains, unlabelled
from tl_keras.arrays.labels import regression_values

DOMAINS = resolve_domains(["s", "s", "t", "t"], "t", 4)


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([0, 1, -1], [False, False, True]),
        ([0.0, np.nan, -1.0], [False, True, True]),
        (np.array(["a", None, np.nan], object), [False, True, True]),
        (np.array([0, -1, None], object), [False, True, True]),
        (["a", "-1", ""], [False, False, False]),
        (["a", -1, np.nan], [False, True, True]),
        (np.array([1, 255], np.uint8), [False, False]),
        ([True, False], [False, False]),
    ],
)
def test_marks(y, expected):
    assert unlabelled(y).tolist() == expected
    assert unlabelled(y).dtype == bool


def test_missing_labels_of_pandas_are_marks():
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    for y in (pandas.Series([1, None], dtype="Int64"), ["a", pandas.NA], [0, pandas.NA]):
        assert unlabelled(y).tolist() == [False, True]
    y = [pandas.NA, "b", "a", "a"]
    with pytest.raises(InputError, match="y: 1 of 2 samples of source domain 's' have no label"):
        labelled_samples(y, DOMAINS)


def test_samples_to_learn_from():
    assert labelled_samples([0, 1, -1, 1], DOMAINS).tolist() == [True, True, False, True]
    assert labelled_samples([0, 1, -1, -1], DOMAINS).tolist() == [True, True, False, False]


def test_for_regression_minus_one_is_a_value():
    y = np.array([-1.0, 2.0, -1.0, np.nan])
    assert labelled_samples(y, DOMAINS, regression=True).tolist() == [True, True, True, False]
    whole = labelled_samples(np.array([-1, 2, -1, 3]), DOMAINS, regression=True)
    assert whole.all()


def test_without_domains_every_label_counts():
    alone = resolve_domains(None, "t", 3)
    assert labelled_samples([-1, 1, -1], alone).all()


@pytest.mark.parametrize("y", [[-1, 1, 1, 1], [np.nan, 1.0, 1.0, 1.0], [None, "a", "b", "a"]])
def test_sources_need_labels(y):
    text = r"y: 1 of 2 samples of source domain 's' have no label \(−1, NaN or None\)"
    with pytest.raises(InputError, match=text):
        labelled_samples(np.array(y), DOMAINS)


def test_regression_sources_need_labels():
    with pytest.raises(InputError, match="y: 2 of 2 samples of source domain 's' have no label"):
        labelled_samples(np.array([np.nan, np.nan, 1, 1]), DOMAINS, regression=True)


def test_values_of_a_regression():
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    whole = np.array([1, 2])
    assert regression_values(whole) is whole
    found = regression_values(np.array([-1, 2.5, None, pandas.NA], object))
    np.testing.assert_array_equal(found, [-1.0, 2.5, np.nan, np.nan])
    for y in (np.array(["1.5", "high"]), np.array([1.5, "high"], object)):
        with pytest.raises(InputError, match=r"y: expected numbers, .* such as 'high' are none"):
            regression_values(y)


def test_classes():
    assert require_classes(np.array(["b", "a", "b"]), "the sources").tolist() == ["a", "b"]
    with pytest.raises(InputError, match=r"y: expected .* two classes or more in the sources.*'a'"):
        require_classes(np.array(["a", "a"]), "the sources")
    with pytest.raises(InputError, match=r"in the sources, got .*\b3\b"):
        require_classes(np.array([3]), "the sources")
    with pytest.raises(InputError, match="in the sources, got none"):
        require_classes(np.array([]), "the sources")


@pytest.mark.parametrize("mark", [-1, np.nan, None])
def test_marks_that_became_strings_are_noticed(mark):
    y = np.array(["a", "b", "a", "b"])
    y = np.concatenate([y[:2].astype(object), [mark, mark]]).astype(str)
    with pytest.raises(InputError, match=r"y: '.*' is the label of target samples only"):
        labelled_samples(y, DOMAINS)
    with pytest.raises(InputError, match="is the label of target samples only"):
        labelled_samples(y.astype(object), DOMAINS)


def test_strings_that_sources_have_too_are_classes():
    y = np.array(["-1", "nan", "-1", "nan"])
    assert labelled_samples(y, DOMAINS).all()


def test_whole_numbers_that_are_all_marks_are_no_values():
    y = np.array([5, 6, -1, -1])
    with pytest.raises(InputError, match="all values of target domain 't' are −1"):
        labelled_samples(y, DOMAINS, regression=True)
    assert labelled_samples(y.astype(float), DOMAINS, regression=True).all()
    assert labelled_samples(np.array([5, 6, -1, 2]), DOMAINS, regression=True).all()
