"""What splits of samples of several domains have in common."""

import abc
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _num_samples

from tl_keras.arrays.domains import Domains, resolve_domains
from tl_keras.arrays.labels import refuse_several_types, unlabelled
from tl_keras.arrays.marks import keep_marks
from tl_keras.utils.errors import InputError


class DomainSplitter(BaseEstimator, abc.ABC):
    """A cross-validator in scikit-learn's form that knows the domain of each sample.

    It asks for `domain` itself, so that `cross_validate` and `GridSearchCV` hand it over while
    metadata routing is switched on. Without routing, `groups` takes its place. A subclass has the
    parameter `target` and implements `_splits` and `_count`.
    """

    __metadata_request__split: ClassVar = {"domain": True, "groups": True}

    @abc.abstractmethod
    def _splits(self, y: np.ndarray | None, domains: Domains) -> Iterator[np.ndarray]:
        """Yield for each split the mask `(n,)` of its test samples."""

    @abc.abstractmethod
    def _count(self, domains: Domains | None) -> int:
        """Return the number of splits."""

    _needs_domain: ClassVar[bool] = False

    def split(
        self, X: Any, y: Any = None, groups: Any = None, *, domain: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the splits.

        Args:
            X: `(n, features)`; only its length counts.
            y: Labels `(n,)`, or None.
            groups: Stands in for `domain` where scikit-learn hands over nothing else.
            domain: Domain label of each sample `(n,)`.

        Yields:
            Indices of the training samples and of the test samples.

        Raises:
            InputError: If `domain` is missing or a domain has too few samples.
        """
        domains = self._domains(X, groups, domain)
        y = None if y is None else _labels(y, len(domains.label))
        for test in self._splits(y, domains):
            yield np.flatnonzero(~test), np.flatnonzero(test)

    def get_n_splits(
        self, X: Any = None, y: Any = None, groups: Any = None, *, domain: Any = None
    ) -> int:
        """Return the number of splits; the arguments are those of `split`."""
        return self._count(self._domains(X, groups, domain) if self._needs_domain else None)

    def _domains(self, X: Any, groups: Any, domain: Any) -> Domains:
        domain = groups if domain is None else domain
        if domain is None:
            raise InputError(
                f"domain: {type(self).__name__} needs the domain of each sample. "
                "tl.validation.cross_validate and tl.validation.fit_search hand it over; "
                "scikit-learn's functions take groups=domain."
            )
        count = _num_samples(domain if X is None else X)
        return resolve_domains(domain, self.target, count)


def _labels(y: Any, count: int) -> np.ndarray:
    """Return labels as an array `(count,)`, checked."""
    y = np.asarray(keep_marks(y))
    if y.shape != (count,):
        raise InputError(
            f"y: expected one label per sample, an array of shape ({count},), got shape {y.shape}."
        )
    refuse_several_types(y[~unlabelled(y)])
    return y
