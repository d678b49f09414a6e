"""Two classes in several domains, each moved by some way of its own."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


def shifted(seed=0, sources=("source",), targets=("target",), n=60, move=1.5, hidden=True):
    """Return X, y, domain and all labels; domain number k is moved by k · move along axis 1."""
    random = np.random.default_rng(seed)
    X, truth, domain = [], [], []
    for k, name in enumerate((*sources, *targets)):
        label = np.arange(n) % 2
        points = random.normal(0, 0.6, (n, 2)) + np.array([[-1.0, 0.0], [1.0, 0.0]])[label]
        X.append(points + np.array([0.0, k * move]))
        truth.append(label)
        domain.append(np.full(n, name))
    X, truth, domain = np.concatenate(X), np.concatenate(truth), np.concatenate(domain)
    y = np.where(np.isin(domain, targets), -1, truth) if hidden else truth
    return X, y, domain, truth


class Recorder(ClassifierMixin, BaseEstimator):
    """A classifier of the first feature's sign that keeps what it is called with."""

    __metadata_request__fit = {"domain": True}  # noqa: RUF012
    __metadata_request__predict = {"domain": True}  # noqa: RUF012

    fits = []  # noqa: RUF012
    predictions = []  # noqa: RUF012

    def __init__(self, target="target", flip=False):
        self.target = target
        self.flip = flip

    def fit(self, X, y, *, domain=None):
        Recorder.fits.append((self.target, X, y, domain))
        labels = [label for label in y.tolist() if label not in (-1, None) and label == label]
        self.classes_ = np.unique(labels)
        return self

    def predict(self, X, *, domain=None):
        Recorder.predictions.append((self.target, X, domain))
        chosen = (X[:, 0] > 0) != self.flip
        return self.classes_[chosen.astype(int) % len(self.classes_)]
