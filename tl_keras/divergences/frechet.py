"""Fréchet distance of Gaussian distributions."""

from typing import Any

import numpy as np
import scipy.linalg

from tl_keras.divergences.samples import REMEDY, checked_pair, compact_pair
from tl_keras.utils.memory import check_memory


def frechet_distance(source: Any, target: Any) -> float:
    """Return the squared Fréchet distance of the Gaussians with the samples' moments.

    `‖μ_s − μ_t‖² + tr(C_s + C_t − 2 (C_s^½ C_t C_s^½)^½)`, which is the squared 2-Wasserstein
    distance of two Gaussians with these means and covariances. It depends on the scale of the
    features.

    With `C = RᵀR` the last term is the nuclear norm of `R_s R_tᵀ`. It is computed from there, so
    that singular covariances (fewer samples than features, constant features) need no care and
    no complex numbers arise.

    Args:
        source: `(n, features)`, dense or sparse, two samples or more.
        target: `(m, features)`.

    Returns:
        The squared distance, 0 or more. Time `O((n + m) d² + d³)`, where `d` is the smaller of
        features and `n + m`.

    Raises:
        InputError: If the sets do not fit together, or not into memory.
        ValueError: If a set is not finite.

    Example:
        >>> round(frechet_distance([[0.0], [2.0]], [[3.0], [5.0]]), 6)
        9.0

    References:
        Dowson, Landau: The Fréchet Distance between Multivariate Normal Distributions. Journal of
        Multivariate Analysis 12, 1982.
    """
    source, target = checked_pair(source, target, fewest=2)
    source, target = compact_pair(source, target, "frechet_distance")
    check_memory(
        8.0 * (source.size + target.size + 4 * source.shape[1] ** 2), "frechet_distance", REMEDY
    )
    means = [X.mean(axis=0) for X in (source, target)]
    roots = [
        scipy.linalg.qr((X - mean) / np.sqrt(len(X) - 1), mode="r")[0][: X.shape[1]]
        for X, mean in zip((source, target), means, strict=True)
    ]
    overlap = np.linalg.norm(roots[0] @ roots[1].T, "nuc")
    spread = sum(float(np.square(root).sum()) for root in roots)
    apart = float(np.square(means[0] - means[1]).sum())
    return max(apart + spread - 2.0 * float(overlap), 0.0)
