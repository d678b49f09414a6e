"""Which samples have a label, and whether those are enough to learn from."""

from typing import Any

import numpy as np

from tl_keras.arrays.domains import Domains
from tl_keras.errors import InputError


def unlabelled(y: Any) -> np.ndarray:
    """Return the mask `(n,)` of samples marked as unlabelled: −1, NaN or None."""
    y = np.asarray(y)
    if y.dtype.kind == "f":
        return np.isnan(y) | (y == -1)
    if y.dtype.kind in "iu":
        return y == -1
    if y.dtype == object:
        return np.array([value is None or value != value or value == -1 for value in y], dtype=bool)
    return np.zeros(y.shape[0], bool)


def labelled_samples(y: Any, domains: Domains, *, regression: bool = False) -> np.ndarray:
    """Return the mask `(n,)` of samples to learn from, after checking that the sources have labels.

    Without given domains every label counts: −1 is a class then.

    Args:
        y: Labels `(n,)`; unlabelled samples are −1, NaN or None, for regression only NaN.
        domains: The samples' domains.
        regression: Whether −1 is a value like any other.

    Raises:
        InputError: If a source sample has no label.
    """
    y = np.asarray(y)
    if not domains.given:
        return np.ones(y.shape[0], bool)
    if regression:
        blank = np.isnan(y) if y.dtype.kind == "f" else np.zeros(y.shape[0], bool)
    else:
        blank = unlabelled(y)
    for name in domains.sources:
        count = int((blank & domains.of(name)).sum())
        if count:
            raise InputError(
                f"y: {count} of {int(domains.of(name).sum())} samples of source domain {name!r} "
                "have no label (−1, NaN or None). Sources need labels: give them, drop those "
                "samples, or, if −1 is one of your classes, name it otherwise."
            )
    return ~blank


def require_classes(y: np.ndarray, where: str) -> np.ndarray:
    """Return the sorted classes of `y`, of which there must be two or more.

    Args:
        y: Labels of labelled samples.
        where: What they belong to, for the error, such as `"the source domains"`.

    Raises:
        InputError: If there is only one class, or none.
    """
    classes = np.unique(y)
    if classes.size < 2:
        found = f"one class only, {classes.tolist()[0]!r}" if classes.size else "none"
        raise InputError(
            f"y: expected labels of two classes or more in {where}, got {found}. Add samples of "
            "the other classes."
        )
    return classes
