"""TrAdaBoost on mushrooms split by the shape of their stalk, as in the paper."""

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from benchmarks.arrays.domains import Domains, mushroom
from tl_keras.instances import TrAdaBoostClassifier

ESTIMATOR = LogisticRegression(max_iter=1000)


def errors(domains: Domains, seed: int) -> tuple[float, float, float]:
    """Return the errors of the target alone, of both pooled, and of TrAdaBoost.

    1 % of the target has labels; the errors are those on the rest of it.
    """
    count = len(domains.yt)
    few = np.random.default_rng(seed).choice(count, round(0.01 * count), replace=False)
    test = np.setdiff1d(np.arange(count), few)
    X = np.concatenate([domains.Xs, domains.Xt[few]])
    y = np.concatenate([domains.ys, domains.yt[few]])
    domain = np.repeat(["source", "target"], [len(domains.ys), len(few)])
    Xt, yt = domains.Xt[test], domains.yt[test]
    if len(np.unique(domains.yt[few])) > 1:
        alone = clone(ESTIMATOR).fit(domains.Xt[few], domains.yt[few]).predict(Xt)
    else:
        alone = np.full(len(test), domains.yt[few][0])
    pooled = clone(ESTIMATOR).fit(X, y).predict(Xt)
    boosted = TrAdaBoostClassifier(ESTIMATOR).fit(X, y, domain=domain).predict(Xt)
    return tuple(float(np.mean(answer != yt)) for answer in (alone, pooled, boosted))


def tradaboost_on_mushrooms(seeds: int):
    """Yield the lines of the table of mean errors."""
    domains = mushroom()
    alone, pooled, boosted = np.mean([errors(domains, seed) for seed in range(seeds)], axis=0)
    met = "yes" if boosted <= min(alone, pooled) else "**no**"
    yield "| mushrooms, 1 % of the target's labels | mean error | must |"
    yield "|-|-|-|"
    yield f"| target only | {alone:.4f} | |"
    yield f"| both pooled | {pooled:.4f} | |"
    yield f"| TrAdaBoost | {boosted:.4f} | ≤ both: {met} |"
