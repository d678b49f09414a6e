"""Subspace alignment: the sources' principal axes are turned onto the target's."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin

from tl_keras.arrays.base import DomainTransformer
from tl_keras.arrays.checks import is_number
from tl_keras.arrays.domains import Domains, rows_of
from tl_keras.features.subspaces import Subspace, principal_subspace
from tl_keras.utils.errors import InputError


def alignment(source: Subspace, target: Subspace) -> np.ndarray:
    """Return `M = P_sᵀ P_t` `(source axes, target axes)`, which turns source axes onto target axes.

    It minimises `‖P_s M − P_t‖` in the Frobenius norm.
    """
    return source.axes @ target.axes.T


class SubspaceAlignment(ClassNamePrefixFeaturesOutMixin, DomainTransformer):
    """Bring source and target into one subspace by aligning their principal axes.

    Use it without target labels, when the domains vary along different directions, as photographs
    from different cameras do. It is fast and has one parameter.

    With the principal axes `P_s` and `P_t` (as columns) and the means `m_s` and `m_t`, a source
    sample becomes `(x − m_s) P_s P_sᵀ P_t` and a target sample `(x − m_t) P_t`.

    Each source domain is aligned by a map of its own to the target; several targets are pooled.
    Source axes without variance, of which there are some when samples are few, are left out; they
    would contribute nothing.

    ADAPT's `SA` and skada's `SubspaceAlignmentAdapter` compute the same; they keep directions
    without variance when `n_components` is None, and pool several sources.

    Args:
        n_components: How many axes to keep, 1 … rank of the target; None: as many as the target
            samples span. Few (20–100) suppress noise in high dimensions.
        target: Label of the target domain, or a list of labels.
        random_state: Seed for large arrays, where few axes are found by iteration.

    Attributes:
        components_: Target axes `(n_components, features)`, orthonormal.
        mean_: Mean of the target `(features,)`.
        maps_: Source domain → `(mean (features,), map (features, n_components))`.

    Raises:
        InputError: In `fit`, if a domain has one sample or only constant features, or the target
            has fewer than `n_components` axes with variance.

    Example:
        >>> import numpy as np
        >>> X = np.array([[0.0, 0.0], [2.0, 0.1], [4.0, -0.1], [0.0, 0.0], [0.1, 2.0], [-0.1, 4.0]])
        >>> domain = ["source"] * 3 + ["target"] * 3
        >>> mapped = SubspaceAlignment(n_components=1).fit_transform(X, domain=domain)
        >>> mapped.shape
        (6, 1)

    Reference:
        B. Fernando, A. Habrard, M. Sebban, T. Tuytelaars: Unsupervised visual domain adaptation
        using subspace alignment. ICCV 2013.
    """

    _sparse: ClassVar[bool] = True

    def __init__(
        self, n_components: int | None = None, *, target: Any = "target", random_state: Any = None
    ):
        self.n_components = n_components
        self.target = target
        self.random_state = random_state

    def _fit(self, X: Any, y: np.ndarray | None, domains: Domains) -> None:
        count = self.n_components
        if count is not None and not is_number(count, 1, whole=True):
            raise InputError(
                f"n_components: expected a whole number, 1 or more, or None, got {count!r}."
            )
        method = type(self).__name__
        found = principal_subspace(
            X[rows_of(domains.target)], count, "the target", method, self.random_state
        )
        if count is not None and len(found.axes) < count:
            raise InputError(
                f"n_components: expected at most {len(found.axes)}, the number of directions in "
                f"which the target varies ({int(domains.target.sum())} samples, {X.shape[1]} "
                f"features), got {count}."
            )
        self.components_, self.mean_ = found.axes, found.mean
        self.maps_ = {}
        for name in domains.sources if domains.given else ():
            source = principal_subspace(
                X[rows_of(domains.of(name))], count, f"domain {name!r}", method, self.random_state
            )
            self.maps_[name] = (source.mean, source.axes.T @ alignment(source, found))
        self._n_features_out = len(found.axes)

    def _map(self, X: Any, domain: Any) -> np.ndarray:
        mean, matrix = self.maps_.get(domain, (self.mean_, self.components_.T))
        sparse = scipy.sparse.issparse(X)
        mapped = X @ matrix - mean @ matrix if sparse else (X - mean) @ matrix
        return mapped.astype(X.dtype, copy=False)
