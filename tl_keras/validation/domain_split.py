"""Folds that hold their share of every domain."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from tl_keras.arrays.checks import check_count
from tl_keras.arrays.domains import Domains
from tl_keras.utils.errors import InputError, counted
from tl_keras.validation.domain_splitter import DomainSplitter
from tl_keras.validation.shares import dealt, groups_of


class DomainSplit(DomainSplitter):
    """Folds with the same part of every domain and of every class in them.

    Each sample is tested once. Training and test samples come from all domains, so that scores
    which compare domains work on either. Use it as `cv` of `cross_validate` and `GridSearchCV`.

    Args:
        n_splits: Number of folds, 2 or more.
        target: Label of the target domain, or a list of labels.
        target_labels: `"hidden"`: the labels of target samples have no influence on the folds, as
            if there were none. `"kept"`: the classes of labelled target samples are spread evenly
            as well, and so are the labelled among the unlabelled.
        shuffle: Whether to deal the samples in random order.
        random_state: Seed of that order.

    Raises:
        InputError: When used, if a domain has fewer samples than there are folds.

    Example:
        >>> domain = ["source"] * 4 + ["target"] * 2
        >>> splits = DomainSplit(2, shuffle=False)
        >>> for train, test in splits.split([[0.0]] * 6, [0, 0, 1, 1, -1, -1], domain=domain):
        ...     print(train, test)
        [1 3 5] [0 2 4]
        [0 2 4] [1 3 5]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        target: Any = "target",
        target_labels: str = "hidden",
        shuffle: bool = True,
        random_state: Any = None,
    ):
        self.n_splits = n_splits
        self.target = target
        self.target_labels = target_labels
        self.shuffle = shuffle
        self.random_state = random_state

    def _splits(self, y: np.ndarray | None, domains: Domains) -> Iterator[np.ndarray]:
        folds = self._count(domains)
        if self.target_labels not in ("hidden", "kept"):
            raise InputError(
                f"target_labels: expected 'hidden' or 'kept', got {self.target_labels!r}."
            )
        for name in (*domains.sources, *domains.targets):
            count = int(domains.of(name).sum())
            if count < folds:
                raise InputError(
                    f"domain: {name!r} has {counted(count, 'sample')} for {folds} folds. Take "
                    "fewer folds or add samples."
                )
        seen = (
            domains.source if self.target_labels == "hidden" else np.ones(len(domains.label), bool)
        )
        random = check_random_state(self.random_state) if self.shuffle else None
        fold = dealt(groups_of(y, domains, seen), folds, random)
        for index in range(folds):
            yield fold == index

    def _count(self, domains: Domains | None) -> int:
        return check_count("n_splits", self.n_splits, 2)
