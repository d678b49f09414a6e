"""Structural correspondence learning."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn.base import OneToOneFeatureMixin
from sklearn.utils import Tags

from tl_keras.arrays import DomainTransformer, check_memory, labelled_samples, require_classes
from tl_keras.arrays.checks import check_count
from tl_keras.arrays.domains import Domains
from tl_keras.relations.pivot_predictors import (
    BATCH,
    Centred,
    leading_subspace,
    least_squares_predictors,
    modified_huber_predictors,
    mutual_information,
    presence,
)
from tl_keras.utils.arguments import is_real
from tl_keras.utils.errors import InputError, did_you_mean

CHOICES = {
    "pivots": ("mutual_information", "frequency"),
    "loss": ("modified_huber", "least_squares"),
    "output": ("append", "replace"),
}


class StructuralCorrespondenceLearning(DomainTransformer):
    """Features that say the same in all domains, learnt from what goes together with pivots.

    For text and other data of many features, most of which occur in one domain only. Pivots are
    features that occur, and mean the same, in all domains ("great", "not"). Whether a sample has
    pivot `p` is predicted from its other features `x`, on source and target samples alike:

        w_p, b_p = argmin mean L(±1, w_pᵀx + b_p) + λ‖w_p‖²

    Features of different domains that go with the same pivots get similar weights, and the
    leading left singular vectors `θ` of `W = (w_1 … w_m)` span what they share. Samples are mapped
    to `(x, θᵀx)`, so that weights which a classifier learns on the source for `θᵀx` hold for target
    words that the source never had. Much unlabelled data of both domains helps.

    Several sources and targets: pivots are frequent in the sources together and in the targets
    together, and are predicted on the samples of all domains. All domains share one map.

    A feature is there, as a pivot, where it is not 0, or, in dense columns whose minimum is not 0,
    above its mean. Predictors see the values of features as they are, less their means. In
    data like counts (the minimum of each column is 0) weights below zero are set to zero before
    the singular value decomposition: what goes together with a pivot tells more than what does
    not. `θᵀx` is centred, and one factor (`scale`) brings it to the size of the features.

    Sparse input stays sparse. Time grows with the stored values times the pivots; memory with the
    features times the pivots.

    Args:
        n_components: Number of singular vectors, 1 or more. At most as many as there are pivots.
        n_pivots: Number of pivots, 1 or more; at most half of the features.
        pivots: `"mutual_information"` takes those that tell most about the labels (Blitzer et al.
            2007); `"frequency"` those that occur most on the side where they are rarer (2006), and
            needs no labels.
        min_count: Samples with the pivot that sources and targets must have, each, 1 or more.
        loss: `"modified_huber"`, the papers' loss: `max(0, 1 − yz)²`, and `−4yz` below `yz = −1`;
            or `"least_squares"`, `(y − z)²`, one linear system for all pivots.
        regularization: `λ` in units of the mean `‖x − mean‖²`, above 0.
        scale: Root mean square length of the new part in units of that of `x − mean`, above 0.
        output: `"append"` to the features, or `"replace"` them.
        target: Label of the target domain, or a list of labels.

    Attributes:
        pivots_: Columns of the pivots, best first.
        projection_: `(features, components)`: `θ` with its scale, 0 for pivots.
        offset_: `(components,)`, subtracted after the projection.

    Raises:
        InputError: If an argument is wrong, no feature is frequent enough in sources and targets,
            labels are missing or have one class only, nothing predicts the pivots, or the
            predictors would not fit into memory.

    Example:
        >>> from sklearn.feature_extraction.text import CountVectorizer
        >>> from tl_keras.relations import StructuralCorrespondenceLearning
        >>> books = ["great gripping plot", "bad boring plot", "great gripping", "bad boring"]
        >>> tools = ["great sturdy handle", "bad flimsy handle", "great sturdy", "bad flimsy"]
        >>> X = CountVectorizer().fit_transform(books + tools)
        >>> y = [1, 0, 1, 0, -1, -1, -1, -1]
        >>> domain = ["source"] * 4 + ["target"] * 4
        >>> learning = StructuralCorrespondenceLearning(1, n_pivots=2, min_count=2)
        >>> learning.fit_transform(X, y, domain=domain).shape  # 8 words and 1 component
        (8, 9)

    Reference:
        Blitzer, McDonald and Pereira, "Domain adaptation with structural correspondence learning",
        EMNLP 2006; Blitzer, Dredze and Pereira, "Biographies, Bollywood, boom-boxes and blenders:
        domain adaptation for sentiment classification", ACL 2007.
    """

    _sparse: ClassVar[bool] = True
    _one_map: ClassVar[bool] = True

    def __init__(
        self,
        n_components: int = 50,
        *,
        n_pivots: int = 200,
        pivots: str = "mutual_information",
        min_count: int = 5,
        loss: str = "modified_huber",
        regularization: float = 1e-3,
        scale: float = 1.0,
        output: str = "append",
        target: Any = "target",
    ):
        self.n_components = n_components
        self.n_pivots = n_pivots
        self.pivots = pivots
        self.min_count = min_count
        self.loss = loss
        self.regularization = regularization
        self.scale = scale
        self.output = output
        self.target = target

    def _fit(self, X, y, domains):
        self._check_parameters()
        if min(X.shape) < 2:
            raise InputError(
                "X: expected two samples and two features or more, got "
                f"n_samples={X.shape[0]}, n_features={X.shape[1]}."
            )
        X = X.astype(np.float64, copy=False)
        there = presence(X)
        self.pivots_ = self._chosen(there, y, domains)
        pivots = len(self.pivots_)
        stored = X.nnz if scipy.sparse.issparse(X) else X.size
        check_memory(
            24.0 * stored + 16.0 * X.shape[1] * (pivots + 2 * BATCH) + 32.0 * X.shape[0] * BATCH,
            type(self).__name__,
            "Use fewer pivots, or fewer features.",
        )
        others = np.setdiff1d(np.arange(X.shape[1]), self.pivots_)
        data = Centred(X[:, others])
        size = data.mean_square()
        if not size > 0:
            raise InputError(
                "X: all features but the pivots are constant, so that nothing predicts the pivots. "
                "Use fewer pivots, or features that vary."
            )
        fitted = {
            "least_squares": least_squares_predictors,
            "modified_huber": modified_huber_predictors,
        }[self.loss]
        weights = fitted(data, there[:, self.pivots_], float(self.regularization) * size)
        if _is_counted(X) and (weights > 0).any():
            weights = np.maximum(weights, 0.0)
        theta = leading_subspace(weights, int(self.n_components))
        length = np.sqrt(data.forward(theta).var(axis=0).sum())
        if not length > 1e-8 * np.sqrt(size):
            raise InputError(
                "X: no feature says anything about the pivots, so that there is no component to "
                "find. Use fewer pivots, or a smaller regularization."
            )
        theta *= self.scale * np.sqrt(size) / length
        self.projection_ = np.zeros((X.shape[1], theta.shape[1]))
        self.projection_[others] = theta
        self.offset_ = data.mean @ theta

    def _map(self, X, domain):
        X = X.astype(np.float64, copy=False)
        new = np.asarray(X @ self.projection_) - self.offset_
        if self.output == "replace":
            return new
        if scipy.sparse.issparse(X):
            return scipy.sparse.hstack([X, scipy.sparse.csr_matrix(new)], format="csr")
        return np.hstack([X, new])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the mapped features: those of the input if kept, then numbered ones.

        Args:
            input_features: Names of the features `(features,)`; None: those seen in `fit`.
        """
        names = OneToOneFeatureMixin.get_feature_names_out(self, input_features)
        prefix = type(self).__name__.lower()
        new = [f"{prefix}{index}" for index in range(self.projection_.shape[1])]
        kept = names if self.output == "append" else names[:0]
        return np.concatenate([kept, np.asarray(new, dtype=object)])

    def _chosen(self, there: Any, y: Any, domains: Domains) -> np.ndarray:
        """Return the columns of the pivots, best first."""
        count = there.shape[0]
        in_source, in_target, everywhere = (
            np.asarray(there[mask].sum(axis=0)).ravel()
            for mask in (domains.source, domains.target, np.ones(count, bool))
        )
        frequent = np.flatnonzero(
            (np.minimum(in_source, in_target) >= self.min_count) & (everywhere < count)
        )
        if not frequent.size:
            raise InputError(
                f"min_count: no feature is there in {self.min_count} or more of the "
                f"{int(domains.source.sum())} source samples and of the "
                f"{int(domains.target.sum())} target samples, and not in all. Lower min_count, or "
                "use features that the domains share."
            )
        if self.pivots == "frequency":
            score = np.minimum(in_source / domains.source.sum(), in_target / domains.target.sum())
        else:
            score = self._information(there, y, domains)
        order = np.argsort(-score[frequent], kind="stable")
        return frequent[order[: min(int(self.n_pivots), there.shape[1] // 2)]]

    def _information(self, there: Any, y: Any, domains: Domains) -> np.ndarray:
        if y is None:
            raise InputError(
                f"y: {type(self).__name__} requires y to be passed, but the target y is None. Give "
                "the labels of the sources, or use pivots='frequency'."
            )
        known = labelled_samples(y, domains)
        require_classes(y[known & domains.source], "the source domains")
        codes = np.unique(y[known], return_inverse=True)[1]
        return mutual_information(there[known], codes)

    def _check_parameters(self):
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise InputError(
                    f"{name}: expected {' or '.join(map(repr, known))}, got {value!r}."
                    f"{did_you_mean(str(value), known)}"
                )
        for name in ("n_components", "n_pivots", "min_count"):
            check_count(name, getattr(self, name), 1)
        for name in ("regularization", "scale"):
            value = getattr(self, name)
            if not is_real(value) or not 0 < value < np.inf:
                raise InputError(f"{name}: expected a number above 0, got {value!r}.")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.pivots == "mutual_information"
        return tags


def _is_counted(X: Any) -> bool:
    if scipy.sparse.issparse(X):
        return not X.data.min(initial=0.0) < 0
    return bool((X.min(axis=0) == 0).all())
