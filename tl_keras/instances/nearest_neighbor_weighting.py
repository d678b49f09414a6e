"""Source weights that count the target samples nearest to each source sample."""

from typing import Any, ClassVar

import numpy as np
from sklearn.neighbors import NearestNeighbors

from tl_keras.arrays.base import DomainWeighter
from tl_keras.arrays.checks import is_number
from tl_keras.errors import InputError


class NearestNeighborWeighting(DomainWeighter):
    """Weights that count for how many target samples a source sample is among the nearest.

    Use it for covariate shift with few features, or with features whose distances mean something.
    It has no width to choose.

        w(x) = s + number of target samples that have x among their k nearest source samples

    With `k = 1` the count is that of the target samples in the Voronoi cell of `x`; `s = 1` is
    Laplace's smoothing, which leaves no source sample without weight.

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
        search = NearestNeighbors(
            n_neighbors=self.n_neighbors, metric=self.metric, n_jobs=self.n_jobs
        ).fit(source)
        nearest = search.kneighbors(target, return_distance=False)
        return self.smoothing + np.bincount(nearest.ravel(), minlength=source.shape[0])
