import numpy as np
import pytest
import sklearn
from shifted import Recorder, shifted
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from tests import oracles
from tl_keras import InputError
from tl_keras.arrays import LabelledOnly
from tl_keras.validation import circular_validation


def test_the_clone_sees_and_is_scored_on_all_source_samples():
    X, y, domain, _ = shifted()
    model = Recorder().fit(X, y, domain=domain)
    Recorder.fits.clear()
    value = circular_validation()(model, X, y, domain=domain)
    [(target, seen, labels, seen_domain)] = Recorder.fits
    assert target == "source"
    assert np.array_equal(seen, X)
    assert (labels[:60] == -1).all()
    assert np.array_equal(labels[60:], (X[60:, 0] > 0).astype(int))
    assert list(seen_domain) == list(domain)
    assert value == np.mean((X[:60, 0] > 0) == y[:60])


def test_nearest_neighbour_by_hand():
    # The target points take the labels of their neighbours and give them back.
    X = np.array([[0.0], [1.0], [2.0], [3.0], [0.4], [2.6], [1.4]])
    y = np.array([0, 0, 1, 1, -1, -1, -1])
    domain = np.array(["source"] * 4 + ["target"] * 3)
    model = LabelledOnly(KNeighborsClassifier(1)).fit(X, y, domain=domain)
    # Target labels: 0.4 → 0, 2.6 → 1, 1.4 → 0. Back: 0 → 0, 1 → 0 (1.4), 2 → 0 or 1: both 0.6 away,
    # so that the point is moved nearer to 1.4; 3 → 1.
    X[2] = 1.9
    assert circular_validation()(model, X, y, domain=domain) == 0.75


def test_labels_that_are_kept_are_not_scored():
    X, y, domain, truth = shifted()
    some = np.flatnonzero(domain == "target")[:30]
    y[some] = truth[some]
    model = Recorder().fit(X, y, domain=domain)
    Recorder.fits.clear()
    circular_validation()(model, X, y, domain=domain)
    labels = Recorder.fits[0][2]
    assert (labels[:60] >= 0).sum() == 30
    assert np.array_equal(Recorder.predictions[-1][1], X[:60][labels[:60] == -1])


def test_errors():
    X, y, domain, truth = shifted()
    model = Recorder().fit(X, y, domain=domain)
    with pytest.raises(InputError, match=r"y: all target samples are labelled, .*domain_score"):
        circular_validation()(model, X, truth, domain=domain)
    with pytest.raises(InputError, match="domain: CircularValidation needs the domain"):
        circular_validation()(model, X, y)


class BothWays(LogisticRegression):
    """A classifier of the labelled samples that takes the peers' arguments too."""

    def fit(self, X, y, Xt=None, sample_domain=None):
        known = np.asarray(y) != -1
        return super().fit(X[known], np.asarray(y)[known])

    def predict(self, X, sample_domain=None):
        return super().predict(X)


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_skada(seed):
    X, y, domain, _ = shifted(seed, n=40, move=0.5)
    X[domain == "target"] += [1.6, 0.0]
    model = BothWays().fit(X, y)
    skada = oracles.skada("metrics")
    with sklearn.config_context(enable_metadata_routing=True):
        peer = skada.CircularValidation()(model, X, y, sample_domain=np.where(y == -1, -2, 1))
    ours = circular_validation("balanced_accuracy")(model, X, y, domain=domain)
    assert ours == pytest.approx(peer, abs=1e-12)
    assert 0.5 < ours < 1


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_adapts_reverse_validation(seed):
    peer = oracles.adapt("metrics").reverse_validation
    X, y, domain, _ = shifted(seed, n=40, move=0.5)
    X[domain == "target"] += [1.6, 0.0]
    model = BothWays().fit(X, y)
    ours = circular_validation()(model, X, y, domain=domain)
    assert ours == pytest.approx(peer(model, X[:40], y[:40], X[40:]), abs=1e-12)
    assert 0.5 < ours < 1
