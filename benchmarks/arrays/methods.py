"""What is compared: each method as our class and as the peers' classes, with equal settings.

Every library is a function from two domains to what a classifier is trained on: source samples,
target samples and weights of the source samples. Imports are inside, because each library is timed
in a process of its own.
"""

import dataclasses
import types
from collections.abc import Callable

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

from benchmarks import peers
from benchmarks.arrays.domains import Domains

COMPONENTS = 20
LABELLED = 5
MU = 0.1
"""The peers' weight on the distance of domains, their default as `regularization` is ours."""
BOUND = 50.0
"""Largest weight in kernel mean matching; the usual 1,000 binds none of 1,000 samples."""
LIBRARIES = ("ours", "ADAPT", "skada")

Adapted = tuple[np.ndarray, np.ndarray, np.ndarray | None]
Work = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Method:
    """One method in up to three libraries.

    Attributes:
        name: For the table.
        ours: From the width of the kernel to our estimator.
        adapt: From the width to ADAPT's estimator, given the module of its classes.
        skada: From the width to skada's adapter, given the module.
        weights: Whether the result is weights and not a map.
        labels: Whether some labels of the target are needed: then the estimator classifies.
        timed: Whether it is measured by size as well.
    """

    name: str
    ours: Callable[[float], BaseEstimator]
    adapt: Callable | None = None
    skada: Callable | None = None
    weights: bool = False
    labels: bool = False
    timed: bool = True


def methods() -> list[Method]:
    """Return all methods."""
    from tl_keras import features, instances

    quiet = {"verbose": 0, "random_state": 0}
    return [
        Method(
            "KMM",
            lambda g: instances.KernelMeanMatching(gamma=g, bound=BOUND, random_state=0),
            lambda m, g: m.KMM(kernel="rbf", gamma=g, B=BOUND, **quiet),
            lambda m, g: m.KMMReweightAdapter(kernel="rbf", gamma=g, B=BOUND),
            weights=True,
        ),
        Method(
            "KLIEP",
            lambda g: instances.KLIEP(gamma=g, random_state=0),
            lambda m, g: m.KLIEP(kernel="rbf", gamma=g, **quiet),
            lambda m, g: m.KLIEPReweightAdapter(gamma=g, random_state=0),
            weights=True,
        ),
        Method(
            "RULSIF",
            lambda g: instances.RULSIF(gamma=g, random_state=0),
            lambda m, g: m.RULSIF(kernel="rbf", gamma=g, lambdas=[0.01, 0.1, 1.0], **quiet),
            weights=True,
        ),
        Method(
            "domain classifier",
            lambda g: instances.DomainClassifierWeighting(
                classifier=LogisticRegression(max_iter=1000), random_state=0
            ),
            lambda m, g: m.IWC(classifier=LogisticRegression(max_iter=1000), **quiet),
            lambda m, g: m.DiscriminatorReweightAdapter(LogisticRegression(max_iter=1000)),
            weights=True,
        ),
        Method(
            "nearest neighbours",
            lambda g: instances.NearestNeighborWeighting(),
            # ADAPT never smooths.
            lambda m, g: m.NearestNeighborsWeighting(n_neighbors=1, **quiet),
            lambda m, g: m.NearestNeighborReweightAdapter(n_neighbors=1, laplace_smoothing=True),
            weights=True,
        ),
        Method(
            "subspace alignment",
            lambda g: features.SubspaceAlignment(COMPONENTS, random_state=0),
            lambda m, g: m.SA(n_components=COMPONENTS, **quiet),
            lambda m, g: m.SubspaceAlignmentAdapter(COMPONENTS, random_state=0),
        ),
        Method(
            "CORAL",
            lambda g: features.CORAL(),
            lambda m, g: m.CORAL(lambda_=1e-5, **quiet),
        ),
        Method(
            "CORAL, means aligned",
            lambda g: features.CORAL("auto", align_means=True),
            skada=lambda m, g: m.CORALAdapter(),
        ),
        Method(
            "TCA",
            lambda g: features.TransferComponentAnalysis(COMPONENTS, gamma=g, random_state=0),
            lambda m, g: m.TCA(n_components=COMPONENTS, mu=MU, kernel="rbf", gamma=g, **quiet),
            lambda m, g: m.TransferComponentAnalysisAdapter("rbf", COMPONENTS, mu=MU),
        ),
        Method(
            "optimal transport",
            lambda g: features.OptimalTransportMapping(random_state=0),
            skada=lambda m, g: m.EntropicOTMappingAdapter(reg_e=0.1, norm="median"),
        ),
        Method(
            "GFK",
            lambda g: features.GeodesicFlowKernel(),
            timed=False,
        ),
        Method(
            "JDA",
            lambda g: features.JointDistributionAdaptation(COMPONENTS, gamma=g, random_state=0),
        ),
        Method(
            "BDA",
            lambda g: features.BalancedDistributionAdaptation(COMPONENTS, gamma=g, random_state=0),
            timed=False,
        ),
        Method(
            "TrAdaBoost",
            lambda g: instances.TrAdaBoostClassifier(
                LogisticRegression(max_iter=300), n_estimators=10, random_state=0
            ),
            lambda m, g: m.TrAdaBoost(LogisticRegression(max_iter=300), n_estimators=10, **quiet),
            labels=True,
        ),
    ]


def width(domains: Domains) -> float:
    """Return one over the median squared distance of a thousand samples."""
    from sklearn.metrics import pairwise_distances

    random = np.random.default_rng(0)
    X = np.concatenate([domains.Xs, domains.Xt])
    some = X[random.permutation(len(X))[:1000]]
    squares = pairwise_distances(some, metric="sqeuclidean")
    return 1.0 / float(np.median(squares[np.triu_indices_from(squares, 1)]))


def runner(method: Method, library: str) -> Callable[[Domains, float], Work] | None:
    """Return the function that prepares one method's work, or None if the library lacks it.

    It brings the domains into the form that the library asks for. The work returns source samples,
    target samples and weights, or a fitted classifier where the method is one.
    """
    if library == "ours":
        return lambda domains, g: _ours(method, method.ours(g), domains)
    make = method.adapt if library == "ADAPT" else method.skada
    if make is None:
        return None
    module = load_adapt() if library == "ADAPT" else load_skada()
    run = _adapt if library == "ADAPT" else _skada
    return lambda domains, g: run(method, make(module, g), domains)


def labelled(domains: Domains) -> np.ndarray:
    """Return positions of five target samples of each class."""
    random = np.random.default_rng(0)
    rows = [
        random.choice(np.flatnonzero(domains.yt == label), LABELLED, replace=False)
        for label in np.unique(domains.yt)
    ]
    return np.concatenate(rows)


def load_adapt() -> types.SimpleNamespace:
    """Return ADAPT's classes."""
    return _together([peers.adapt(f"{name}_based") for name in ("instance", "feature")])


def load_skada() -> types.SimpleNamespace:
    """Return skada's adapters."""
    return _together([peers.skada(name) for name in ("_reweight", "_subspace", "_mapping")])


def _together(modules: list[types.ModuleType]) -> types.SimpleNamespace:
    return types.SimpleNamespace(**{k: v for one in modules for k, v in vars(one).items()})


def _ours(method: Method, estimator: BaseEstimator, domains: Domains) -> Work:
    from tl_keras.data import stack_domains

    count = len(domains.ys)
    if method.labels:
        rows = labelled(domains)
        X, y, domain = stack_domains(
            source=(domains.Xs, domains.ys), target=(domains.Xt[rows], domains.yt[rows])
        )
        return lambda: estimator.fit(X, y, domain=domain)
    X, y, domain = stack_domains(source=(domains.Xs, domains.ys), target=(domains.Xt, None))
    if method.weights:
        return lambda: (domains.Xs, domains.Xt, estimator.fit(X, domain=domain).weights_[:count])

    def mapped() -> Adapted:
        Z = estimator.fit_transform(X, y, domain=domain)
        return Z[:count], Z[count:], None

    return mapped


def _adapt(method: Method, estimator, domains: Domains) -> Work:
    Xs, Xt = domains.Xs, domains.Xt
    if method.labels:
        rows = labelled(domains)
        return lambda: estimator.fit(Xs, domains.ys, Xt=Xt[rows], yt=domains.yt[rows])
    if method.weights:
        return lambda: (Xs, Xt, estimator.fit_weights(Xs, Xt))
    return lambda: (estimator.fit_transform(Xs, Xt), estimator.transform(Xt, domain="tgt"), None)


def _skada(method: Method, adapter, domains: Domains) -> Work:
    count = len(domains.ys)
    X = np.concatenate([domains.Xs, domains.Xt])
    y = np.concatenate([domains.ys, np.full(len(domains.yt), -1)])
    sign = np.repeat([1, -2], [count, len(domains.yt)])

    def work() -> Adapted:
        found = adapter.fit_transform(X, y, sample_domain=sign)
        if method.weights:
            return domains.Xs, domains.Xt, found[1]["sample_weight"][:count]
        return found[:count], found[count:], None

    return work
