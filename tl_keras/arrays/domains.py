"""Which sample belongs to which domain."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse

from tl_keras.arrays.frames import column_names, match_columns, stack_frames
from tl_keras.arrays.marks import is_missing, keep_marks
from tl_keras.utils.errors import InputError

PASS_DOMAIN = (
    "Pass the domain of each sample, fit(X, y, domain=domain). A Pipeline hands it on after "
    "sklearn.set_config(enable_metadata_routing=True); tl.validation.fit_search and "
    "cross_validate switch that on themselves."
)
SPLIT_BY_DOMAIN = (
    "In a search or cross-validation every part needs samples of each domain: pass "
    "cv=tl.validation.DomainSplit(5)."
)


class MissingDomain(UserWarning):
    """An estimator for several domains was fitted without `domain`: nothing has shifted for it."""


@dataclasses.dataclass(frozen=True)
class Domains:
    """The domains of a set of samples.

    Attributes:
        label: Domain of each sample `(n,)`, any labels that compare equal.
        sources: Labels of the source domains, sorted.
        targets: Labels of the target domains, sorted.
        given: Whether the user said which sample belongs where; if not, all samples are one
            domain that is source and target at once.
    """

    label: np.ndarray
    sources: tuple[Any, ...]
    targets: tuple[Any, ...]
    given: bool = True

    @property
    def source(self) -> np.ndarray:
        """Mask `(n,)` of the samples of all source domains."""
        return np.isin(self.label, np.asarray(self.sources))

    @property
    def target(self) -> np.ndarray:
        """Mask `(n,)` of the samples of all target domains."""
        return np.isin(self.label, np.asarray(self.targets))

    def of(self, domain: Any) -> np.ndarray:
        """Return the mask `(n,)` of the samples of one domain."""
        return self.label == domain


def rows_of(mask: np.ndarray) -> np.ndarray | slice:
    """Return what selects the samples of a mask `(n,)`: where they are neighbours, without a copy.

    What is selected may be a view of the caller's array; do not write into it.
    """
    rows = np.flatnonzero(mask)
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def resolve_domains(domain: Any, target: Any, count: int) -> Domains:
    """Check `domain` and find source and target domains in it.

    Args:
        domain: A label per sample `(n,)`, strings or integers. None puts all samples into one
            domain that is source and target at once: nothing has shifted.
        target: Label of the target domain, or a list or other iterable of labels.
        count: Number of samples.

    Raises:
        InputError: If the length is wrong, a label is missing, or there is no source or target
            sample.
    """
    if domain is None:
        return Domains(np.zeros(count, np.int64), (0,), (0,), given=False)
    label = domain_labels(domain, count)
    wanted = target_labels(target)
    if not wanted:
        raise InputError("target: expected the label of a domain or a list of them, got none.")
    if label.dtype.kind == "U":
        wanted = [str(name) for name in wanted]
    there = np.unique(label).tolist()
    missing = [name for name in wanted if name not in there]
    if missing:
        raise InputError(
            f"target: no sample belongs to domain {missing[0]!r}; `domain` has {_some(there)}. "
            "Name the target domains with target=… when the estimator is made, or add samples "
            f"of it. {SPLIT_BY_DOMAIN}"
        )
    sources = tuple(name for name in there if name not in wanted)
    if not sources:
        raise InputError(
            f"domain: all samples belong to target domains ({_some(there)}), there is none to "
            f"transfer from. Add samples of a source domain. {SPLIT_BY_DOMAIN}"
        )
    beginnings = tuple(name for name in map(str, wanted) if name.startswith("target"))
    odd = [name for name in sources if str(name).startswith(beginnings)]
    if odd:
        warnings.warn(
            f"domain: {odd[0]!r} is a source here, since target={target!r}. If it is a target, "
            "name all of them: target=[…].",
            stacklevel=3,
        )
    return Domains(label, sources, tuple(name for name in there if name in wanted))


def warn_without_domain(domains: Domains, method: str, stacklevel: int = 3) -> None:
    """Warn where an estimator was fitted without `domain`.

    Args:
        domains: What `resolve_domains` found.
        method: Name of the estimator.
        stacklevel: As of `warnings.warn`, counted from the caller: 2 is who called that.
    """
    if not domains.given:
        warnings.warn(
            f"{method}: fitted without domain, so that nothing has shifted and nothing is adapted. "
            f"{PASS_DOMAIN}",
            MissingDomain,
            stacklevel=stacklevel + 1,
        )


def target_labels(target: Any) -> list[Any]:
    """Return the labels of the target domains: `target` is one label or an iterable of them."""
    if isinstance(target, (str, bytes)):
        return [target]
    try:
        return list(target)
    except TypeError:
        return [target]


def domain_labels(domain: Any, count: int) -> np.ndarray:
    """Return `domain` as an array `(n,)` of numbers or strings that compares label by label.

    Labels of several types, such as `[1, "b"]`, all become strings.

    Args:
        domain: A label per sample.
        count: Number of samples.

    Raises:
        InputError: If the length is wrong or a label is missing.
    """
    label = np.asarray(keep_marks(domain))
    if label.shape != (count,):
        raise InputError(
            f"domain: expected one label per sample, an array of shape ({count},), got shape "
            f"{label.shape}. tl.data.stack_domains builds X, y and domain that fit together."
        )
    if label.dtype == object:
        if any(is_missing(value) for value in label):
            raise InputError("domain: expected a label for every sample, got None or NaN.")
        numbers = all(isinstance(value, (int, float, np.number, np.bool_)) for value in label)
        return np.array(label.tolist() if numbers else [str(value) for value in label])
    if label.dtype.kind == "f" and np.isnan(label).any():
        raise InputError("domain: expected a label for every sample, got NaN.")
    return label


def stack_domains(**domains: tuple[Any, Any]) -> tuple[Any, np.ndarray, np.ndarray]:
    """Stack the samples of several domains into `X`, `y` and `domain`.

    Args:
        **domains: Domain name → `(X, y)`, with `X` `(n, features)` dense, sparse or a table, and
            `y` `(n,)` or None for a domain without labels. Columns with names are matched by them,
            in the order of the first table.

    Returns:
        `X` `(Σn, features)`, sparse if any part is; a DataFrame with a new index if all parts are
        DataFrames with named columns, each of which keeps its name and type. `y` `(Σn,)`, where
        unlabelled samples are −1 for whole numbers, which are taken for classes, NaN for floats
        and None for strings; `domain` `(Σn,)`, the names.

    Raises:
        InputError: If parts do not fit together: numbers of features or names of columns differ.

    Example:
        >>> X, y, domain = stack_domains(source=([[0.0], [1.0]], [0, 1]), target=([[2.0]], None))
        >>> y.tolist(), domain.tolist()
        ([0, 1, -1], ['source', 'source', 'target'])
    """
    if not domains:
        raise InputError("stack_domains: expected at least one domain, as name=(X, y).")
    parts, labels = {}, {}
    for name, pair in domains.items():
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InputError(f"{name}: expected (X, y), with y=None for a domain without labels.")
        known = scipy.sparse.issparse(pair[0]) or column_names(pair[0]) is not None
        x = pair[0] if known else np.asarray(pair[0])
        if len(x.shape) != 2:
            raise InputError(f"{name}: expected X of shape (samples, features), got {x.shape}.")
        parts[name] = x
        labels[name] = None if pair[1] is None else np.asarray(keep_marks(pair[1]))
        if labels[name] is not None and labels[name].shape != (x.shape[0],):
            raise InputError(
                f"{name}: expected y of shape ({x.shape[0]},), one label per sample of X, got "
                f"{labels[name].shape}."
            )
    parts = match_columns(parts)
    widths = {name: x.shape[1] for name, x in parts.items()}
    if len(set(widths.values())) > 1:
        raise InputError(
            f"stack_domains: the domains have different numbers of features, {widths}. Bring "
            "them to the same features first."
        )
    name_of = np.concatenate([np.full(x.shape[0], name) for name, x in parts.items()])
    return _stacked_samples(parts), _stacked_labels(parts, labels), name_of


def _stacked_samples(parts: dict) -> Any:
    frame = stack_frames(parts)
    if frame is not None:
        return frame
    if any(scipy.sparse.issparse(x) for x in parts.values()):
        return scipy.sparse.vstack(list(parts.values()), format="csr")
    return np.vstack([np.asarray(x) for x in parts.values()])


def _stacked_labels(parts: dict, labels: dict) -> np.ndarray:
    known = [y for y in labels.values() if y is not None]
    if any(y.dtype.kind not in "biuf" for y in known):
        blank, kind = None, object
    elif any(y.dtype.kind == "f" for y in known):
        blank, kind = np.nan, np.float64
    else:
        blank, kind = -1, np.int64
    return np.concatenate(
        [
            np.full(x.shape[0], blank, kind) if labels[name] is None else labels[name].astype(kind)
            for name, x in parts.items()
        ]
    )


def _some(names: Sequence[Any], most: int = 6) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
