"""Random splits with a share of the sources and a share of the targets to test."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from tl_keras.arrays.checks import check_count
from tl_keras.arrays.domains import Domains
from tl_keras.utils.errors import InputError, counted
from tl_keras.validation.domain_splitter import DomainSplitter
from tl_keras.validation.shares import groups_of, share


class SourceTargetShuffleSplit(DomainSplitter):
    """Random splits, with shares of source and target samples of one's own choice.

    The shares are taken evenly from all domains and source classes; target labels have no
    influence. With `source_test_size=0` all source samples train and only target samples are
    tested, from source to target. Scores that compare domains need a share of both.

    Args:
        n_splits: Number of splits, 1 or more.
        source_test_size: Share of the source samples to test, at least 0 and below 1.
        target_test_size: Share of the target samples to test, at least 0 and below 1.
        target: Label of the target domain, or a list of labels.
        random_state: Seed.

    Raises:
        InputError: When used, if a share is out of range or leaves nothing to train or test.

    Example:
        >>> domain = ["source"] * 4 + ["target"] * 4
        >>> splits = SourceTargetShuffleSplit(1, source_test_size=0.25, target_test_size=0.5)
        >>> train, test = next(splits.split([[0.0]] * 8, domain=domain))
        >>> int((test < 4).sum()), int((test >= 4).sum())
        (1, 2)
    """

    def __init__(
        self,
        n_splits: int = 10,
        *,
        source_test_size: float = 0.2,
        target_test_size: float = 0.2,
        target: Any = "target",
        random_state: Any = None,
    ):
        self.n_splits = n_splits
        self.source_test_size = source_test_size
        self.target_test_size = target_test_size
        self.target = target
        self.random_state = random_state

    def _splits(self, y: np.ndarray | None, domains: Domains) -> Iterator[np.ndarray]:
        count = self._count(domains)
        random = check_random_state(self.random_state)
        groups = groups_of(y, domains, domains.source)
        sides = [
            (np.flatnonzero(domains.source), "source_test_size", self.source_test_size),
            (np.flatnonzero(domains.target), "target_test_size", self.target_test_size),
        ]
        for rows, name, size in sides:
            if not 0.0 <= size < 1.0:
                raise InputError(f"{name}: expected a share of at least 0 and below 1, got {size}.")
            if round(size * len(rows)) == len(rows):
                raise InputError(
                    f"{name}: a share of {size} of {counted(len(rows), 'sample')} leaves none to "
                    "train with. Take a smaller share or add samples."
                )
        if not any(round(size * len(rows)) for rows, _, size in sides):
            raise InputError(
                f"source_test_size, target_test_size: shares of {self.source_test_size} and "
                f"{self.target_test_size} leave no sample to test. Take larger ones."
            )
        for _ in range(count):
            test = np.zeros(len(groups), bool)
            for rows, _, size in sides:
                test[rows[share(groups[rows], size, random)]] = True
            yield test

    def _count(self, domains: Domains | None) -> int:
        return check_count("n_splits", self.n_splits, 1)
