"""RuLSIF: a density ratio that is bounded, with the least squared error, in closed form."""

from typing import Any

import numpy as np

from tl_keras.arrays.checks import is_number
from tl_keras.instances.ulsif import ULSIF
from tl_keras.utils.errors import InputError


class RULSIF(ULSIF):
    """Weights from relative unconstrained least-squares importance fitting.

    Use it in place of `ULSIF` when source and target overlap little, so that their ratio would be
    huge in places. The relative ratio

        r(x) = p_target(x) / (α p_target(x) + (1 − α) p_source(x))

    is at most `1/α`, and its estimate has less variance:

        r(x) = Σⱼ θⱼ exp(−γ ‖x − cⱼ‖²),   θ = max(0, (H + λI)⁻¹ h)
        H = α mean φ(t) φ(t)ᵀ + (1 − α) mean φ(x) φ(x)ᵀ,   h = mean φ(t)

    with `φ` the kernels at the centers `c`, which are target samples, over source samples `x` and
    target samples `t`. Width and regularization minimise
    `α/2 mean r(t)² + (1 − α)/2 mean r(x)² − mean r(t)` over held-out samples of both domains.

    Several source domains are pooled, and so are several target domains.

    Args:
        target: Label of the target domain, or a list of labels.
        alpha: `α`, 0 up to but without 1. With 0 it is `ULSIF`, towards 1 all weights become one.
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
        >>> RULSIF(gamma=1.0, regularization=0.1).fit(X, domain=domain).weights_[:4].argmax().item()
        2

    ADAPT's `RULSIF` chooses by formulas that are not those of leaving a sample out, and not at all
    without lists.

    Paper: Yamada, Suzuki, Kanamori, Hachiya and Sugiyama, Relative Density-Ratio Estimation for
    Robust Distribution Comparison, NIPS 2011.
    """

    def __init__(
        self,
        target: Any = "target",
        *,
        alpha: float = 0.1,
        gamma: Any = "cv",
        regularization: Any = "cv",
        centers: int = 100,
        folds: int = 5,
        random_state: Any = None,
    ):
        super().__init__(
            target,
            gamma=gamma,
            regularization=regularization,
            centers=centers,
            folds=folds,
            random_state=random_state,
        )
        self.alpha = alpha

    @property
    def _alpha(self) -> float:
        return self.alpha

    def _fit_ratio(self, source: Any, target: Any) -> np.ndarray:
        if not is_number(self.alpha, 0) or self.alpha >= 1:
            raise InputError(f"alpha: expected a number from 0 up to 1, got {self.alpha!r}.")
        return super()._fit_ratio(source, target)
