"""Every method on arrays as a function of samples, labels and domains."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from tl_keras import divergences, features, instances, relations, validation

__all__ = ["METHODS", "Method"]


@dataclasses.dataclass(frozen=True)
class Method:
    """A method.

    Attributes:
        apply: Takes `X`, `y` and `domain`, and returns what has to be finite.
        regression: Whether labels are values.
        per_sample: Whether it returns something for every sample.
        delegates: Whether it hands samples over to estimators of the user, which say in their own
            way what they do not take.
    """

    apply: Callable[[Any, Any, Any], Any]
    regression: bool = False
    per_sample: bool = True
    delegates: bool = False


def _weights(weighter: Callable[[], Any]) -> Method:
    return Method(lambda X, y, domain: weighter().fit(X, y, domain=domain).weights_)


def _map(transformer: Callable[[], Any]) -> Method:
    def apply(X: Any, y: Any, domain: Any) -> Any:
        fitted = transformer()
        mapped = fitted.fit_transform(X, y, domain=domain)
        again = fitted.transform(X, domain=domain)
        if again.shape != mapped.shape:
            raise AssertionError(f"{again.shape} from transform, {mapped.shape} from fit_transform")
        return mapped

    return Method(apply)


def _predictions(estimator: Callable[[], Any], regression: bool) -> Method:
    def apply(X: Any, y: Any, domain: Any) -> Any:
        return estimator().fit(X, y, domain=domain).predict(X)

    return Method(apply, regression, delegates=True)


def _score(score: Callable[[], Any]) -> Method:
    def apply(X: Any, y: Any, domain: Any) -> Any:
        model = make_pipeline(features.CORAL(), LogisticRegression())
        splits = validation.SourceTargetShuffleSplit(
            n_splits=2, source_test_size=0.5, target_test_size=0.5, random_state=0
        )
        found = validation.cross_validate(model, X, y, domain=domain, scoring=score(), cv=splits)
        return found["test_score"]

    return Method(apply, per_sample=False, delegates=True)


def _split(splitter: Callable[[], Any]) -> Method:
    def apply(X: Any, y: Any, domain: Any) -> Any:
        parts = list(splitter().split(X, y, domain=domain))
        if any(set(train) & set(test) or not len(test) for train, test in parts):
            raise AssertionError("a split whose parts overlap, or an empty one")
        return np.concatenate([np.concatenate(part) for part in parts])

    return Method(apply, per_sample=False)


def _divergence(divergence: Callable[[Any, Any], float]) -> Method:
    def apply(X: Any, y: Any, domain: Any) -> Any:
        cut = isinstance(X, np.ndarray) and X.ndim > 0
        return divergence(X[:14], X[14:]) if cut else divergence(X, X)

    return Method(apply, per_sample=False)


def _weighted(estimator: Any) -> Callable[[], Any]:
    return lambda: instances.WeightedEstimator(estimator, instances.ULSIF(random_state=0))


def _boosted() -> Any:
    return instances.TwoStageTrAdaBoostRegressor(steps=3, n_estimators=3, cv=2, random_state=0)


METHODS: dict[str, Method] = {
    **{
        name: _weights(getattr(instances, name))
        for name in (
            *("BalancedWeighting", "DomainClassifierWeighting", "KernelMeanMatching", "KLIEP"),
            *("NearestNeighborWeighting", "RULSIF", "ULSIF"),
        )
    },
    "WeightedEstimator of classes": _predictions(_weighted(LogisticRegression()), False),
    "WeightedEstimator of values": _predictions(_weighted(Ridge()), True),
    "TrAdaBoostClassifier": _predictions(
        lambda: instances.TrAdaBoostClassifier(n_estimators=6, random_state=0), False
    ),
    "TrAdaBoostRegressor": _predictions(
        lambda: instances.TrAdaBoostRegressor(n_estimators=6, random_state=0), True
    ),
    "TwoStageTrAdaBoostRegressor": _predictions(_boosted, True),
    **{name: _map(getattr(features, name)) for name in features.__all__},
    **{name: _map(getattr(relations, name)) for name in relations.__all__},
    "divergence_score": _score(validation.divergence_score),
    "domain_score": _score(lambda: validation.domain_score(on="source")),
    "importance_weighted_score": _score(validation.importance_weighted_score),
    "reverse_validation": _score(validation.reverse_validation),
    "circular_validation": _score(validation.circular_validation),
    "DomainSplit": _split(lambda: validation.DomainSplit(2, random_state=0)),
    "LeaveOneDomainOut": _split(lambda: validation.LeaveOneDomainOut(random_state=0)),
    "SourceTargetShuffleSplit": _split(
        lambda: validation.SourceTargetShuffleSplit(n_splits=2, random_state=0)
    ),
    **{name: _divergence(getattr(divergences, name)) for name in divergences.__all__},
}
"""Name → method. Those with parameters that cost time have small ones."""
