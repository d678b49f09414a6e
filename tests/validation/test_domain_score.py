import numpy as np
import pytest
from shifted import shifted
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from tl_keras import InputError
from tl_keras.arrays import LabelledOnly
from tl_keras.validation import DomainSplit, cross_validate, domain_score

MODELS = (LogisticRegression, LinearRegression)


def test_each_side_is_scored_by_itself():
    X, _, domain, truth = shifted(move=0.5)
    X[domain == "target"] += [0.8, 0.0]
    model = LogisticRegression().fit(X[:60], truth[:60])
    told = model.predict(X)
    for side in ("source", "target"):
        rows = domain == side
        expected = np.mean(told[rows] == truth[rows])
        assert domain_score(on=side)(model, X, truth, domain=domain) == expected
        expected = balanced_accuracy_score(truth[rows], told[rows])
        value = domain_score("balanced_accuracy", on=side)(model, X, truth, domain=domain)
        assert value == pytest.approx(expected)
    assert np.mean(told[:60] == truth[:60]) != np.mean(told[60:] == truth[60:])


def test_unlabelled_samples_do_not_count():
    X, y, domain, truth = shifted()
    y[60:70] = truth[60:70]
    model = LogisticRegression().fit(X[:60], truth[:60])
    expected = np.mean(model.predict(X[60:70]) == truth[60:70])
    for labels in (y, np.where(y == -1, np.nan, y), np.where(y == -1, None, y.astype(object))):
        assert domain_score()(model, X, labels, domain=domain) == expected


@pytest.mark.parametrize("mark", [-1, None, np.nan])
def test_lists_of_strings_keep_their_marks(mark):
    X, y, domain, truth = shifted()
    y[60:70] = truth[60:70]
    words = [mark if label == -1 else "ny"[label] for label in y]
    model = LogisticRegression().fit(X[:60], words[:60])
    expected = np.mean(model.predict(X[60:70]) == words[60:70])
    assert domain_score()(model, X, words, domain=domain.tolist()) == expected


def test_missing_labels_of_pandas_do_not_count():
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    X, y, domain, truth = shifted()
    y[60:70] = truth[60:70]
    labels = [pandas.NA if label == -1 else label for label in y.tolist()]
    classifier, regressor = (kind().fit(X[:60], truth[:60]) for kind in MODELS)
    expected = np.mean(classifier.predict(X[60:70]) == truth[60:70])
    assert domain_score()(classifier, X, labels, domain=domain) == expected
    expected = regressor.score(X[60:70], truth[60:70])
    assert domain_score()(regressor, X, labels, domain=domain) == pytest.approx(expected)


def test_hidden_labels_reach_the_score_but_not_the_estimator():
    X, y, domain, truth = shifted()
    seen = []

    class Spy(LogisticRegression):
        def fit(self, X, y):
            seen.append((len(y), set(y)))
            return super().fit(X, y)

    result = cross_validate(
        LabelledOnly(Spy()),
        X,
        y,
        domain=domain,
        target_labels=truth,
        scoring=domain_score(),
        cv=DomainSplit(3, random_state=0),
        return_estimator=True,
    )
    assert [count for count, _ in seen] == [40, 40, 40]
    assert all(labels == {0, 1} for _, labels in seen)
    splits = DomainSplit(3, random_state=0).split(X, y, domain=domain)
    for value, model, (_, test) in zip(
        result["test_score"], result["estimator"], splits, strict=True
    ):
        rows = test[domain[test] == "target"]
        assert value == np.mean(model.predict(X[rows]) == truth[rows])


def test_errors():
    X, y, domain, _ = shifted()
    model = LogisticRegression().fit(X[:60], y[:60])
    with pytest.raises(InputError, match=r"y: no target sample has a label\. Hand over labels"):
        domain_score()(model, X, y, domain=domain)
    with pytest.raises(InputError, match="on: expected 'target' or 'source', got 'both'"):
        domain_score(on="both")(model, X, y, domain=domain)
    with pytest.raises(InputError, match="y: this score needs labels, got None"):
        domain_score()(model, X, domain=domain)
    with pytest.raises(InputError, match=r"y: expected shape \(120,\), got \(2,\)"):
        domain_score()(model, X, [0, 1], domain=domain)
