"""The geodesic flow kernel: all subspaces between the source's and the target's at once."""

from typing import Any, ClassVar

import numpy as np
import scipy.linalg
import scipy.sparse
from sklearn.base import OneToOneFeatureMixin

from tl_keras.arrays.base import DomainTransformer
from tl_keras.arrays.checks import is_number
from tl_keras.arrays.domains import Domains
from tl_keras.features.subspaces import LARGE, Subspace, principal_subspace
from tl_keras.utils.errors import InputError
from tl_keras.utils.memory import check_memory

# How many axes `n_components="auto"` looks at, and which disparity counts as one.
MOST_AUTO = 100
ORTHOGONAL = 0.99


def geodesic_factor(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return `F` `(features, 2·count)` with `F Fᵀ = ∫₀¹ Φ(t) Φ(t)ᵀ dt`.

    `Φ(t)` is the geodesic between the two subspaces. With the principal angles `θ` and the
    principal vectors `a` of the source, and `b` orthogonal to them towards the target, its columns
    are `a cos tθ + b sin tθ`. The integral has the eigenvectors `a cos θ/2 + b sin θ/2`, halfway,
    and `b cos θ/2 − a sin θ/2`, across, with the eigenvalues `(1 ± sin θ / θ) / 2`.

    Args:
        source: Orthonormal rows `(count, features)`.
        target: Orthonormal rows `(count, features)`.
    """
    left, cosines, right = scipy.linalg.svd(source @ target.T)
    near, far = source.T @ left, target.T @ right.T
    away = far - near * cosines
    sines = np.linalg.norm(away, axis=0)
    away /= np.where(sines > 0, sines, 1.0)
    half = np.arctan2(sines, cosines) / 2
    halfway = near * np.cos(half) + away * np.sin(half)
    across = away * np.cos(half) - near * np.sin(half)
    less = _one_minus_sinc(2 * half)
    return np.hstack([halfway * np.sqrt(1 - less / 2), across * np.sqrt(less / 2)])


def _one_minus_sinc(angle: np.ndarray) -> np.ndarray:
    small = angle < 1e-3
    return np.where(small, angle**2 / 6, 1 - np.sinc(angle / np.pi))


def disparity(source: Subspace, target: Subspace, counts: tuple[int, int], most: int) -> np.ndarray:
    """Return the subspace disparity `D(d) = (sin α_d + sin β_d) / 2` for `d = 1 … most`.

    `α_d` and `β_d` are the `d`-th principal angles of the source's and the target's first `d`
    axes with those of both domains together.

    Args:
        source: Axes of the source.
        target: Axes of the target.
        counts: Number of samples of source and target.
        most: The largest `d`.
    """
    rows = [
        part.axes * np.sqrt((count - 1) * part.variances)[:, None]
        for part, count in zip((source, target), counts, strict=True)
    ]
    _, _, both = scipy.linalg.svd(np.vstack(rows), full_matrices=False)
    sines = np.zeros(most)
    for part in (source, target):
        cosines = part.axes[:most] @ both[:most].T
        for count in range(1, most + 1):
            least = scipy.linalg.svdvals(cosines[:count, :count])[-1]
            sines[count - 1] += np.sqrt(max(0.0, 1 - least**2)) / 2
    return sines


class GeodesicFlowKernel(OneToOneFeatureMixin, DomainTransformer):
    """Compare samples in all subspaces on the way from the source to the target.

    Use it without target labels, when the domains vary along different directions, and a kernel
    machine or nearest neighbours follow. It needs no alignment of samples or labels.

    The subspaces' kernel is `k(x, x′) = xᵀ G x′` with `G = ∫₀¹ Φ(t) Φ(t)ᵀ dt`, where `Φ(t)` is the
    geodesic from the source's principal axes to the target's. `transform` returns `(x − m) G^½`,
    `m` being the mean of the sample's domain, so that inner products of its rows are the kernel:
    linear models and distances work on them as they are. Where source and target agree it is the
    projection onto their subspace.

    Several sources: `G` is the mean over one flow from each source to the target. Several targets
    are pooled. The paper's `G` is twice the integral. Features should have comparable units,
    as after `StandardScaler`.

    Args:
        n_components: Number of axes of each subspace, 1 … rank of each domain; `"auto"`: the
            paper's subspace disparity measure, the fewest axes at which source and target are
            orthogonal somewhere, and at most half of the features or 100.
        align_means: Whether samples are taken from the mean of their domain, as the paper does
            by standardising each domain. Without it the result is `x G^½`.
        target: Label of the target domain, or a list of labels.
        random_state: Seed for large arrays, where few axes are found by iteration.

    Attributes:
        components_: Eigenvectors of `G` as rows `(rank, features)`.
        eigenvalues_: Eigenvalues of `G` `(rank,)`.
        n_components_: Source domain → number of axes used.
        means_: Domain → mean `(features,)`; targets share one.

    Raises:
        InputError: In `fit`, if a domain has one sample or only constant features, or varies in
            fewer than `n_components` directions.

    Example:
        >>> import numpy as np
        >>> random = np.random.default_rng(0)
        >>> X = random.normal(size=(40, 4)) * [4, 2, 1, 1]
        >>> X[20:] = X[20:, ::-1]
        >>> domain = ["source"] * 20 + ["target"] * 20
        >>> GeodesicFlowKernel(n_components=1).fit_transform(X, domain=domain).shape
        (40, 4)

    Reference:
        B. Gong, Y. Shi, F. Sha, K. Grauman: Geodesic flow kernel for unsupervised domain
        adaptation. CVPR 2012.
    """

    _sparse: ClassVar[bool] = True

    def __init__(
        self,
        n_components: int | str = "auto",
        *,
        align_means: bool = True,
        target: Any = "target",
        random_state: Any = None,
    ):
        self.n_components = n_components
        self.align_means = align_means
        self.target = target
        self.random_state = random_state

    def _fit(self, X: Any, y: np.ndarray | None, domains: Domains) -> None:
        automatic = isinstance(self.n_components, str) and self.n_components == "auto"
        if not automatic and not is_number(self.n_components, 1, whole=True):
            raise InputError(
                "n_components: expected 'auto' or a whole number, 1 or more, got "
                f"{self.n_components!r}."
            )
        count = None if automatic else int(self.n_components)
        target_mask = domains.target
        target = self._subspace(X[target_mask], count, "the target")
        self.means_ = dict.fromkeys(domains.targets, target.mean)
        self.n_components_, factors = {}, []
        for name in domains.sources:
            mask = domains.of(name)
            source = self._subspace(X[mask], count, f"domain {name!r}") if domains.given else target
            self.means_[name] = source.mean
            used = count
            if used is None:
                used = _fewest(source, target, (int(mask.sum()), int(target_mask.sum())))
            self.n_components_[name] = used
            factors.append(geodesic_factor(source.axes[:used], target.axes[:used]))
        factor = np.hstack(factors) / np.sqrt(len(factors))
        axes, scales, _ = scipy.linalg.svd(factor, full_matrices=False)
        kept = scales > scales[0] * max(factor.shape) * np.finfo(np.float64).eps
        self.components_ = np.ascontiguousarray(axes[:, kept].T)
        self.eigenvalues_ = scales[kept] ** 2

    def _subspace(self, X: Any, count: int | None, name: str) -> Subspace:
        wanted = count
        if wanted is None and min(X.shape) > LARGE:
            wanted = 2 * MOST_AUTO
        found = principal_subspace(X, wanted, name, type(self).__name__, self.random_state)
        if count is not None and len(found.axes) < count:
            raise InputError(
                f"n_components: expected at most {len(found.axes)}, the number of directions in "
                f"which {name} varies ({X.shape[0]} samples, {X.shape[1]} features), got {count}."
            )
        return found

    def _map(self, X: Any, domain: Any) -> np.ndarray:
        check_memory(
            24.0 * X.shape[0] * X.shape[1],
            type(self).__name__,
            "Transform fewer samples at a time, or reduce the features first.",
        )
        along = X @ self.components_.T
        if self.align_means:
            along = along - self.components_ @ self.means_[domain]
        mapped = (along * np.sqrt(self.eigenvalues_)) @ self.components_
        return mapped.astype(X.dtype, copy=False)


def _fewest(source: Subspace, target: Subspace, counts: tuple[int, int]) -> int:
    width = source.axes.shape[1]
    most = max(1, min(len(source.axes), len(target.axes), width // 2, MOST_AUTO))
    reached = np.flatnonzero(disparity(source, target, counts, most) >= ORTHOGONAL)
    return int(reached[0]) + 1 if reached.size else most
