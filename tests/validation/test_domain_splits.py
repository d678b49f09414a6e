import pickle

import numpy as np
import pytest
import sklearn.model_selection
from shifted import shifted
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from tests import oracles
from tl_keras import InputError
from tl_keras.validation import DomainSplit, LeaveOneDomainOut, SourceTargetShuffleSplit
from tl_keras.validation.shares import dealt, share

SPLITTERS = [
    DomainSplit(3, random_state=0),
    LeaveOneDomainOut(random_state=0),
    SourceTargetShuffleSplit(4, random_state=0),
]


def uneven(seed=0):
    """Sources a (60) and b (21) with classes 3:1 and 1:1:1, target (40) with unlabelled ones."""
    random = np.random.default_rng(seed)
    domain = np.repeat(["a", "b", "target"], [60, 21, 40])
    y = np.concatenate([np.arange(60) % 4 // 3, np.arange(21) % 3, np.full(40, -1)])
    y[81:93] = np.arange(12) % 2
    order = random.permutation(121)
    return np.zeros((121, 2)), y[order], domain[order]


@pytest.mark.parametrize("splitter", SPLITTERS, ids=lambda s: type(s).__name__)
def test_every_splitter(splitter):
    X, y, domain = uneven()
    splits = list(splitter.split(X, y, domain=domain))
    assert len(splits) == splitter.get_n_splits(X, y, domain=domain)
    for train, test in splits:
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(121))
        for side in (train, test):
            assert "target" in domain[side]
            assert set(domain[side]) & {"a", "b"}
    again = list(clone(splitter).split(X, y, domain=domain))
    copy = list(pickle.loads(pickle.dumps(splitter)).split(X, y, groups=domain))
    for one, two, three in zip(splits, again, copy, strict=True):
        assert np.array_equal(one[1], two[1])
        assert np.array_equal(one[1], three[1])
    other = list(clone(splitter).set_params(random_state=1).split(X, y, domain=domain))
    assert any(not np.array_equal(one[1], two[1]) for one, two in zip(splits, other, strict=True))
    assert type(splitter).__name__ in repr(splitter)


@pytest.mark.parametrize("splitter", SPLITTERS, ids=lambda s: type(s).__name__)
def test_errors_of_every_splitter(splitter):
    X, y, domain = uneven()
    with pytest.raises(InputError, match=r"domain: \w+ needs the domain of each sample.*groups="):
        list(splitter.split(X, y))
    with pytest.raises(InputError, match="target: no sample belongs to domain 'target'"):
        list(splitter.split(X, y, domain=["a"] * 121))
    with pytest.raises(
        InputError, match=r"y: expected one label per sample, .*\(121,\), got shape \(2,\)"
    ):
        list(splitter.split(X, [0, 1], domain=domain))
    with pytest.raises(InputError, match=r"domain: expected one label per sample, .*\(121,\)"):
        list(splitter.split(X, y, domain=["a"]))


def test_folds_hold_their_part_of_every_domain_and_class():
    for seed in range(3):
        X, y, domain = uneven(seed)
        tests = [test for _, test in DomainSplit(3, random_state=seed).split(X, y, domain=domain)]
        assert np.array_equal(np.sort(np.concatenate(tests)), np.arange(121))
        for name in ("a", "b", "target"):
            counts = [np.sum(domain[test] == name) for test in tests]
            assert max(counts) - min(counts) <= 1
            for label in np.unique(y[domain == name]) if name != "target" else ():
                counts = [np.sum((domain[test] == name) & (y[test] == label)) for test in tests]
                assert max(counts) - min(counts) <= 1


def test_hidden_target_labels_have_no_influence_and_kept_ones_are_spread():
    X, y, domain = uneven()
    other = y.copy()
    other[domain == "target"] = np.arange(40) % 3
    hidden, kept = DomainSplit(3, random_state=0), DomainSplit(3, random_state=0)
    kept.set_params(target_labels="kept")
    first, second = (list(hidden.split(X, labels, domain=domain)) for labels in (y, other))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
    first, second = (list(kept.split(X, labels, domain=domain)) for labels in (y, other))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
    spread = {"hidden": [], "kept": []}
    for seed in range(5):
        for name, splitter in (("hidden", hidden), ("kept", kept)):
            splitter.set_params(random_state=seed)
            for _, test in splitter.split(X, y, domain=domain):
                rows = test[domain[test] == "target"]
                spread[name].append(np.sum(y[rows] >= 0))
    assert set(spread["kept"]) == {4}
    assert len(set(spread["hidden"])) > 1


def test_without_shuffling_the_order_decides():
    domain = ["s", "s", "s", "s", "target", "target"]
    tests = [t for _, t in DomainSplit(2, shuffle=False).split(None, domain=domain)]
    assert [t.tolist() for t in tests] == [[0, 2, 4], [1, 3, 5]]


def test_strings_none_and_continuous_labels():
    X, y, domain = uneven()
    names = np.array([None if v == -1 else "class" + str(v) for v in y], object)
    expected = [test for _, test in DomainSplit(3, random_state=0).split(X, y, domain=domain)]
    given = [test for _, test in DomainSplit(3, random_state=0).split(X, names, domain=domain)]
    assert all(np.array_equal(a, b) for a, b in zip(expected, given, strict=True))
    kept = DomainSplit(3, target_labels="kept", random_state=0)
    pairs = zip(kept.split(X, y, domain=domain), kept.split(X, names, domain=domain), strict=True)
    assert all(np.array_equal(a[1], b[1]) for a, b in pairs)
    marked = [-1 if name is None else name for name in names]
    given = [test for _, test in kept.split(X, marked, domain=domain)]
    expected = [test for _, test in kept.split(X, y, domain=domain)]
    assert all(np.array_equal(a, b) for a, b in zip(expected, given, strict=True))
    values = np.random.default_rng(0).normal(size=121)
    for _, test in DomainSplit(3, random_state=0).split(X, values, domain=domain):
        # Every fold has small and large values.
        of_a = np.sort(values[domain == "a"])
        ranks = np.searchsorted(of_a, values[test[domain[test] == "a"]])
        assert abs(ranks.mean() - 29.5) < 1.5


def test_each_source_is_left_out_once():
    X, y, domain = uneven()
    splits = list(LeaveOneDomainOut(random_state=0).split(X, y, domain=domain))
    assert len(splits) == 2
    for name, (train, test) in zip(("a", "b"), splits, strict=True):
        assert set(domain[test]) == {name, "target"}
        assert np.sum(domain[test] == name) == np.sum(domain == name)
        assert name not in domain[train]
        assert np.sum(domain[test] == "target") == 20


def test_shares_of_a_shuffle_split():
    X, y, domain = uneven()
    splitter = SourceTargetShuffleSplit(
        20, source_test_size=0.2, target_test_size=0.5, random_state=0
    )
    tested = np.zeros(121)
    for train, test in splitter.split(X, y, domain=domain):
        assert np.sum(domain[test] == "target") == 20
        assert np.sum(domain[test] != "target") == 16
        assert 11 <= np.sum(domain[test] == "a") <= 13
        tested[test] += 1
        assert len(train) + len(test) == 121
    assert tested[domain == "target"].min() > 0
    assert np.ptp(tested) > 0
    from_source = SourceTargetShuffleSplit(1, source_test_size=0, target_test_size=0.25)
    [(train, test)] = from_source.split(X, y, domain=domain)
    assert set(domain[test]) == {"target"}
    assert len(test) == 10
    assert np.sum(domain[train] != "target") == 81


def test_sizes_agree_with_skada():
    model_selection = oracles.skada("model_selection")
    X, y, domain = uneven()
    signed = np.select([domain == "a", domain == "b"], [1, 2], -3)
    peer = model_selection.SourceTargetShuffleSplit(1, test_size=0.25, random_state=0)
    [(train, test)] = peer.split(X, y, sample_domain=signed)
    ours = SourceTargetShuffleSplit(1, source_test_size=0.25, target_test_size=0.25)
    [(our_train, our_test)] = ours.split(X, y, domain=domain)
    for a, b in ((train, our_train), (test, our_test)):
        for side in ("target", "source"):
            counts = [np.sum((domain[rows] == "target") == (side == "target")) for rows in (a, b)]
            assert abs(counts[0] - counts[1]) <= 1


def test_scikit_learn_without_routing_takes_groups():
    X, _, domain, truth = shifted(hidden=False)
    with sklearn.config_context(enable_metadata_routing=False):
        scores = sklearn.model_selection.cross_val_score(
            LogisticRegression(), X, truth, groups=domain, cv=DomainSplit(4, random_state=0)
        )
    assert scores.shape == (4,)
    assert scores.min() > 0.8


@pytest.mark.parametrize(
    ("splitter", "text"),
    [
        (DomainSplit(1), "n_splits: expected a whole number of 2 or more, got 1"),
        (DomainSplit("5"), "n_splits: expected a whole number of 2 or more, got '5'"),
        (DomainSplit(22), "domain: 'b' has 21 samples for 22 folds. Take fewer folds"),
        (DomainSplit(target_labels="no"), "target_labels: expected 'hidden' or 'kept', got 'no'"),
        (LeaveOneDomainOut(target=["b", "target"]), "domain: expected two source domains or more"),
        (SourceTargetShuffleSplit(0), "n_splits: expected a whole number of 1 or more, got 0"),
        (
            SourceTargetShuffleSplit(source_test_size=1.0),
            "source_test_size: expected a share of at least 0 and below 1, got 1.0",
        ),
        (
            SourceTargetShuffleSplit(target_test_size=0.99),
            "target_test_size: a share of 0.99 of 40 samples leaves none to train with",
        ),
        (
            SourceTargetShuffleSplit(source_test_size=0, target_test_size=0.01),
            "source_test_size, target_test_size: .* leave no sample to test",
        ),
    ],
)
def test_bad_settings(splitter, text):
    X, y, domain = uneven()
    with pytest.raises(InputError, match=text):
        list(splitter.split(X, y, domain=domain))


def test_too_few_target_samples_to_leave_a_domain_out():
    with pytest.raises(InputError, match="domain: 1 target samples for 2 source domains"):
        list(LeaveOneDomainOut().split(None, domain=["a", "b", "target"]))


def test_dealing_is_even_in_each_group_and_altogether():
    random = np.random.RandomState(0)
    groups = np.repeat([0, 1, 2, 3], [1, 2, 10, 7])
    for _ in range(10):
        fold = dealt(groups, 3, random)
        assert np.ptp(np.bincount(fold, minlength=3)) <= 1
        for group in range(4):
            assert np.ptp(np.bincount(fold[groups == group], minlength=3)) <= 1
        chosen = share(groups, 0.3, random)
        assert chosen.sum() == 6
        assert chosen[groups == 2].sum() in (2, 3, 4)
    assert share(groups, 0.0, random).sum() == 0
    assert share(groups, 1.0, random).all()


def test_values_and_rare_classes_are_split_by_chance():
    X, domain = np.zeros((140, 1)), np.repeat(["source", "target"], [100, 40])
    values = np.random.default_rng(0).normal(size=140)
    rare = np.where(np.arange(140) < 4, 1, 0)

    def tests(splitter, y):
        return [set(test[test < 100]) for _, test in splitter.split(X, y, domain=domain)]

    for y in (values, rare):
        found = tests(SourceTargetShuffleSplit(6, random_state=0), y)
        assert len({frozenset(one) for one in found}) == 6
        folds = [tests(DomainSplit(5, random_state=seed), y)[0] for seed in range(6)]
        assert len({frozenset(one) for one in folds}) == 6
    # Each of the four is in a test set with the same chance as all others: one in ten.
    splitter = SourceTargetShuffleSplit(2000, source_test_size=0.1, random_state=0)
    chosen = np.array([[row in test for row in range(100)] for test in tests(splitter, rare)])
    assert chosen.sum(axis=1).tolist() == [10] * 2000
    # The standard deviation of a share of 2,000 is .0067.
    assert abs(chosen.mean(axis=0) - 0.1).max() < 0.034
    assert set(chosen[:, :4].sum(axis=1)) == {0, 1}
