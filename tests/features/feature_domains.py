"""Small domains for the tests of maps of features."""

import numpy as np
from sklearn.linear_model import LogisticRegression


def two_domains(seed=0, source=60, target=50, features=5):
    """Return correlated samples of a source and a target that differ in mean and covariance."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(2, features, features)) / np.sqrt(features) + np.eye(features)
    Xs = random.normal(size=(source, features)) @ mixing[0] + random.normal(size=features)
    Xt = random.normal(size=(target, features)) @ mixing[1] + 2 * random.normal(size=features)
    return Xs, Xt


def stacked(**parts):
    """Return X and domain of the given domains, in the order given."""
    domain = np.concatenate([np.full(len(X), name) for name, X in parts.items()])
    return np.vstack(list(parts.values())), domain


def stretched_classes(seed, samples=150, features=6):
    """Return `Xs, ys, Xt, yt`: three classes, the target stretched along some axes and moved."""
    random = np.random.default_rng(seed)
    centres, y = 3 * random.normal(size=(3, features)), np.arange(samples) % 3
    Xs = centres[y] + random.normal(size=(samples, features))
    Xt = centres[y] + random.normal(size=(samples, features))
    axes, _ = np.linalg.qr(random.normal(size=(features, features)))
    stretch = (axes * np.exp(0.5 * random.normal(size=features))) @ axes.T
    return Xs, y, Xt @ stretch + 6 * random.normal(size=features), y


def gains(transformer, seeds=range(8)):
    """Return the accuracy on the target before and after the map, `(seeds, 2)`."""
    rows = []
    for seed in seeds:
        Xs, ys, Xt, yt = stretched_classes(seed)
        X, domain = stacked(source=Xs, target=Xt)
        y = np.concatenate([ys, np.full(len(yt), -1)])
        mapped = transformer.fit_transform(X, y, domain=domain)
        before = LogisticRegression(max_iter=500).fit(Xs, ys).score(Xt, yt)
        after = LogisticRegression(max_iter=500).fit(mapped[: len(Xs)], ys)
        rows.append((before, after.score(mapped[len(Xs) :], yt)))
    return np.array(rows)
