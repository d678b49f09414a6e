"""Random shares of samples that keep the proportions of groups."""

from typing import Any

import numpy as np

from tl_keras.arrays.domains import Domains
from tl_keras.arrays.labels import unlabelled


def groups_of(y: Any, domains: Domains, with_labels: np.ndarray) -> np.ndarray:
    """Return the number of each sample's group `(n,)`: its domain and, where asked, its class.

    Args:
        y: Labels `(n,)` or None.
        domains: Which sample belongs where.
        with_labels: Mask `(n,)` of samples whose labels may be used.
    """
    _, group = np.unique(domains.label, return_inverse=True)
    if y is None:
        return group
    y = np.asarray(y)
    used = with_labels & ~unlabelled(y)
    label = np.zeros(len(group), np.int64)
    if used.any():
        label[used] = 1 + np.unique(y[used], return_inverse=True)[1]
    return np.unique(np.stack([group, label]), axis=1, return_inverse=True)[1].ravel()


def dealt(groups: np.ndarray, count: int, random: np.random.RandomState | None) -> np.ndarray:
    """Return a fold `0 … count − 1` for each sample, dealt out group by group.

    Folds differ by one sample at the most, and so does each group's part in them.

    Args:
        groups: Group number of each sample `(n,)`.
        count: Number of folds.
        random: Shuffles within the groups; None: in the order of the samples.
    """
    order = np.arange(len(groups)) if random is None else random.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    fold = np.empty(len(groups), np.int64)
    fold[order] = np.arange(len(groups)) % count
    return fold


def share(groups: np.ndarray, part: float, random: np.random.RandomState) -> np.ndarray:
    """Return the mask `(n,)` of a random share of the samples, spread evenly over the groups.

    Args:
        groups: Group number of each sample `(n,)`.
        part: Share from 0 to 1; `round(part · n)` samples are chosen.
        random: Chooses within the groups.
    """
    order = random.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    steps = np.arange(len(groups) + 1) * round(part * len(groups)) // max(len(groups), 1)
    chosen = np.zeros(len(groups), bool)
    chosen[order] = np.diff(steps) > 0
    return chosen
