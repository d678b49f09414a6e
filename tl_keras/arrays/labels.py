"""Which samples have a label, and whether those are enough to learn from."""

from typing import Any

import numpy as np

from tl_keras.arrays.checks import check_size
from tl_keras.arrays.domains import PASS_DOMAIN, Domains
from tl_keras.arrays.marks import is_mark, is_missing, keep_marks
from tl_keras.utils.errors import InputError

WRITTEN_MARKS = ("-1", "-1.0", "nan", "None", "<NA>")
"""What marks of unlabelled samples become in an array of strings."""
MOST_CLASSES = 2.0**63
SEARCH_WITHOUT_LABELS = (
    "In a search or cross-validation pass cv=tl.validation.DomainSplit(5) and "
    "scoring=tl.validation.reverse_validation(), which needs no labels of the target; "
    "tl.validation.domain_score(…) takes them apart from y."
)
"""What to do where scikit-learn would score or split by the marks of unlabelled samples."""


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

    Without given domains every sample needs a label, since there is no target to have none.

    Args:
        y: Labels `(n,)`; unlabelled samples are −1, NaN or None, for regression only NaN.
        domains: The samples' domains.
        regression: Whether −1 is a value like any other.

    Raises:
        InputError: If a source sample has no label, any sample has none and no domains are given,
            or labels of several types cannot be sorted.
    """
    y = np.asarray(keep_marks(y))
    if not domains.given:
        refuse_marks_without_domain(y, regression=regression)
        refuse_several_types(y)
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
    if not regression:
        refuse_several_types(y[~blank])
        _refuse_large_classes(y)
    return ~blank


def has_fractions(y: Any) -> bool:
    """Return whether labels are numbers with fractions, those of a regression: −1 is a value."""
    y = np.asarray(keep_marks(y))
    return y.dtype.kind == "f" and bool((np.nan_to_num(y) % 1 != 0).any())


def refuse_marks_without_domain(y: Any, *, regression: bool = False) -> None:
    """Refuse marks of unlabelled samples where no domains are given: they would become a class.

    The classes −1 and 1, with no others beside them, are taken for classes.

    Args:
        y: Labels `(n,)`.
        regression: Whether −1 is a value like any other.

    Raises:
        InputError: If a sample is marked.
    """
    y = np.asarray(keep_marks(y))
    values = y.tolist()
    strings = y.dtype.kind in "UO"
    if regression:
        marked = [value for value in values if is_missing(value)]
    elif {str(value) for value in values} <= {"-1", "1", "-1.0", "1.0"}:
        marked = []
    else:
        marked = [value for value, mark in zip(values, unlabelled(y), strict=True) if mark]
        marked += [value for value in values if strings and value in WRITTEN_MARKS]
    if marked:
        raise InputError(
            f"domain: {len(marked)} of {len(values)} samples are marked as unlabelled in y "
            f"({marked[0]!r}), but no domain is given, so that the mark would count as a label. "
            f"{PASS_DOMAIN} If {marked[0]!r} is one of your classes, name it otherwise."
        )


def refuse_marks_in_scores(y: Any, classes: Any = None) -> None:
    """Refuse to compare predictions with marks of unlabelled samples.

    Args:
        y: Labels `(n,)`.
        classes: Classes of the fitted classifier; None for a regressor, for which −1 is a value.

    Raises:
        InputError: If a sample is marked with what is not one of the classes.
    """
    y = np.asarray(keep_marks(y))
    if y.ndim != 1 or (classes is not None and unlabelled(classes).any()):
        return
    blank = [is_missing(value) for value in y.tolist()] if classes is None else unlabelled(y)
    if np.any(blank):
        raise InputError(
            f"y: {int(np.sum(blank))} of {len(y)} samples have no label to compare predictions "
            f"with. {SEARCH_WITHOUT_LABELS}"
        )


def refuse_several_types(y: np.ndarray) -> None:
    """Refuse labels of which some are strings and some are not: they have no order."""
    if y.dtype != object:
        return
    values = y.tolist()
    kinds = {isinstance(value, str): value for value in values}
    if len(kinds) > 1:
        raise InputError(
            f"y: expected labels of one type, got {kinds[True]!r} and {kinds[False]!r} "
            f"({type(kinds[False]).__name__}). Write all of them as strings, and mark samples "
            "without a label with None."
        )


def _refuse_large_classes(y: np.ndarray) -> None:
    """Refuse numbers that are classes and beyond all integers, which scikit-learn makes of them."""
    if y.dtype.kind == "f" and (np.abs(y) >= MOST_CLASSES).any():
        raise InputError(
            f"y: expected numbers of classes, got {np.abs(y[y == y]).max():g}. Number the classes "
            "from 0, or pass a regressor if these are values."
        )


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
        InputError: If a value is no number, or its powers overflow or vanish.
    """
    if y.dtype.kind in "biuf":
        check_size("y", y)
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
    check_size("y", found)
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
