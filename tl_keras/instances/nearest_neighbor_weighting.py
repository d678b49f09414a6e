"""Source weights that count the target samples nearest to each source sample."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn import config_context
from sklearn.neighbors import NearestNeighbors

from tl_keras.arrays.base import DomainWeighter
from tl_keras.arrays.checks import is_number
from tl_keras.utils.errors import InputError


class NearestNeighborWeighting(DomainWeighter):
    """Weights that count for how many target samples a source sample is among the nearest.

    Use it for covariate shift with few features, or with features whose distances mean something.
    It has no width to choose.

        w(x) = s + number of target samples that have x among their k nearest source samples

    With `k = 1` the count is that of the target samples in the Voronoi cell of `x`; `s = 1` is
    Laplace's smoothing, which leaves no source sample without weight. Equal source samples share
    what falls to them. Of different ones at the same distance the first counts.

    Several source domains are pooled, and so are several target domains.

    Args:
        target: Label of the target domain, or a list of labels.
        n_neighbors: `k`, from 1 to the number of source samples.
        smoothing: `s`, 0 or more.
        metric: Name of a distance that scikit-learn's `NearestNeighbors` knows.
        n_jobs: Number of threads for the search; None: one, or what joblib's context says.

    Attributes:
        weights_: `(n,)`: of source samples the weight, with mean one; of target samples one.
        effective_sample_size_: `(Σw)² / Σw²` over the source samples.

    Raises:
        InputError: If a parameter does not fit.

    Example:
        >>> import numpy as np
        >>> X = np.array([[0.0], [1.0], [2.0], [1.9], [2.1], [2.2]])
        >>> domain = ["source"] * 3 + ["target"] * 3
        >>> NearestNeighborWeighting().fit(X, domain=domain).weights_.tolist()
        [0.5, 0.5, 2.0, 1.0, 1.0, 1.0]

    ADAPT's `NearestNeighborsWeighting` counts with `k = 5` and never smooths.

    Paper: Loog, Nearest Neighbor-Based Importance Weighting, MLSP 2012.
    """

    _sparse: ClassVar[bool] = True

    def __init__(
        self,
        target: Any = "target",
        *,
        n_neighbors: int = 1,
        smoothing: float = 1.0,
        metric: str = "euclidean",
        n_jobs: int | None = None,
    ):
        self.target = target
        self.n_neighbors = n_neighbors
        self.smoothing = smoothing
        self.metric = metric
        self.n_jobs = n_jobs

    def _estimate(self, source: Any, target: Any) -> np.ndarray:
        known = is_number(self.n_neighbors, 1, whole=True)
        if not known or self.n_neighbors > source.shape[0]:
            raise InputError(
                f"n_neighbors: expected 1 up to the number of source samples, {source.shape[0]}, "
                f"got {self.n_neighbors!r}."
            )
        if not is_number(self.smoothing, 0):
            raise InputError(f"smoothing: expected a number from 0 up, got {self.smoothing!r}.")
        first, number = distinct_rows(source)
        search = NearestNeighbors(
            n_neighbors=min(self.n_neighbors, len(first)), metric=self.metric, n_jobs=self.n_jobs
        )
        # Samples and their number have been checked, and the search says which metrics there are.
        with config_context(assume_finite=True, skip_parameter_validation=True):
            search.fit(source[first] if len(first) < source.shape[0] else source)
            nearest = search.kneighbors(target, return_distance=False)
        if len(first) == source.shape[0]:
            return self.smoothing + np.bincount(nearest.ravel(), minlength=len(first))
        sizes = np.bincount(number)
        filled = np.minimum(np.cumsum(sizes[nearest], axis=1), self.n_neighbors)
        taken = np.diff(filled, axis=1, prepend=0)
        counts = np.bincount(nearest.ravel(), weights=taken.ravel(), minlength=len(first))
        return self.smoothing + (counts / sizes)[number]


def distinct_rows(X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return where each different row stands first `(k,)`, and the number of each row `(n,)`.

    Args:
        X: `(n, features)`, dense or CSR.
    """
    if scipy.sparse.issparse(X):
        X = X.copy()
        X.sum_duplicates()
        X.eliminate_zeros()
        parts = [slice(*ends) for ends in zip(X.indptr, X.indptr[1:], strict=False)]
        keys = [X.indices[part].tobytes() + X.data[part].tobytes() for part in parts]
    elif len(np.unique(X.sum(axis=1))) == len(X):
        # Equal rows have equal sums, so that all of these differ.
        return np.arange(len(X)), np.arange(len(X))
    else:
        keys = [row.tobytes() for row in X + 0.0]  # −0 becomes 0.
    seen: dict[bytes, int] = {}
    number = np.array([seen.setdefault(key, len(seen)) for key in keys])
    return np.unique(number, return_index=True)[1], number
