"""How near each library comes to the optimum that kernel mean matching and KLIEP define.

A library that stops early is fast; the tables of seconds are to be read beside this one.
"""

import numpy as np
from sklearn.metrics.pairwise import rbf_kernel

from benchmarks.arrays.domains import Domains, blobs
from benchmarks.arrays.methods import BOUND, Method, load_adapt, load_skada, methods, runner, width
from tl_keras.data import stack_domains


def at_the_optimum(size: int):
    """Yield the lines of the table, for blobs of so many samples a domain."""
    domains = blobs(size)
    g = width(domains)
    named = {method.name: method for method in methods()}
    yield f"| {size:,} samples a domain | ours | ADAPT | skada |"
    yield "|-|-|-|-|"
    objectives = [
        matching_objective(np.ravel(runner(named["KMM"], library)(domains, g)()[2]), domains, g)
        for library in ("ours", "ADAPT", "skada")
    ]
    best = min(objectives)
    cells = " | ".join(f"{(one - best) / abs(best):.1e}" for one in objectives)
    yield f"| KMM: objective above the least, relative | {cells} |"
    cells = " | ".join(f"{one:.4f}" for one in likelihoods(named["KLIEP"], domains, g))
    yield f"| KLIEP: mean log ratio of target samples, the greater the better | {cells} |"


def matching_objective(weights: np.ndarray, domains: Domains, g: float) -> float:
    """Return `½ βᵀKβ − κᵀβ` of the best multiple `β` of the weights that the constraints allow."""
    count = len(weights)
    gram = rbf_kernel(domains.Xs, gamma=g)
    linear = count * rbf_kernel(domains.Xs, domains.Xt, gamma=g).mean(axis=1)
    quadratic, along = weights @ gram @ weights, linear @ weights
    slack = 1.0 - 1.0 / np.sqrt(count)
    least, most = (1.0 - slack) / weights.mean(), (1.0 + slack) / weights.mean()
    scale = np.clip(along / quadratic, least, min(most, BOUND / weights.max()))
    return float(scale**2 * quadratic / 2 - scale * along)


def likelihoods(method: Method, domains: Domains, g: float) -> tuple[float, float, float]:
    """Return the mean of `log r(t)` over target samples, with `r` of mean one over the source."""
    X, y, domain = stack_domains(source=(domains.Xs, domains.ys), target=(domains.Xt, None))
    ours = method.ours(g).fit(X, domain=domain)
    adapt = method.adapt(load_adapt(), g)
    adapt.fit_weights(domains.Xs, domains.Xt)
    skada = method.skada(load_skada(), g)
    skada.fit(X, y, sample_domain=np.where(domain == "target", -2, 1))
    ratios = (
        (ours.density_ratio(domains.Xs), ours.density_ratio(domains.Xt)),
        *(
            tuple(
                rbf_kernel(side, np.asarray(centres), gamma=g) @ np.ravel(shares)
                for side in (domains.Xs, domains.Xt)
            )
            for shares, centres in ((adapt.alphas_, adapt.centers_), (skada.alpha_, skada.centers_))
        ),
    )
    return tuple(float(np.log(target / source.mean()).mean()) for source, target in ratios)
