"""One source domain after the other is left out."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import check_random_state

from tl_keras.arrays.domains import Domains
from tl_keras.utils.errors import InputError
from tl_keras.validation.domain_splitter import DomainSplitter
from tl_keras.validation.shares import dealt


class LeaveOneDomainOut(DomainSplitter):
    """Each source domain is tested once by what was trained on the others.

    It shows how well an estimator does on a domain whose labels it has never seen. The target
    samples are dealt out to the splits, so that there are some in training and in test: an
    estimator needs them to adapt to, a score to compare with.

    A map of features does not know the domain that was left out. Scores that map the source
    samples as such (`divergence_score`, `importance_weighted_score` of mapped features) say so;
    `domain_score(on="source")`, `reverse_validation` and `circular_validation` work.

    Args:
        target: Label of the target domain, or a list of labels.
        random_state: Seed of dealing out the target samples.

    Raises:
        InputError: When used, if there are fewer than two source domains, or fewer target samples
            than source domains.

    Example:
        >>> domain = ["a", "b", "a", "target", "target", "b"]
        >>> splits = LeaveOneDomainOut(random_state=0).split([[0.0]] * 6, domain=domain)
        >>> [test.tolist() for _, test in splits]
        [[0, 2, 4], [1, 3, 5]]
    """

    _needs_domain: ClassVar[bool] = True

    def __init__(self, *, target: Any = "target", random_state: Any = None):
        self.target = target
        self.random_state = random_state

    def _splits(self, y: np.ndarray | None, domains: Domains) -> Iterator[np.ndarray]:
        count = self._count(domains)
        rows = np.flatnonzero(domains.target)
        if len(rows) < count:
            raise InputError(
                f"domain: {len(rows)} target samples for {count} source domains; each split "
                "needs one of its own. Add target samples."
            )
        of_target = np.unique(domains.label[rows], return_inverse=True)[1]
        fold = np.full(len(domains.label), -1)
        fold[rows] = dealt(of_target, count, check_random_state(self.random_state))
        for index, name in enumerate(domains.sources):
            yield domains.of(name) | (fold == index)

    def _count(self, domains: Domains | None) -> int:
        assert domains is not None  # As `_needs_domain` says.
        if len(domains.sources) < 2:
            raise InputError(
                f"domain: expected two source domains or more, to leave one out, got "
                f"{list(domains.sources)}. With one, take DomainSplit."
            )
        return len(domains.sources)
