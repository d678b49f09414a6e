"""uLSIF: the density ratio with the least squared error, in closed form."""

import dataclasses
from typing import Any

import numpy as np
import scipy.linalg
from sklearn.utils import check_random_state

from tl_keras.instances.density_ratio import (
    DensityRatioWeighter,
    fold_numbers,
    squared_distances,
    widths,
)
from tl_keras.utils.arguments import is_real
from tl_keras.utils.errors import InputError

REGULARISATIONS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


class ULSIF(DensityRatioWeighter):
    """Weights from unconstrained least-squares importance fitting.

    Use it for covariate shift where speed matters: it has a closed form. It estimates the ratio of
    target to source density as a whole, so that new samples have a weight too (`density_ratio`),
    and it chooses kernel width and regularization itself.

        r(x) = Σⱼ θⱼ φⱼ(x),   φⱼ(x) = exp(−γ ‖x − cⱼ‖²),   θ = max(0, (H + λI)⁻¹ h)
        H = mean φ(x) φ(x)ᵀ over source samples x,   h = mean φ(t) over target samples t

    The centers `c` are target samples. Width and regularization minimise
    `½ mean r(x)² − mean r(t)` over held-out samples of both domains.

    Several source domains are pooled, and so are several target domains.

    Args:
        target: Label of the target domain, or a list of labels.
        gamma: `γ`. `"cv"`: chosen from 4⁻³ … 4³ times one over the median squared distance; a
            list: chosen from it; `"median"`, `"scale"` or a number above 0: that width.
        regularization: `λ`. `"cv"`: chosen from 10⁻³ … 10; a list: chosen from it; a number above
            0: that one.
        centers: Number of centers, drawn from the target samples.
        folds: Parts of both domains, each held out in turn, 2 or more. A center is left out with
            its fold.
        random_state: Seed of the centers and folds.

    Attributes:
        weights_: `(n,)`: of source samples the weight, with mean one; of target samples one.
        effective_sample_size_: `(Σw)² / Σw²` over the source samples.
        gamma_: The width that was used.
        regularization_: The regularization that was used.
        centers_: `(centers, features)`.
        coefficients_: `θ` `(centers,)`.
        scores_: (width, regularization) → held-out error, the smaller the better; empty without a
            choice.

    Raises:
        InputError: If a parameter does not fit.

    Example:
        >>> import numpy as np
        >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [1.9], [2.1], [2.2]])
        >>> domain = ["source"] * 4 + ["target"] * 3
        >>> ULSIF(gamma=1.0, regularization=0.1).fit(X, domain=domain).weights_[:4].argmax().item()
        2

    The paper chooses the parameters by leaving out one sample of each domain at a time, which pairs
    as many samples as the smaller domain has; folds use all samples. ADAPT's `ULSIF` has formulas
    for the former that are not those of leaving a sample out, and without lists it does not choose.

    Paper: Kanamori, Hido and Sugiyama, A Least-squares Approach to Direct Importance Estimation,
    JMLR 2009.
    """

    _alpha = 0.0

    def __init__(
        self,
        target: Any = "target",
        *,
        gamma: Any = "cv",
        regularization: Any = "cv",
        centers: int = 100,
        folds: int = 5,
        random_state: Any = None,
    ):
        self.target = target
        self.gamma = gamma
        self.regularization = regularization
        self.centers = centers
        self.folds = folds
        self.random_state = random_state

    def _fit_ratio(self, source: Any, target: Any) -> np.ndarray:
        random = check_random_state(self.random_state)
        gammas = widths(self.gamma, source, target, random)
        penalties = _penalties(self.regularization)
        order = random.permutation(target.shape[0])
        chosen = order[: self.centers]
        self.centers_ = target[chosen]
        from_source = squared_distances(source, self.centers_)
        to_target = squared_distances(target, self.centers_)
        self.scores_ = {}
        folds = min(self.folds, source.shape[0], target.shape[0])
        if len(gammas) * len(penalties) > 1 and folds > 1:
            fold_source = fold_numbers(source.shape[0], folds, random)
            fold_target = fold_numbers(target.shape[0], folds, random)
            for gamma in gammas:
                parts = [
                    Moments.of(
                        np.exp(-gamma * from_source[fold_source == fold]),
                        np.exp(-gamma * to_target[fold_target == fold]),
                    )
                    for fold in range(folds)
                ]
                errors = held_out_errors(parts, fold_target[chosen], penalties, self._alpha)
                self.scores_.update(
                    ((gamma, penalty), error)
                    for penalty, error in zip(penalties, errors.tolist(), strict=True)
                )
            self.gamma_, self.regularization_ = min(self.scores_, key=self.scores_.__getitem__)
        else:
            self.gamma_ = gammas[len(gammas) // 2]
            self.regularization_ = penalties[len(penalties) // 2]
        kernels = np.exp(-self.gamma_ * from_source)
        moments = Moments.of(kernels, np.exp(-self.gamma_ * to_target))
        self.coefficients_ = coefficients(moments, [self.regularization_], self._alpha)[:, 0]
        return kernels @ self.coefficients_

    def _combine(self, distances: np.ndarray) -> np.ndarray:
        return np.exp(-self.gamma_ * distances) @ self.coefficients_


@dataclasses.dataclass(frozen=True)
class Moments:
    """Sums over samples of the kernels' values `φ`, from which everything else follows.

    Attributes:
        source: `Σ φ(x) φ(x)ᵀ` over source samples `(centers, centers)`.
        target: `Σ φ(t) φ(t)ᵀ` over target samples `(centers, centers)`.
        linear: `Σ φ(t)` `(centers,)`.
        counts: Numbers of source and target samples.
    """

    source: np.ndarray
    target: np.ndarray
    linear: np.ndarray
    counts: tuple[int, int]

    @classmethod
    def of(cls, source: np.ndarray, target: np.ndarray) -> "Moments":
        """Return the sums for kernel values `(n_source, centers)` and `(n_target, centers)`."""
        return cls(
            source.T @ source,
            target.T @ target,
            target.sum(axis=0),
            (source.shape[0], target.shape[0]),
        )

    def quadratic(self, alpha: float) -> np.ndarray:
        """Return `H = α mean φ(t) φ(t)ᵀ + (1 − α) mean φ(x) φ(x)ᵀ`."""
        return alpha / self.counts[1] * self.target + (1 - alpha) / self.counts[0] * self.source


def coefficients(moments: Moments, penalties: list[float], alpha: float) -> np.ndarray:
    """Return `θ = max(0, (H + λI)⁻¹ h)` for each `λ`, `(centers, len(penalties))`."""
    values, vectors = scipy.linalg.eigh(moments.quadratic(alpha), check_finite=False)
    linear = vectors.T @ moments.linear / moments.counts[1]
    scaled = linear[:, None] / (np.maximum(values, 0.0)[:, None] + np.asarray(penalties))
    return np.maximum(vectors @ scaled, 0.0)


def held_out_errors(
    parts: list[Moments], fold_of_centre: np.ndarray, penalties: list[float], alpha: float
) -> np.ndarray:
    """Return `½ θᵀHθ − hᵀθ` of each `λ`, averaged over the parts, each held out in turn.

    Args:
        parts: Moments of each part.
        fold_of_centre: Which part each center belongs to `(centers,)`; it is left out with it.
        penalties: `λ`, one or more.
        alpha: `α`, 0 for the plain ratio.
    """
    errors, zero = np.zeros(len(penalties)), np.zeros(())
    for fold, held in enumerate(parts):
        kept = fold_of_centre != fold
        kept = np.flatnonzero(kept if kept.any() else ~kept)
        block = np.ix_(kept, kept)
        others = [part for other, part in enumerate(parts) if other != fold]
        rest = Moments(
            sum((part.source[block] for part in others), zero),
            sum((part.target[block] for part in others), zero),
            sum((part.linear[kept] for part in others), zero),
            (sum(part.counts[0] for part in others), sum(part.counts[1] for part in others)),
        )
        theta = coefficients(rest, penalties, alpha)
        quadratic = held.quadratic(alpha)[block]
        errors += 0.5 * np.einsum("ik,ij,jk->k", theta, quadratic, theta, optimize=True)
        errors -= held.linear[kept] @ theta / held.counts[1]
    return errors / len(parts)


def _penalties(regularization: Any) -> list[float]:
    if isinstance(regularization, str) and regularization == "cv":
        return list(REGULARISATIONS)
    given = np.atleast_1d(np.asarray(regularization, object)).tolist()
    if not given or not all(is_real(v) and 0 < v < np.inf for v in given):
        raise InputError(
            "regularization: expected 'cv', a number above 0 or a list of them, got "
            f"{regularization!r}."
        )
    return [float(value) for value in given]
