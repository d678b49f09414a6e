"""What scores of adapted estimators have in common."""

import abc
from typing import Any

import numpy as np
import sklearn
from sklearn.base import BaseEstimator
from sklearn.utils import indexable
from sklearn.utils.metadata_routing import MetadataRequest

from tl_keras.arrays.domains import Domains, domain_labels, resolve_domains, target_labels
from tl_keras.arrays.labels import unlabelled
from tl_keras.arrays.marks import keep_marks
from tl_keras.utils.errors import InputError
from tl_keras.validation.domain_calls import known_labels, plain_labels


class DomainScorer(BaseEstimator, abc.ABC):
    """A score of a fitted estimator, called as `scorer(estimator, X, y, domain=domain)`.

    It asks for `domain` itself, so that `cross_validate` and `GridSearchCV` hand it over while
    metadata routing is switched on. Higher is better. A subclass has the parameter `target` and
    implements `_score`.
    """

    _metadata: tuple[str, ...] = ("domain",)

    @abc.abstractmethod
    def _score(self, estimator: Any, X: Any, y: Any, domains: Domains) -> float:
        """Return the score, with metadata routing switched on."""

    def __call__(self, estimator: Any, X: Any, y: Any = None, *, domain: Any = None) -> float:
        """Score a fitted estimator.

        Args:
            estimator: Fitted.
            X: `(n, features)`, of source and target domains.
            y: Labels `(n,)`; unlabelled samples are −1, NaN or None.
            domain: Domain label of each sample `(n,)`.

        Returns:
            The score; higher is better.

        Raises:
            InputError: If `domain` is missing or has no source or target sample, or labels are
                missing where they are needed.
        """
        (X,) = indexable(X)
        domains = self._domains(estimator, X, domain)
        with sklearn.config_context(enable_metadata_routing=True):
            return self._score(estimator, X, y, domains)

    def _domains(self, estimator: Any, X: Any, domain: Any) -> Domains:
        if domain is None:
            raise InputError(
                f"domain: {type(self).__name__} needs the domain of each sample. Call it with "
                "domain=…; tl.validation.cross_validate and tl.validation.fit_search hand it over."
            )
        count = X.shape[0] if hasattr(X, "shape") else len(X)
        target = target_of(estimator) if self.target is None else self.target
        if hasattr(estimator, "classes_"):
            refuse_marks(estimator.classes_)
        return resolve_domains(domain_labels(domain, count), target, count)

    def get_metadata_routing(self) -> MetadataRequest:
        """Return the request for `domain`, in scikit-learn's form."""
        request = MetadataRequest(owner=self)
        for name in self._metadata:
            request.score.add_request(param=name, alias=True)
        return request


def target_parameters(estimator: Any) -> dict[str, Any]:
    """Return the parameters `target` of an estimator and of the estimators inside it."""
    return {
        name: value
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] == "target" and value is not None
    }


def target_of(estimator: Any) -> Any:
    """Return the target domain that an estimator adapts to, `"target"` if it does not say.

    Raises:
        InputError: If its parts have different ones.
    """
    given = target_parameters(estimator)
    several = {name: set(target_labels(value)) for name, value in given.items()}
    if not given:
        return "target"
    first = next(iter(given))
    for name, labels in several.items():
        if labels != several[first]:
            raise InputError(
                f"target: the parts of the estimator adapt to different domains, {first}="
                f"{given[first]!r} and {name}={given[name]!r}. Give the score a target."
            )
    return given[first]


def refuse_marks(classes: Any) -> None:
    """Refuse an estimator that took the mark of unlabelled samples for a class.

    Raises:
        InputError: If −1, NaN or None is one of its classes.
    """
    classes = np.asarray(classes)
    if classes.ndim == 1 and unlabelled(classes).any():
        raise InputError(
            f"estimator: it has learned {classes[unlabelled(classes)].tolist()[0]!r}, the mark of "
            "unlabelled samples, as a class. Wrap its last step in tl_keras.arrays.LabelledOnly."
        )


def source_labels(estimator: Any, y: Any, domains: Domains) -> np.ndarray:
    """Return `y` as an array, after checking that all source samples have a label.

    Raises:
        InputError: If there are none, or one is missing.
    """
    if y is None:
        raise InputError("y: this score needs the labels of the source samples, got None.")
    y = plain_labels(np.asarray(keep_marks(y)))
    if y.shape != domains.label.shape:
        raise InputError(f"y: expected shape {domains.label.shape}, got {y.shape}.")
    labelled = known_labels(estimator, y)
    if not labelled[domains.source].all():
        raise InputError(
            f"y: {int((~labelled & domains.source).sum())} source samples have no label (−1, NaN "
            "or None). This score needs them."
        )
    return y
