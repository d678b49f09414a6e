"""Random shares of samples that keep the proportions of groups."""

from typing import Any

import numpy as np

from tl_keras.arrays.domains import Domains
from tl_keras.arrays.labels import unlabelled

NEIGHBOURS = 10


def groups_of(y: Any, domains: Domains, with_labels: np.ndarray) -> np.ndarray:
    """Return each sample's groups `(n, 2)`: the numbers of its domain and, where asked, its class.

    Labels are values, not classes, where there is more than one for every two samples: then ten
    neighbours make a class, so that small and large values are in every share.

    Args:
        y: Labels `(n,)` or None.
        domains: Which sample belongs where.
        with_labels: Mask `(n,)` of samples whose labels may be used.
    """
    domain = np.unique(domains.label, return_inverse=True)[1]
    label = np.zeros(len(domain), np.int64)
    if y is not None:
        y = np.asarray(y)
        used = with_labels & ~unlabelled(y)
        classes, number = np.unique(y[used], return_inverse=True)
        label[used] = 1 + (number if 2 * len(classes) <= len(number) else number // NEIGHBOURS)
    return np.stack([domain, label], axis=1)


def dealt(groups: np.ndarray, count: int, random: np.random.RandomState | None) -> np.ndarray:
    """Return a fold `0 … count − 1` for each sample, dealt out group by group.

    Folds differ by one sample at the most, and so does each group's part in them.

    Args:
        groups: Group number of each sample `(n,)`, or `(n, levels)` for groups within groups.
        count: Number of folds.
        random: Shuffles groups and the samples in them; None: in the order of the samples.
    """
    order = _in_groups(groups, random)
    fold = np.empty(len(groups), np.int64)
    fold[order] = np.arange(len(groups)) % count
    return fold


def share(groups: np.ndarray, part: float, random: np.random.RandomState) -> np.ndarray:
    """Return the mask `(n,)` of a random share of the samples, spread evenly over the groups.

    Args:
        groups: Group number of each sample `(n,)`, or `(n, levels)` for groups within groups.
        part: Share from 0 to 1; `round(part · n)` samples are chosen.
        random: Chooses within the groups, and which groups get the fractions of samples.
    """
    if not len(groups):
        return np.zeros(0, bool)
    order = _in_groups(groups, random)
    # Without a random start, the last samples of a group would be chosen less often than others.
    start = random.randint(len(groups))
    steps = (np.arange(len(groups) + 1) * round(part * len(groups)) + start) // len(groups)
    chosen = np.zeros(len(groups), bool)
    chosen[order] = np.diff(steps) > 0
    return chosen


def _in_groups(groups: np.ndarray, random: np.random.RandomState | None) -> np.ndarray:
    """Return an order of the samples, group after group; groups and samples shuffled if asked."""
    count = len(groups)
    keys = [np.arange(count) if random is None else random.permutation(count)]
    for level in groups.reshape(count, -1).T[::-1]:
        names, number = np.unique(level, return_inverse=True)
        keys.append(number if random is None else random.permutation(len(names))[number])
    return np.lexsort(keys)
