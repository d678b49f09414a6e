"""The two forms of array methods: a weight for each source sample, or a map of the features."""

import abc
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from tl_keras.arrays.checks import check_size
from tl_keras.arrays.domains import (
    Domains,
    domain_labels,
    resolve_domains,
    rows_of,
    warn_without_domain,
)
from tl_keras.arrays.labels import has_fractions, refuse_marks_without_domain
from tl_keras.arrays.marks import keep_marks
from tl_keras.arrays.weights import effective_sample_size, finished_weights
from tl_keras.utils.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Self


class DomainWeighter(BaseEstimator, abc.ABC):
    """A weight for each source sample, so that the sources resemble the target.

    A subclass has the parameter `target` and implements `_estimate`.

    Attributes:
        weights_: `(n,)`: of source samples the estimated weight, with mean one over all of them;
            of target samples one.
        effective_sample_size_: `(Σw)² / Σw²` over the source samples.
    """

    # With scikit-learn's metadata routing switched on, `domain` arrives without further requests.
    __metadata_request__fit: ClassVar = {"domain": True}
    _sparse: ClassVar[bool] = False

    @abc.abstractmethod
    def _estimate(self, source: Any, target: Any) -> np.ndarray:
        """Return weights `(n_source,)`, not negative and of any scale.

        Args:
            source: Samples of all source domains `(n_source, features)`.
            target: Samples of all target domains `(n_target, features)`.
        """

    def fit(self, X: Any, y: Any = None, *, domain: Any = None) -> "Self":
        """Estimate the weights.

        Args:
            X: `(n, features)`, finite.
            y: Labels `(n,)` or None; looked at only to notice a forgotten `domain`.
            domain: Domain label of each sample `(n,)`; None: nothing has shifted, with a warning.

        Returns:
            self

        Raises:
            InputError: If `domain` does not fit, has no source or target sample, or is missing
                where `y` marks unlabelled samples.
            ValueError: If `X` is not finite or not two-dimensional.
        """
        X = validate_data(self, X, accept_sparse="csr" if self._sparse else False, dtype=_FLOATS)
        check_size("X", X)
        domains = resolve_domains(domain, self.target, X.shape[0])
        if y is not None and not domains.given:
            refuse_marks_without_domain(y, regression=has_fractions(y))
        warn_without_domain(domains, type(self).__name__, stacklevel=2)
        source, target = rows_of(domains.source), rows_of(domains.target)
        estimated = self._estimate(X[source], X[target])
        weights = finished_weights(estimated, type(self).__name__)
        self.weights_ = np.ones(X.shape[0])
        self.weights_[source] = weights
        self.effective_sample_size_ = effective_sample_size(weights)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._sparse
        return tags


class DomainTransformer(TransformerMixin, BaseEstimator, abc.ABC):
    """A map of the features after which the domains resemble each other.

    A subclass has the parameter `target` and implements `_fit` and `_map`.

    Attributes:
        sources_: Labels of the source domains.
        targets_: Labels of the target domains.
    """

    __metadata_request__fit: ClassVar = {"domain": True}
    __metadata_request__transform: ClassVar = {"domain": True}
    _sparse: ClassVar[bool] = False

    @abc.abstractmethod
    def _fit(self, X: Any, y: np.ndarray | None, domains: Domains) -> None:
        """Learn the map.

        Args:
            X: `(n, features)`, checked.
            y: Labels `(n,)` as the user gave them, or None.
            domains: Which sample belongs where.
        """

    @abc.abstractmethod
    def _map(self, X: Any, domain: Any) -> Any:
        """Return the mapped samples `(n, mapped features)` of one domain.

        Args:
            X: Samples `(n, features)` of that domain, `n ≥ 1`, checked.
            domain: Its label, one of `sources_` or `targets_`.
        """

    def fit(self, X: Any, y: Any = None, *, domain: Any = None) -> "Self":
        """Learn the map.

        Args:
            X: `(n, features)`, finite.
            y: Labels `(n,)` where the method uses them; unlabelled target samples are −1, NaN or
                None.
            domain: Domain label of each sample `(n,)`; None: nothing has shifted, with a warning.

        Returns:
            self

        Raises:
            InputError: If `domain` does not fit, has no source or target sample, or is missing
                where `y` marks unlabelled samples.
            ValueError: If `X` is not finite or not two-dimensional.
        """
        self._learn(X, y, domain, stacklevel=3)
        return self

    def transform(self, X: Any, *, domain: Any = None) -> Any:
        """Map samples.

        Args:
            X: `(n, features)`.
            domain: Domain label of each sample `(n,)`, among those seen in `fit`. None: all
                belong to the target, as what a model meets in use does.

        Returns:
            `(n, mapped features)`

        Raises:
            InputError: If a domain was not seen in `fit`, or is left out where there are several
                targets with maps of their own.
        """
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        return self._mapped(X, *self._labels(domain, X.shape[0]))

    def fit_transform(self, X: Any, y: Any = None, *, domain: Any = None) -> Any:
        """Learn the map and return the mapped samples, each by the map of its domain."""
        X, domains = self._learn(X, y, domain, stacklevel=4)
        return self._mapped(
            X, domains.label, list(dict.fromkeys(domains.sources + domains.targets))
        )

    def _checked(self, X: Any, reset: bool = True) -> Any:
        accepted = "csr" if self._sparse else False
        X = validate_data(self, X, accept_sparse=accepted, dtype=_FLOATS, reset=reset)
        check_size("X", X)
        return X

    def _learn(self, X: Any, y: Any, domain: Any, stacklevel: int) -> tuple[Any, Domains]:
        X = self._checked(X)
        domains = resolve_domains(domain, self.target, X.shape[0])
        self.sources_, self.targets_ = domains.sources, domains.targets
        y = None if y is None else column_or_1d(keep_marks(y), warn=True)
        if y is not None and y.shape[0] != X.shape[0]:
            raise InputError(
                f"y: expected one label per sample of X, {X.shape[0]} of them, got shape {y.shape}."
            )
        if y is not None and not domains.given:
            refuse_marks_without_domain(y, regression=has_fractions(y))
        warn_without_domain(domains, type(self).__name__, stacklevel)
        self._fit(X, y, domains)
        return X, domains

    def _labels(self, domain: Any, count: int) -> tuple[np.ndarray, list]:
        """Return the domain label of each sample, and the labels that occur."""
        if domain is None:
            first, *others = self.targets_
            if others and self._one_map_per_target:
                raise InputError(
                    f"domain: {type(self).__name__} has a map for each of its target domains "
                    f"{list(self.targets_)}. Say which one each sample belongs to."
                )
            return np.full(count, first), [first]
        label = domain_labels(domain, count)
        names = np.unique(label).tolist()
        known = {*self.sources_, *self.targets_}
        strange = [name for name in names if name not in known]
        if strange:
            raise InputError(
                f"domain: {strange[0]!r} was not seen in fit, which had "
                f"{sorted(known, key=str)}. Fit again with samples of it."
            )
        return label, names

    def _mapped(self, X: Any, label: np.ndarray, names: list) -> Any:
        if len(names) == 1 or self._one_map:
            mapped = self._map(X, names[0])
            # A later step may write into it: it must not be the caller's own array.
            return mapped.copy() if mapped is X else mapped
        rows = [rows_of(label == name) for name in names]
        parts = [self._map(X[row], name) for row, name in zip(rows, names, strict=True)]
        if any(scipy.sparse.issparse(part) for part in parts):
            order = np.argsort(np.concatenate([np.arange(X.shape[0])[row] for row in rows]))
            return scipy.sparse.vstack(parts, format="csr")[order]
        mapped = np.empty((X.shape[0], parts[0].shape[1]), np.result_type(*parts))
        for row, part in zip(rows, parts, strict=True):
            mapped[row] = part
        return mapped

    # Whether `_map` differs between target domains.
    _one_map_per_target: ClassVar[bool] = False
    # Whether `_map` is the same for all domains; it may return sparse matrices then.
    _one_map: ClassVar[bool] = False

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._sparse
        return tags


_FLOATS = (np.float64, np.float32)
