import warnings

import numpy as np
import pytest
import scipy.sparse

from tl_keras import InputError
from tl_keras.arrays import resolve_domains, stack_domains
from tl_keras.arrays.domains import domain_labels, rows_of


def test_sources_and_targets_are_found():
    domains = resolve_domains(["b", "t", "a", "t"], "t", 4)
    assert domains.sources == ("a", "b")
    assert domains.targets == ("t",)
    assert domains.given
    assert domains.source.tolist() == [True, False, True, False]
    assert domains.target.tolist() == [False, True, False, True]
    assert domains.of("a").tolist() == [False, False, True, False]


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset, np.array, dict.fromkeys])
def test_several_targets(kind):
    domains = resolve_domains(["a", "t", "u"], kind(["u", "t"]), 3)
    assert domains.sources == ("a",)
    assert domains.targets == ("t", "u")


def test_targets_in_the_forms_of_other_libraries():
    assert resolve_domains([0, 1, 2], range(1, 3), 3).targets == (1, 2)
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    for kind in (pandas.Index, pandas.Series):
        assert resolve_domains(["a", "t", "u"], kind(["u", "t"]), 3).targets == ("t", "u")


@pytest.mark.parametrize(
    ("domain", "target"),
    [
        (np.array([0, 1, 1, 0]), 1),
        (np.array([0, 1, 1, 0], object), 1),
        (np.array([0.0, 1.0, 1.0, 0.0]), 1),
        (np.array([False, True, True, False]), True),
        (np.array(["0", "1", "1", "0"], object), "1"),
        (["0", "1", "1", "0"], np.str_("1")),
        (np.array([0, 1, 1, 0], np.uint8), np.int64(1)),
        (np.array(["x", 1, 1, "x"], object), 1),
    ],
)
def test_labels_of_any_type(domain, target):
    domains = resolve_domains(domain, target, 4)
    assert domains.target.tolist() == [False, True, True, False]
    assert domains.source.tolist() == [True, False, False, True]
    assert len(domains.sources) == len(domains.targets) == 1
    assert domains.of(domains.targets[0]).tolist() == domains.target.tolist()
    assert not isinstance(domains.targets[0], np.generic)


def test_labels_of_several_types_become_strings():
    assert domain_labels(np.array([1, "b"], object), 2).tolist() == ["1", "b"]
    assert domain_labels(np.array([1, 2.5], object), 2).tolist() == [1.0, 2.5]


def test_without_domains_all_samples_are_source_and_target():
    domains = resolve_domains(None, "t", 3)
    assert domains.source.all()
    assert domains.target.all()
    assert domains.sources == domains.targets
    assert not domains.given


@pytest.mark.parametrize(
    ("domain", "target", "text"),
    [
        (["a"], "t", r"domain: expected one label per sample, .*\(3,\), got shape \(1,\)"),
        ([["a"]] * 3, "t", r"got shape \(3, 1\)\. tl\.data\.stack_domains builds"),
        (["a", None, "t"], "t", "domain: expected a label for every sample, got None or NaN"),
        (np.array(["a", np.nan, "t"], object), "t", "for every sample, got None or NaN"),
        (["a", np.nan, "t"], "t", "for every sample, got None or NaN"),
        ([0.0, np.nan, 1.0], 1.0, "domain: expected a label for every sample, got NaN"),
        (["a", "b", "c"], "t", "target: no sample belongs to domain 't'; .* 'a', 'b', 'c'"),
        (["a", "b", "t"], ["t", "u"], "target: no sample belongs to domain 'u'"),
        (["t", "t", "t"], "t", r"domain: all samples belong to target domains \('t'\), there is"),
        (["a", "b", "t"], [], "target: expected the label of a domain or a list of them, got none"),
        ([0, 1, 1], "1", "target: no sample belongs to domain '1'"),
    ],
)
def test_domains_that_do_not_fit(domain, target, text):
    with pytest.raises(InputError, match=text):
        resolve_domains(domain, target, 3)


def test_missing_domains_of_pandas():
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    for domain in (["a", pandas.NA, "t"], pandas.Series([1, None, 2], dtype="Int64")):
        with pytest.raises(InputError, match=r"domain: expected a label for every .* NaN"):
            resolve_domains(domain, "t", 3)


def test_many_names_are_shortened():
    with pytest.raises(InputError, match="'5' and 3 more"):
        resolve_domains([str(i) for i in range(9)], "t", 9)


def test_stacking():
    X, y, domain = stack_domains(
        photos=([[0.0, 1.0], [2.0, 3.0]], [1, 0]), sketches=(np.ones((1, 2)), None)
    )
    assert X.tolist() == [[0, 1], [2, 3], [1, 1]]
    assert y.tolist() == [1, 0, -1]
    assert y.dtype == np.int64
    assert domain.tolist() == ["photos", "photos", "sketches"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0.5, 1.5], [0.5, 1.5, None]),
        (["a", "b"], ["a", "b", None]),
        (["a", -1], ["a", -1, None]),
        (np.array([True, False]), [1, 0, -1]),
        (np.array([1, 2], np.uint8), [1, 2, -1]),
    ],
)
def test_marks_of_unlabelled_samples(labels, expected):
    _, y, _ = stack_domains(source=(np.zeros((2, 1)), labels), target=(np.zeros((1, 1)), None))
    assert [None if value != value else value for value in y.tolist()] == expected


def test_stacking_sparse_samples():
    part = scipy.sparse.csr_matrix([[0.0, 1.0]])
    X, y, domain = stack_domains(source=(part, [1]), target=(np.array([[2.0, 0.0]]), [0]))
    assert scipy.sparse.issparse(X)
    assert X.format == "csr"
    assert X.toarray().tolist() == [[0, 1], [2, 0]]
    assert y.tolist() == [1, 0]
    assert domain.tolist() == ["source", "target"]


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, "stack_domains: expected at least one domain, as name="),
        ({"source": np.zeros((2, 2))}, r"source: expected \(X, y\), with y=None for a domain"),
        ({"source": ([1.0, 2.0], None)}, r"source: expected X of shape .* got \(2,\)"),
        ({"source": (np.zeros((2, 1)), [1])}, r"source: expected y of shape \(2,\), .* got \(1,\)"),
        (
            {"a": (np.zeros((2, 1)), None), "b": (np.zeros((2, 3)), None)},
            r"different numbers of features, \{'a': 1, 'b': 3\}",
        ),
    ],
)
def test_parts_that_do_not_stack(parts, text):
    with pytest.raises(InputError, match=text):
        stack_domains(**parts)


def test_neighbours_are_selected_without_a_copy():
    X = np.arange(12.0).reshape(6, 2)
    for mask, shares in (([0, 1, 1, 1, 0, 0], True), ([0, 1, 0, 1, 0, 0], False), ([0] * 6, False)):
        mask = np.array(mask, bool)
        found = X[rows_of(mask)]
        np.testing.assert_array_equal(found, X[mask])
        assert np.shares_memory(found, X) == shares


def test_a_source_whose_name_begins_as_the_targets_is_pointed_out():
    labels = ["source", "target", "target_a"]
    with pytest.warns(UserWarning, match="'target_a' is a source here"):
        assert resolve_domains(labels, "target", 3).sources == ("source", "target_a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolve_domains(labels, ["target", "target_a"], 3)
        resolve_domains(labels, "source", 3)
