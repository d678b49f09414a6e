"""Importance-weighted score."""

from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import clone

from tl_keras.arrays.domains import Domains
from tl_keras.instances import DomainClassifierWeighting
from tl_keras.utils.errors import InputError
from tl_keras.validation.domain_calls import WithDomain, mapped_features, rows_of, score
from tl_keras.validation.domain_scorer import DomainScorer, source_labels


class ImportanceWeightedScore(DomainScorer):
    """The scorer that `importance_weighted_score` returns."""

    def __init__(
        self,
        metric: Any = None,
        weighter: Any = None,
        space: str = "mapped",
        target: Any = None,
    ):
        self.metric = metric
        self.weighter = weighter
        self.space = space
        self.target = target

    def _score(self, estimator: Any, X: Any, y: Any, domains: Domains) -> float:
        if self.space not in ("mapped", "input"):
            raise InputError(f"space: expected 'mapped' or 'input', got {self.space!r}.")
        y = source_labels(estimator, y, domains)
        source = domains.source
        samples = rows_of(X, source)
        features = mapped_features(estimator, X, domains.label) if self.space == "mapped" else None
        weight = self._weights(X if features is None else features, domains)
        if self.space == "mapped":
            estimator = WithDomain(estimator, domains.label[source])
        return score(self.metric, estimator, samples, y[source], weight)

    def _weights(self, features: Any, domains: Domains) -> np.ndarray:
        features = features.tocsr() if scipy.sparse.issparse(features) else np.asarray(features)
        weighter = DomainClassifierWeighting() if self.weighter is None else clone(self.weighter)
        targets = domains.targets[0] if len(domains.targets) == 1 else list(domains.targets)
        weighter.set_params(target=targets).fit(features, domain=domains.label)
        return weighter.weights_[domains.source]


def importance_weighted_score(
    metric: Any = None, *, weighter: Any = None, space: str = "mapped", target: Any = None
) -> ImportanceWeightedScore:
    """Return a scorer that needs no target labels: source samples count as much as they resemble.

    `Σ w(xᵢ) s(f(xᵢ), yᵢ) / Σ w(xᵢ)` over the source samples, where `w` is the ratio of target
    density to source density. It estimates the score on the target if labels depend on features
    in both domains alike and the source covers the target. With few effective samples, of which
    `DegenerateWeights` warns, it says little.

    Where that assumption shall hold is the choice of `space`. For an estimator that maps features
    it is usually meant to hold after the map: the ratio is estimated there, and source samples
    take the map of their own domain. skada weighs in the input space and maps as source, which
    fits neither assumption.

    Args:
        metric: Name of a scikit-learn score that takes `sample_weight`, or a function
            `(estimator, X, y, sample_weight=…)`; None: accuracy for classifiers, R² for
            regressors.
        weighter: Any estimator of `tl.instances` with `weights_`, which is cloned; None:
            `DomainClassifierWeighting()`.
        space: `"mapped"`: weights of the features that the learner at the end of a pipeline sees;
            `"input"`: weights of the features as they came, and source samples are mapped as
            target, as in use. The same for estimators without a map.
        target: Label of the target domain, or a list of labels; None takes the estimator's
            parameter `target`, or `"target"` if it has none.

    Returns:
        A scorer `(estimator, X, y, *, domain)`, higher is better.

    Raises:
        InputError: When called, if source labels are missing or the metric takes no weights.

    Example:
        >>> import numpy as np
        >>> from sklearn.linear_model import LogisticRegression
        >>> X = np.array([[0.0], [1.0]] * 10 + [[0.1], [1.1]] * 10)
        >>> y, domain = np.array([0, 1] * 10 + [-1] * 20), np.repeat(["source", "target"], 20)
        >>> model = LogisticRegression().fit(X[:20], y[:20])
        >>> importance_weighted_score()(model, X, y, domain=domain)
        1.0

    References:
        Sugiyama, Krauledat, Müller: Covariate Shift Adaptation by Importance Weighted Cross
        Validation. JMLR 8, 2007. You, Wang, Long, Jordan: Towards Accurate Model Selection in Deep
        Unsupervised Domain Adaptation. ICML, 2019 (weights of mapped features).
    """
    return ImportanceWeightedScore(metric, weighter, space, target)
