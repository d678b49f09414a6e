"""Small domains of which the source is partly wrong for the target."""

import numpy as np


def two_classes(seed=0, n_source=150, n_target=30, agreeing=0.5):
    """Return `X`, `y`, `domain`: a share of the source has the target's rule, the rest another."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n_source + n_target, 3))
    domain = np.repeat(["source", "target"], [n_source, n_target])
    odd = (domain == "source") & (np.arange(len(X)) >= agreeing * n_source)
    # Wrong samples lie in a region of their own, so that a learner can tell them apart.
    X[:, 2] += 2.0 * odd
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    y[odd] = (X[odd, 0] - X[odd, 1] > 0).astype(int)
    return X, y, domain


def three_classes(seed=0, n_source=150, n_target=40):
    """Return `X`, `y`, `domain`: sectors of the plane, turned a little in the source."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n_source + n_target, 2))
    domain = np.repeat(["source", "target"], [n_source, n_target])
    angle = np.arctan2(X[:, 1], X[:, 0]) + np.where(domain == "source", 0.5, 0.0)
    y = np.floor((angle + np.pi) / (2 * np.pi) * 3).astype(int) % 3
    return X, y, domain


def values(seed=0, n_source=120, n_target=20, slope=-2.0):
    """Return `X`, `y`, `domain`: half of the source has another slope than 2."""
    random = np.random.default_rng(seed)
    X = random.uniform(-1, 1, size=(n_source + n_target, 3))
    domain = np.repeat(["source", "target"], [n_source, n_target])
    odd = (domain == "source") & (np.arange(len(X)) >= n_source / 2)
    y = np.where(odd, slope, 2.0) * X[:, 0] + X[:, 1] + 0.1 * random.normal(size=len(X))
    return X, y, domain


def mean_errors(fits, slope, seeds=6):
    """Return mean errors in the target of what each of `fits(X, y, domain)` returns."""
    errors = []
    for seed in range(seeds):
        new = np.random.default_rng(100 + seed).uniform(-1, 1, (500, 3))
        truth = 2 * new[:, 0] + new[:, 1]
        models = fits(*values(seed=seed, n_target=12, slope=slope))
        errors.append([np.sqrt(np.mean((np.ravel(m.predict(new)) - truth) ** 2)) for m in models])
    return np.mean(errors, axis=0)
