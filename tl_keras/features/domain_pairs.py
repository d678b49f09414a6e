"""Which means should agree: those of each source and each target domain, or of their classes."""

import numpy as np

from tl_keras.arrays import Domains


def pairs_of_domains(domains: Domains) -> np.ndarray:
    """Return one column for each pair of a source `s` and a target domain `t`.

    A column has `1/n` on samples of `s` and `−1/n` on those of `t`, and is divided by the root of
    the number of pairs. For one source and one target `E Eᵀ` is the matrix `L` of the maximum mean
    discrepancy (Pan et al. 2011).

    Args:
        domains: The samples' domains.

    Returns:
        `E` `(n, pairs)`; no columns where no domains were given.
    """
    everyone = np.ones(domains.label.shape[0], bool)
    return _columns(domains, everyone, by_prior=False)


def pairs_of_classes(domains: Domains, codes: np.ndarray, *, by_prior: bool = False) -> np.ndarray:
    """Return one column for each class and each pair of domains that both have samples of it.

    Args:
        domains: The samples' domains.
        codes: Class of each sample `(n,)`, 0, 1, …
        by_prior: Whether each half of a column is multiplied by the root of the class's share of
            its domain (Wang et al. 2017, W-BDA).

    Returns:
        `(n, columns)`; no columns where no domains were given.
    """
    return np.hstack(
        [_columns(domains, codes == code, by_prior=by_prior) for code in np.unique(codes)]
    )


def count_of_pairs(domains: Domains, codes: np.ndarray) -> int:
    """Return how many columns `pairs_of_domains` and `pairs_of_classes` have together.

    Args:
        domains: The samples' domains.
        codes: Class of each sample `(n,)`.
    """
    if not domains.given:
        return 0
    sources, targets = (
        [np.unique(codes[domains.of(name)]) for name in names]
        for names in (domains.sources, domains.targets)
    )
    return sum(1 + len(np.intersect1d(a, b)) for a in sources for b in targets)


def _columns(domains: Domains, members: np.ndarray, *, by_prior: bool) -> np.ndarray:
    columns = []
    if domains.given:
        sources, targets = (
            [
                half
                for name in names
                if (half := _half(domains, name, members, by_prior)) is not None
            ]
            for names in (domains.sources, domains.targets)
        )
        columns = [source - target for source in sources for target in targets]
    if not columns:
        return np.zeros((members.shape[0], 0))
    return np.stack(columns, axis=1) / np.sqrt(len(columns))


def _half(domains: Domains, name, members: np.ndarray, by_prior: bool) -> np.ndarray | None:
    there = domains.of(name)
    chosen = there & members
    count = int(chosen.sum())
    if not count:
        return None
    return chosen * ((np.sqrt(count / there.sum()) if by_prior else 1.0) / count)
