"""KLIEP: the density ratio under which the target samples are most likely."""

from typing import Any

import numpy as np
import scipy.linalg
from scipy.linalg.blas import dgemv, dsyrk
from scipy.special import logsumexp
from sklearn.utils import check_random_state

from tl_keras.instances.density_ratio import (
    DensityRatioWeighter,
    fold_numbers,
    squared_distances,
    widths,
)
from tl_keras.instances.quadratic_program import longest_step

STEPS = 200
TOLERANCE = 1e-7
VALIDATED = 5000
LARGEST_LOGARITHM = 700.0


class KLIEP(DensityRatioWeighter):
    """Weights from the Kullback-Leibler importance estimation procedure.

    Use it for covariate shift. It estimates the ratio of target to source density as a whole, so
    that new samples have a weight too (`density_ratio`), and it chooses its kernel width itself.

        r(x) = Σⱼ αⱼ exp(−γ ‖x − cⱼ‖²),   αⱼ ≥ 0
        max Σ log r(t) over target samples t   subject to   mean r(x) = 1 over source samples x

    The centers `c` are target samples. With `αⱼ` in units that make each kernel's mean over the
    source one, the constraint becomes `Σα = 1`, and the problem that of the proportions of a
    mixture; an interior-point method solves it to within 1e-9 of the best mean log-likelihood.

    Nothing bounds the ratio where there are target samples but hardly any source samples; use
    `RULSIF` if that matters.

    Several source domains are pooled, and so are several target domains.

    Args:
        target: Label of the target domain, or a list of labels.
        gamma: `γ`. `"cv"`: of 4⁻³ … 4³ times one over the median squared distance, the width with
            the greatest log-likelihood of held-out target samples; a list: chosen likewise;
            `"median"`, `"scale"` or a number above 0: that width.
        centers: Number of centers, drawn from the target samples.
        folds: Parts of the target samples, each held out in turn, 2 or more. Of more than 5,000
            target samples 5,000, or as many as there are centers, are drawn for this. A center is
            left out with its fold.
        random_state: Seed of the centers and folds.

    Attributes:
        weights_: `(n,)`: of source samples the weight, with mean one; of target samples one.
        effective_sample_size_: `(Σw)² / Σw²` over the source samples.
        gamma_: The width that was used.
        centers_: `(centers, features)`.
        coefficients_: `(centers,)`, the share that each kernel has, summing to one.
        scores_: Width → mean log-likelihood of held-out target samples; empty without a choice.

    Raises:
        InputError: If a parameter does not fit.

    Example:
        >>> import numpy as np
        >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [1.9], [2.1], [2.2]])
        >>> domain = ["source"] * 4 + ["target"] * 3
        >>> KLIEP(gamma=1.0).fit(X, domain=domain).weights_[:4].argmax().item()
        2

    ADAPT's `KLIEP` runs a fixed number of Frank-Wolfe steps and uses `γ = 1 / features` without a
    choice unless it is given a list.

    Paper: Sugiyama, Nakajima, Kashima, von Bünau and Kawanabe, Direct Importance Estimation with
    Model Selection and Its Application to Covariate Shift Adaptation, NIPS 2007.
    """

    def __init__(
        self,
        target: Any = "target",
        *,
        gamma: Any = "cv",
        centers: int = 100,
        folds: int = 5,
        random_state: Any = None,
    ):
        self.target = target
        self.gamma = gamma
        self.centers = centers
        self.folds = folds
        self.random_state = random_state

    def _fit_ratio(self, source: Any, target: Any) -> np.ndarray:
        random = check_random_state(self.random_state)
        gammas = widths(self.gamma, source, target, random)
        order = random.permutation(target.shape[0])
        chosen = order[: self.centers]
        self.centers_ = target[chosen]
        from_source = squared_distances(source, self.centers_)
        self.scores_ = {}
        folds = min(self.folds, target.shape[0])
        if len(gammas) > 1 and folds > 1:
            # The centers stand first in `order`, so that the folds know them.
            tried = order[: max(VALIDATED, len(chosen))]
            fold = fold_numbers(len(tried), folds, random)
            to_target = squared_distances(target[tried], self.centers_)
            self.scores_ = {
                gamma: held_out_likelihood(from_source, to_target, gamma, fold) for gamma in gammas
            }
            self.gamma_ = max(self.scores_, key=self.scores_.__getitem__)
        else:
            self.gamma_ = gammas[len(gammas) // 2]
        kernels, self._log_mean = normalized_kernels(from_source, self.gamma_)
        basis = -self.gamma_ * squared_distances(target, self.centers_) - self._log_mean
        self.coefficients_ = mixture_proportions(basis)
        return kernels @ self.coefficients_

    def _combine(self, distances: np.ndarray) -> np.ndarray:
        logarithm = -self.gamma_ * distances - self._log_mean
        return np.exp(np.minimum(logarithm, LARGEST_LOGARITHM)) @ self.coefficients_


def normalized_kernels(distances: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return each kernel over its mean at the source samples, and the logarithm of that mean.

    Args:
        distances: Squared distances of source samples to the centers `(n_source, centers)`.
        gamma: Width of the kernels.

    Returns:
        `(n_source, centers)` and `(centers,)`.
    """
    least = distances.min(axis=0)
    kernels = np.exp(gamma * (least - distances))
    mean = kernels.mean(axis=0)
    kernels /= mean
    return kernels, np.log(mean) - gamma * least


def held_out_likelihood(
    from_source: np.ndarray, to_target: np.ndarray, gamma: float, fold: np.ndarray
) -> float:
    """Return the mean log-ratio of held-out target samples, the greater the better.

    Args:
        from_source: Squared distances of source samples to the centers `(n_source, centers)`.
        to_target: Squared distances of target samples to the centers `(n_target, centers)`; the
            first samples are the centers.
        gamma: Width of the kernels.
        fold: Fold of each target sample `(n_target,)`.
    """
    basis = -gamma * to_target - normalized_kernels(from_source, gamma)[1]
    total, fold_of_centre = 0.0, fold[: basis.shape[1]]
    for number in np.unique(fold):
        held, kept = fold == number, fold_of_centre != number
        kept = kept if kept.any() else np.ones_like(kept)
        shares = mixture_proportions(basis[~held][:, kept], tolerance=1e-4)
        total += logsumexp(basis[held][:, kept], axis=1, b=shares).sum()
    return float(total / len(fold))


def mixture_proportions(logarithm: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """Return `p ≥ 0`, `Σp = 1`, that maximises `mean log(exp(L) p)`, by an interior-point method.

    The same `p` minimises `Σp − mean log(exp(L) p)` over `p ≥ 0` alone. The greatest entry of
    `mean exp(L) / (exp(L) p)`, less one, bounds how far the value is from the best.

    Args:
        logarithm: `L` `(n, m)`.
        tolerance: Bound on the distance from the best value.
    """
    # BLAS wants Fortran's order, in which the transpose is no copy.
    values = np.exp(logarithm - logarithm.max(axis=1, keepdims=True)).T
    size, count = values.shape
    shares, slack = np.full(size, 1.0 / size), np.ones(size)
    for _ in range(STEPS):
        inverse = 1.0 / dgemv(1.0, values, shares, trans=1)
        mean = dgemv(1.0 / count, values, inverse)
        if mean.max() * shares.sum() - 1.0 <= tolerance:
            break
        hessian = dsyrk(1.0 / count, values * inverse)
        hessian[np.diag_indices(size)] += slack / shares + 1e-12 * hessian.diagonal().max()
        factor = scipy.linalg.cho_factor(hessian, overwrite_a=True, check_finite=False)
        aim = np.zeros(size)
        for correct in (False, True):
            step = scipy.linalg.cho_solve(factor, mean - 1.0 + aim / shares, check_finite=False)
            push = (aim - slack * step) / shares - slack
            length = min(longest_step(shares, step), longest_step(slack, push))
            if not correct:
                reached = (shares + length * step) @ (slack + length * push)
                gap = shares @ slack
                aim = (reached / gap) ** 3 * gap / size - step * push
        shares = shares + 0.99 * length * step
        slack = slack + 0.99 * length * push
    return shares / shares.sum()
