"""Weights of source samples: their scale, and when they have become useless."""

import warnings

import numpy as np

from tl_keras.utils.errors import InputError

FEWEST = 0.05


class DegenerateWeights(UserWarning):
    """Almost all weight lies on few samples, so that little of the source is used."""


def effective_sample_size(weights: np.ndarray) -> float:
    """Return Kish's effective sample size `(Σw)² / Σw²`, 0 … n; 0 if all weights are."""
    peak = float(np.max(weights, initial=0.0))
    if peak <= 0.0:
        return 0.0
    scaled = np.asarray(weights, np.float64) / peak
    return float(scaled.sum() ** 2 / np.square(scaled).sum())


def warn_of_one_sample(
    weights: np.ndarray, method: str, remedy: str, *, when: str = "", stacklevel: int = 2
) -> None:
    """Warn if one of three samples or more holds almost all weight.

    Args:
        weights: Weights of the labelled samples `(n,)`, not negative.
        method: Name for the warning.
        remedy: What the user can do, a sentence.
        when: When the weights were like that, such as `"in the last round "`.
        stacklevel: As of `warnings.warn`, where 2 is the caller of this function.
    """
    effective = effective_sample_size(weights)
    if len(weights) > 2 and effective < 1.5:
        warnings.warn(
            f"{method}: {when}the effective sample size is {effective:.1f} of {len(weights)} "
            f"labelled samples: one of them holds almost all weight. {remedy}",
            DegenerateWeights,
            stacklevel=stacklevel,
        )


def finished_weights(weights: np.ndarray, method: str) -> np.ndarray:
    """Return weights scaled to mean one; warn if few samples hold almost all of them.

    Args:
        weights: Not negative `(n,)`.
        method: Name for the warning.

    Returns:
        `(n,)` float64 with mean one; all ones if every weight was zero.

    Raises:
        InputError: If a weight is negative or not finite.
    """
    weights = np.asarray(weights, np.float64)
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError(
            f"{method}: the estimated weights are negative or not finite. Scale the features, "
            "for instance with StandardScaler, or choose other kernel parameters."
        )
    count, effective = len(weights), effective_sample_size(weights)
    if effective == 0.0:
        warnings.warn(
            f"{method}: all {count} source weights are zero (effective sample size 0): no source "
            "sample looks like the target. All weights were set to one.",
            DegenerateWeights,
            stacklevel=3,
        )
        return np.ones(count)
    if count > 1 and effective < max(FEWEST * count, min(2.0, 0.9 * count)):
        warnings.warn(
            f"{method}: the effective sample size is {effective:.1f} of {count} source samples: "
            "few of them hold almost all weight. The domains hardly overlap; use a wider kernel, "
            "stronger regularization or fewer features.",
            DegenerateWeights,
            stacklevel=3,
        )
    scaled = weights / weights.max()  # A mean of huge or tiny weights would leave their range.
    return scaled / scaled.mean()
