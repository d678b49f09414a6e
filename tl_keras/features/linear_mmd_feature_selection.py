"""Feature selection by discrepancy: the features in which the domains differ most are dropped."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import check_random_state
from sklearn.utils.extmath import row_norms

from tl_keras.arrays.base import DomainTransformer
from tl_keras.arrays.checks import is_number
from tl_keras.arrays.domains import Domains
from tl_keras.arrays.kernels import median_gamma
from tl_keras.features.weighted_discrepancy import (
    kernel_scores,
    largest_gap,
    linear_scores,
    polynomial_discrepancy,
    rbf_discrepancy,
)
from tl_keras.utils.errors import InputError
from tl_keras.utils.memory import check_memory

KERNELS = ("linear", "polynomial", "rbf")
# A discrepancy below this share of the kernel's diagonal is rounding.
NOTHING = 1e-12


class LinearMMDFeatureSelection(DomainTransformer, SelectorMixin):
    """Drop the features in which source and target differ most.

    Use it when some features are particular to a domain, such as the batch of a measurement, and
    the others carry the classes. It needs no labels, and does not look at them: a feature that
    differs most may also be the one that tells the classes apart.

    Each feature gets a weight, and the weights are chosen so that the discrepancy of the domains
    is as large as possible:

    `w = argmax MMD²_w` over `w ≥ 0, ‖w‖₂ = 1`, with the kernel
    `k_w(x, x′) = Σ_j w_j x_j x′_j` (linear), `(γ Σ_j w_j x_j x′_j + coef0)^degree` (polynomial) or
    `exp(−γ Σ_j w_j (x_j − x′_j)²)` (rbf). The weights are the scores, and features above a
    threshold are dropped.

    The linear kernel has the solution `w ∝ (mean_s − mean_t)²`, which is exact for any number of
    samples. The others are maximised by L-BFGS from two starts, which finds a local maximum, on
    `max_samples` samples of each domain at the most.

    Several sources: the discrepancy is the mean over them, so that shifts of opposite direction
    do not cancel. Several targets are pooled. Scores depend on the units of the features: bring
    them to one scale first, as with `StandardScaler`.

    ADAPT's `fMMD` has the same linear and polynomial kernels, allows `‖w‖ ≤ 1`, and solves by
    CVXOPT's convex programming, although that of the polynomial is not convex: it often ends
    with an error there. Its Gaussian kernel weights only one of the two samples,
    `exp(−γ (Σ w_j² x_j² + Σ x′_j² − 2 Σ w_j x_j x′_j))`, which is no kernel of the weighted
    features.

    Args:
        kernel: `"linear"`, `"polynomial"` or `"rbf"`.
        threshold: Features with a score above it are dropped, 0 … 1; `"auto"`: the scores are cut
            at the largest gap between them.
        gamma: `γ`, above 0; None: so that at equal weights the median of the exponent (rbf) or
            the mean square of the inner product's terms (polynomial) is one.
        degree: Of the polynomial, 1 or more.
        coef0: Of the polynomial, 0 or more.
        max_samples: How many samples of each domain the polynomial and rbf kernels use, drawn at
            random; None: all.
        target: Label of the target domain, or a list of labels.
        random_state: Seed of the choice among more samples.

    Attributes:
        scores_: Weights `(features,)`, 0 … 1.
        threshold_: The threshold used.

    Raises:
        InputError: In `fit`, if an argument is out of range, no feature is left, or the kernel
            would not fit into memory.

    Example:
        >>> import numpy as np
        >>> X = np.array([[0.0, 1.0], [1.0, 2.0], [0.0, 7.0], [1.0, 8.0]])
        >>> selection = LinearMMDFeatureSelection()
        >>> selection.fit(X, domain=["source", "source", "target", "target"]).get_support().tolist()
        [True, False]

    Reference:
        S. Uguroglu, J. Carbonell: Feature selection for transfer learning. ECML PKDD 2011.
    """

    _sparse: ClassVar[bool] = True
    _one_map: ClassVar[bool] = True

    def __init__(
        self,
        kernel: str = "linear",
        *,
        threshold: float | str = "auto",
        gamma: Any = None,
        degree: int = 2,
        coef0: float = 1.0,
        max_samples: int = 1000,
        target: Any = "target",
        random_state: Any = None,
    ):
        self.kernel = kernel
        self.threshold = threshold
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.max_samples = max_samples
        self.target = target
        self.random_state = random_state

    def _fit(self, X: Any, y: np.ndarray | None, domains: Domains) -> None:
        self._check_parameters()
        if not domains.given:
            self.scores_ = np.zeros(X.shape[1])
        else:
            target_mean = _mean(X[domains.target])
            means = [_mean(X[domains.of(name)]) for name in domains.sources]
            linear = linear_scores(np.array(means) - target_mean)
            kernel = self.kernel != "linear"
            self.scores_ = self._kernel_scores(X, domains, linear) if kernel else linear
        automatic = isinstance(self.threshold, str)
        self.threshold_ = largest_gap(self.scores_) if automatic else float(self.threshold)
        if not self._get_support_mask().any():
            raise InputError(
                f"threshold: no feature has a score of {self.threshold_:g} or less; the smallest "
                f"is {self.scores_.min():.3g}. Raise the threshold, or use 'auto'."
            )

    def _map(self, X: Any, domain: Any) -> Any:
        return X[:, np.flatnonzero(self._get_support_mask())]

    def _get_support_mask(self) -> np.ndarray:
        return self.scores_ <= self.threshold_

    def _kernel_scores(self, X: Any, domains: Domains, linear: np.ndarray) -> np.ndarray:
        random = check_random_state(self.random_state)
        masks = [domains.of(name) for name in domains.sources] + [domains.target]
        rows = [_some_rows(mask, self.max_samples, random) for mask in masks]
        counts = [len(part) for part in rows]
        check_memory(
            8.0 * (5 * sum(counts) ** 2 + 4 * sum(counts) * X.shape[1]),
            type(self).__name__,
            "Give a smaller max_samples, or use the linear kernel.",
        )
        Z = X[np.concatenate(rows)]
        Z = (Z.toarray() if scipy.sparse.issparse(Z) else Z).astype(np.float64)
        signs = np.zeros((len(Z), len(domains.sources)))
        signs[-counts[-1] :] = -1 / counts[-1]
        first = np.cumsum([0, *counts])
        for index, count in enumerate(counts[:-1]):
            signs[first[index] : first[index + 1], index] = 1 / count
        width = np.sqrt(X.shape[1])
        if self.kernel == "rbf":
            Z -= Z.mean(axis=0)  # Far from the origin, ‖x‖² + ‖x′‖² − 2 x·x′ loses its digits.
            gamma = self.gamma or width * median_gamma(Z, random)
            objective = rbf_discrepancy(Z, signs, gamma)
            largest = 1.0
        else:
            mean_square = float(row_norms(Z, squared=True).mean())
            gamma = self.gamma or (width / mean_square if mean_square > 0 else 1.0)
            objective = polynomial_discrepancy(Z, signs, gamma, self.degree, self.coef0)
            largest = (gamma * mean_square / width + self.coef0) ** self.degree
        starts = [np.ones(X.shape[1])] + [linear] * bool(linear.any())
        if objective(starts[0] / width)[0] <= NOTHING * largest:
            return np.zeros(X.shape[1])
        return kernel_scores(objective, starts)

    def _check_parameters(self) -> None:
        if self.kernel not in KERNELS:
            raise InputError(f"kernel: expected one of {', '.join(KERNELS)}, got {self.kernel!r}.")
        if not (isinstance(self.threshold, str) and self.threshold == "auto"):
            self._require("threshold", "a number, 0 or more, or 'auto'", 0)
        if self.gamma is not None:
            self._require("gamma", "a number above 0 or None", 0, above=True)
        self._require("degree", "a whole number, 1 or more", 1, whole=True)
        self._require("coef0", "a number, 0 or more", 0)
        if self.max_samples is not None:
            self._require("max_samples", "a whole number, 1 or more, or None", 1, whole=True)

    def _require(self, name: str, expected: str, least: float, **kind: bool) -> None:
        value = getattr(self, name)
        if not is_number(value, least, **kind):
            raise InputError(f"{name}: expected {expected}, got {value!r}.")


def _mean(X: Any) -> np.ndarray:
    return np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()


def _some_rows(mask: np.ndarray, most: int | None, random: np.random.RandomState) -> np.ndarray:
    rows = np.flatnonzero(mask)
    return rows if most is None or len(rows) <= most else random.choice(rows, most, replace=False)
