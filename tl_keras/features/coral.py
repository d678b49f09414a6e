"""CORAL: the sources get the target's covariance."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.covariance import ledoit_wolf_shrinkage

from tl_keras.arrays.base import DomainTransformer
from tl_keras.arrays.checks import is_number
from tl_keras.arrays.domains import Domains, rows_of
from tl_keras.features.subspaces import principal_subspace
from tl_keras.utils.errors import InputError
from tl_keras.utils.memory import check_memory


class Covariance(NamedTuple):
    """A covariance `Σ vᵢ aᵢaᵢᵀ + ridge · I`, by its axes.

    Attributes:
        mean: `(features,)`.
        axes: Orthonormal rows `(rank, features)`.
        variances: `(rank,)`, without the ridge.
        ridge: What is added in all directions.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    ridge: float

    def power(self, X: np.ndarray, exponent: float) -> np.ndarray:
        """Return `X C^exponent` for rows `X` `(n, features)`, without building `C`."""
        along = (self.variances + self.ridge) ** exponent
        if len(self.axes) == self.axes.shape[1]:
            return ((X @ self.axes.T) * along) @ self.axes
        across = self.ridge**exponent
        return X * across + ((X @ self.axes.T) * (along - across)) @ self.axes


def covariance(X: np.ndarray, ridge: float | str, name: str) -> Covariance:
    """Return the regularised covariance of samples.

    Args:
        X: `(n, features)`.
        ridge: Added to the diagonal, 0 or more; `"auto"`: Ledoit and Wolf's shrinkage.
        name: What the samples are, for errors.
    """
    found = principal_subspace(X, None, name, "CORAL")
    variances = found.variances
    if ridge == "auto":
        shrinkage = ledoit_wolf_shrinkage(X)
        variances = variances * (1 - 1 / len(X))  # Ledoit and Wolf's have the divisor n.
        ridge = shrinkage * variances.sum() / X.shape[1]
        variances = (1 - shrinkage) * variances
    return Covariance(found.mean, found.axes, variances, float(ridge))


class CORAL(OneToOneFeatureMixin, DomainTransformer):
    """Give the source samples the covariance of the target samples, on demand their mean too.

    Use it without target labels, before a linear model, when the domains differ in how features
    are scaled and correlated. It is the cheapest of the alignments and a good first try.

    A source sample becomes `x C_s^−½ C_t^½` with the regularised covariances `C = cov + ridge · I`;
    target samples stay as they are. Zero stays where it is, so standardise all samples together
    before, with `StandardScaler`.

    With `align_means=True` it becomes `(x − m_s) C_s^−½ C_t^½ + m_t`, with the means `m`. That is
    right where each class makes up the same share of both domains. Where the shares differ, the
    means differ for that reason alone, and aligning them moves classes onto each other; this cannot
    be seen without target labels, so it is not the default.

    Each source domain gets a map of its own to the target; several targets are pooled. More
    features than samples are no obstacle: no matrix of features by features is built then.

    The paper standardises the features of each domain, so that the means are zero, and adds
    `ridge=1`. ADAPT adds 1e−5 and never moves the means: `ridge=1e-5` gives its result. skada moves
    both domains to mean zero and shrinks by Ledoit and Wolf's rule like `ridge="auto"`, but after
    standardising each domain.

    Args:
        ridge: Added to all variances, in squared units of the features, 0 or more; 1 suits
            standardised features. The larger, the less is changed. `"auto"`: the shrinkage of
            Ledoit and Wolf (2004) for each domain, which needs no knowledge of the units.
        align_means: Whether source samples are moved to the target's mean as well.
        target: Label of the target domain, or a list of labels.

    Attributes:
        covariances_: Source domain → its mean, axes, variances and ridge.
        target_covariance_: The same of the target.

    Raises:
        InputError: In `fit`, if a domain has one sample or only constant features, or its
            covariance is singular with `ridge=0`.

    Example:
        >>> import numpy as np
        >>> X = np.array([[0.0], [1.0], [2.0], [10.0], [14.0], [18.0]])
        >>> domain = ["source"] * 3 + ["target"] * 3
        >>> alignment = CORAL(ridge=0.0, align_means=True)
        >>> alignment.fit_transform(X, domain=domain)[:3].round(6).ravel().tolist()
        [10.0, 14.0, 18.0]

    Reference:
        B. Sun, J. Feng, K. Saenko: Return of frustratingly easy domain adaptation. AAAI 2016.
    """

    def __init__(self, ridge: float = 1.0, *, align_means: bool = False, target: Any = "target"):
        self.ridge = ridge
        self.align_means = align_means
        self.target = target

    def _fit(self, X: Any, y: np.ndarray | None, domains: Domains) -> None:
        ridge = _checked_ridge(self.ridge)
        target = covariance(X[rows_of(domains.target)], ridge, "the target")
        self.target_covariance_ = target
        self.covariances_, self._matrices = {}, {}
        width = X.shape[1]
        for name in domains.sources if domains.given else ():
            source = covariance(X[rows_of(domains.of(name))], ridge, f"domain {name!r}")
            if source.ridge == 0 and len(source.axes) < width:
                raise InputError(
                    f"ridge: the covariance of domain {name!r} is singular (it varies in "
                    f"{len(source.axes)} of {width} directions) and cannot be inverted with "
                    f"ridge={self.ridge!r}. Give a number above 0."
                )
            self.covariances_[name] = source
            if width <= len(source.axes) + len(target.axes):
                whitened = source.power(np.eye(width), -0.5)
                self._matrices[name] = target.power(whitened, 0.5)
            if not self.align_means:
                self._warn_of_offset(X.mean(axis=0, dtype=np.float64)[None], name)

    def _map(self, X: Any, domain: Any) -> np.ndarray:
        source, target = self.covariances_.get(domain), self.target_covariance_
        if source is None:
            return X
        check_memory(32.0 * X.shape[0] * X.shape[1], "CORAL", "Transform fewer samples at a time.")
        moved = X - source.mean if self.align_means else X
        moved = self._recoloured(moved, domain)
        if self.align_means:
            moved += target.mean
        return moved.astype(X.dtype, copy=False)

    def _recoloured(self, X: np.ndarray, domain: Any) -> np.ndarray:
        """Return `X C_s^−½ C_t^½`."""
        if domain in self._matrices:
            return X @ self._matrices[domain]
        return self.target_covariance_.power(self.covariances_[domain].power(X, -0.5), 0.5)

    def _warn_of_offset(self, middle: np.ndarray, domain: Any) -> None:
        """Warn where the map moves the middle of all samples `(1, features)` far."""
        moved = float(np.linalg.norm(self._recoloured(middle, domain) - middle))
        target = self.target_covariance_
        # Shrinkage keeps the sum of the variances, and may put all of it into the ridge.
        shrunk = target.ridge * middle.shape[1] if self.ridge == "auto" else 0.0
        spread = float(np.sqrt(target.variances.sum() + shrunk))
        if moved > spread:
            warnings.warn(
                f"CORAL: the features lie far from zero, so that the map moves domain {domain!r} "
                f"as a whole by {moved / spread:.1f} standard deviations of the target. Put "
                "StandardScaler() before it.",
                stacklevel=5,
            )


def _checked_ridge(ridge: Any) -> float | str:
    if is_number(ridge, 0) or (isinstance(ridge, str) and ridge == "auto"):
        return ridge
    raise InputError(f"ridge: expected a number, 0 or more, or 'auto', got {ridge!r}.")
