"""CORAL distance."""

from typing import Any

import numpy as np

from tl_keras.divergences.samples import REMEDY, checked_pair, compact_pair
from tl_keras.utils.memory import check_memory


def coral_distance(source: Any, target: Any) -> float:
    """Return the CORAL distance of two sets of samples: how much their covariances differ.

    `‖C_source − C_target‖²_F / (4 features²)`. Means do not count. It depends on the scale of the
    features; standardise both sets by the same numbers to compare different features.

    Args:
        source: `(n, features)`, dense or sparse, two samples or more.
        target: `(m, features)`.

    Returns:
        The distance, 0 or more. Time `O((n + m) d²)` and memory `O(d²)`, where `d` is the smaller
        of features and `n + m`.

    Raises:
        InputError: If the sets do not fit together, or not into memory.
        ValueError: If a set is not finite.

    Example:
        >>> coral_distance([[0.0], [2.0]], [[0.0], [4.0]])
        9.0

    References:
        Sun, Saenko: Deep CORAL: Correlation Alignment for Deep Domain Adaptation. ECCV Workshops,
        2016.
    """
    source, target = checked_pair(source, target, fewest=2)
    features = source.shape[1]
    source, target = compact_pair(source, target, "coral_distance")
    check_memory(24.0 * source.shape[1] ** 2, "coral_distance", REMEDY)
    difference = np.cov(source, rowvar=False) - np.cov(target, rowvar=False)
    return float(np.square(difference).sum()) / (4.0 * features**2)
