"""Optimal transport: each source sample moves to where the target has room for it."""

import dataclasses
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import OneToOneFeatureMixin
from sklearn.metrics.pairwise import pairwise_distances, pairwise_distances_argmin
from sklearn.utils import check_random_state

from tl_keras.arrays.base import DomainTransformer
from tl_keras.arrays.checks import is_number
from tl_keras.arrays.domains import Domains
from tl_keras.arrays.labels import labelled_samples, require_classes
from tl_keras.features.transport_plans import (
    Plan,
    entropic_plan,
    exact_plan,
    group_lasso_plan,
    import_pot,
)
from tl_keras.utils.errors import InputError
from tl_keras.utils.memory import check_memory

METHODS = ("sinkhorn", "exact", "group-lasso")
METRICS = ("sqeuclidean", "euclidean", "cityblock", "cosine")
BATCH = 2048


@dataclasses.dataclass(frozen=True)
class EntropicMap:
    """The map `x ↦ Σ_j softmax_j(log v_j − c(x, x_j) / ε) x_j` of an entropic plan.

    On the samples of the plan it is the barycentric map.
    """

    targets: np.ndarray
    log_target: np.ndarray
    metric: str
    scale: float

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return the images `(n, features)`."""
        images = np.empty((len(X), self.targets.shape[1]))
        for start in range(0, len(X), BATCH):
            cost = pairwise_distances(X[start : start + BATCH], self.targets, metric=self.metric)
            shares = softmax(self.log_target - cost / self.scale, axis=1)
            images[start : start + BATCH] = shares @ self.targets
        return images


@dataclasses.dataclass(frozen=True)
class NearestMap:
    """The barycentric map on the samples of a plan; others move as the nearest of those does."""

    sources: np.ndarray
    images: np.ndarray

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return the images `(n, features)`."""
        if np.array_equal(X, self.sources):
            return self.images.copy()
        nearest = pairwise_distances_argmin(X, self.sources)
        return X + (self.images - self.sources)[nearest]


def barycentres(plan: Plan, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return where the mass of each source sample goes on average; without mass it stays."""
    total = plan.mass.sum(axis=1)
    shares = plan.mass / np.where(total > 0, total, 1.0)[:, None]
    return np.where((total > 0)[:, None], shares @ targets, sources)


class OptimalTransportMapping(OneToOneFeatureMixin, DomainTransformer):
    """Move the source samples onto the target samples at the least total cost.

    Use it without target labels, when the shift is not the same everywhere and not linear, and
    the classes are as frequent in the target as in the sources. Needs POT:
    `pip install "tl_keras[transport]"`.

    A plan `γ` says how much of source sample `i` goes to target sample `j`; all samples of a side
    have the same weight. It is

    - `"sinkhorn"`: `argmin ⟨γ, C⟩ + ε Σ γ log γ`, smooth and fast;
    - `"exact"`: `argmin ⟨γ, C⟩`;
    - `"group-lasso"`: Sinkhorn's objective `+ η Σ_j Σ_c ‖γ(class c, j)‖₂`, so that a target sample
      receives from few source classes. Needs the sources' labels.

    `C` is the cost `c(x_i, x_j)` divided by its median. A source sample moves to the mean of the
    target samples that it goes to, `Σ_j γ_ij x_j / Σ_j γ_ij`; target samples stay as they are.
    A source sample that was not in the plan goes, with Sinkhorn's, where the plan's smooth
    extension says (`EntropicMap`), otherwise as far as the nearest one that was.

    Each source domain has a plan of its own to the target; several targets are pooled.

    A plan takes memory and time by `n · m`. Of a domain with more than `max_samples` samples, so
    many, drawn at random, make the plan; the others are mapped like new samples.

    Args:
        method: `"sinkhorn"`, `"exact"` or `"group-lasso"`.
        entropy: `ε`, above 0, in units of the median cost. The larger, the more the images
            contract to the target's mean; the smaller, the slower.
        class_strength: `η`, 0 or more, in the same units; of the group lasso only.
        metric: Cost `c`: `"sqeuclidean"`, `"euclidean"`, `"cityblock"` or `"cosine"`.
        max_samples: How many samples of each source domain and of the target make a plan, 2 or
            more; None: all.
        target: Label of the target domain, or a list of labels.
        random_state: Seed of the choice among more samples.

    Attributes:
        maps_: Source domain → its map, called with samples `(n, features)`.

    Raises:
        InputError: In `fit`, if POT is not installed, an argument is out of range, labels are
            missing for the group lasso, or a plan would not fit into memory.

    Example:
        >>> import numpy as np
        >>> X = np.array([[0.0], [1.0], [2.0], [10.0], [14.0], [18.0]])
        >>> domain = ["source"] * 3 + ["target"] * 3
        >>> mapping = OptimalTransportMapping("exact")
        >>> mapping.fit_transform(X, domain=domain)[:3].ravel().tolist()
        [10.0, 14.0, 18.0]

    Reference:
        N. Courty, R. Flamary, D. Tuia, A. Rakotomamonjy: Optimal transport for domain adaptation.
        IEEE Transactions on Pattern Analysis and Machine Intelligence 39 (9), 2017. Extensions:
        S. Ferradans et al., SIAM Journal on Imaging Sciences 7 (3), 2014; A.-A. Pooladian,
        J. Niles-Weed, arXiv:2109.12004.
    """

    def __init__(
        self,
        method: str = "sinkhorn",
        *,
        entropy: float = 0.1,
        class_strength: float = 1.0,
        metric: str = "sqeuclidean",
        max_samples: int = 2000,
        target: Any = "target",
        random_state: Any = None,
    ):
        self.method = method
        self.entropy = entropy
        self.class_strength = class_strength
        self.metric = metric
        self.max_samples = max_samples
        self.target = target
        self.random_state = random_state

    def _fit(self, X: Any, y: np.ndarray | None, domains: Domains) -> None:
        self._check_parameters()
        import_pot()
        labels = self._labels_of_sources(y, domains)
        random = check_random_state(self.random_state)
        targets = X[self._chosen(domains.target, random)].astype(np.float64)
        self.maps_ = {}
        for name in domains.sources if domains.given else ():
            chosen = self._chosen(domains.of(name), random)
            sources = X[chosen].astype(np.float64)
            part = None if labels is None else labels[chosen]
            self.maps_[name] = self._mapping(sources, part, targets)

    def _map(self, X: Any, domain: Any) -> np.ndarray:
        mapping = self.maps_.get(domain)
        return X if mapping is None else mapping(X).astype(X.dtype, copy=False)

    def _mapping(self, sources: np.ndarray, labels: np.ndarray | None, targets: np.ndarray) -> Any:
        copies = {"sinkhorn": 6, "exact": 10, "group-lasso": 12}[self.method]
        check_memory(
            8.0 * copies * len(sources) * len(targets),
            type(self).__name__,
            f"Give max_samples, for instance {min(2000, len(sources), len(targets)) // 2 + 1}: so "
            "many samples of each side make the plan, the others are mapped like new ones.",
        )
        cost = pairwise_distances(sources, targets, metric=self.metric)
        unit = float(np.median(cost)) or float(cost.mean()) or 1.0
        cost /= unit
        if self.method == "sinkhorn":
            plan = entropic_plan(cost, self.entropy)
            return EntropicMap(targets, plan.log_target, self.metric, self.entropy * unit)
        if labels is None:
            plan = exact_plan(cost)
        else:
            plan = group_lasso_plan(cost, labels, self.entropy, self.class_strength)
        return NearestMap(sources, barycentres(plan, sources, targets))

    def _chosen(self, mask: np.ndarray, random: np.random.RandomState) -> np.ndarray:
        rows = np.flatnonzero(mask)
        if self.max_samples is None or len(rows) <= self.max_samples:
            return rows
        return np.sort(random.choice(rows, self.max_samples, replace=False))

    def _labels_of_sources(self, y: np.ndarray | None, domains: Domains) -> np.ndarray | None:
        if self.method != "group-lasso" or not domains.given:
            return None
        if y is None:
            raise InputError(
                "y: method='group-lasso' needs the classes of the source samples, got None. Give "
                "y with the target samples as −1, or use method='sinkhorn'."
            )
        labelled_samples(y, domains)
        require_classes(y[domains.source], "the source domains")
        return y

    def _check_parameters(self) -> None:
        for name, known in (("method", METHODS), ("metric", METRICS)):
            value = getattr(self, name)
            if value not in known:
                raise InputError(f"{name}: expected one of {', '.join(known)}, got {value!r}.")
        if not is_number(self.entropy, 0, above=True):
            raise InputError(f"entropy: expected a number above 0, got {self.entropy!r}.")
        if not is_number(self.class_strength, 0):
            raise InputError(
                f"class_strength: expected a number, 0 or more, got {self.class_strength!r}."
            )
        if self.max_samples is not None and not is_number(self.max_samples, 2, whole=True):
            raise InputError(
                f"max_samples: expected a whole number, 2 or more, or None, got "
                f"{self.max_samples!r}."
            )
