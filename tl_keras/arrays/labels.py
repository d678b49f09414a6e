"""Which samples have a label, and whether those are enough to learn from."""

from typing import Any

import numpy as np

from tl_keras.arrays.domains import Domains
from tl_keras.arrays.marks import is_mark, is_missing, keep_marks
from tl_keras.errors import InputError

WRITTEN_MARKS = ("-1", "-1.0", "nan", "None", "<NA>")
"""What marks of unlabelled samples become in an array of strings."""


def unlabelled(y: Any) -> np.ndarray:
    """Return the mask `(n,)` of samples marked as unlabelled: −1, NaN, None or NA."""
    y = np.asarray(keep_marks(y))
    if y.dtype.kind == "f":
        return np.isnan(y) | (y == -1)
    if y.dtype.kind in "iu":
        return y == -1
    if y.dtype == object:
        return np.array([is_mark(value) for value in y], dtype=bool)
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
    y = np.asarray(keep_marks(y))
    if not domains.given:
        return np.ones(y.shape[0], bool)
    _refuse_written_marks(y, domains)
    if regression:
        _refuse_whole_marks(y, domains)
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


def _refuse_whole_marks(y: np.ndarray, domains: Domains) -> None:
    """Refuse whole numbers that are all −1 in a target: a regressor would learn the mark."""
    if y.dtype.kind != "i":
        return
    for name in domains.targets:
        if (y[domains.of(name)] == -1).all():
            raise InputError(
                f"y: all values of target domain {name!r} are −1, which to a regressor is a value "
                "like any other. Mark samples without a value with NaN, in an array of floats."
            )


def _refuse_written_marks(y: np.ndarray, domains: Domains) -> None:
    """Refuse strings that were marks before NumPy made one type of all labels."""
    if y.dtype.kind not in "UO":
        return
    own, there = (
        {one for one in y[mask].tolist() if isinstance(one, str)}
        for mask in (domains.target, domains.source)
    )
    written = sorted((own & set(WRITTEN_MARKS)) - there)
    if written:
        raise InputError(
            f"y: {written[0]!r} is the label of target samples only, a string. If it marks samples "
            "without a label, keep it from becoming one: y = y.astype(object), before the marks "
            "go in. If it is a class, name it otherwise."
        )


def regression_values(y: np.ndarray) -> np.ndarray:
    """Return the values of a regression `(n,)` as numbers, NaN where they are missing.

    Args:
        y: `(n,)`, numbers or objects.

    Raises:
        InputError: If a value is no number.
    """
    if y.dtype.kind in "biuf":
        return y
    found = np.empty(y.shape[0])
    for index, value in enumerate(y.tolist()):
        try:
            found[index] = np.nan if is_missing(value) else value
        except (TypeError, ValueError) as error:
            raise InputError(
                "y: expected numbers, with NaN for samples without a label; "
                f"{type(value).__name__} values such as {value!r} are none."
            ) from error
    return found


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
