"""What a model predicts, and how labels of any form become its training targets."""

import dataclasses
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from tl_keras.utils.errors import InputError, counted, decodable, did_you_mean

Kind = Literal["classification", "multi_label", "regression"]
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
CLOSING = {"classification": "softmax", "multi_label": "sigmoid"}


@dataclasses.dataclass(frozen=True)
class TargetSpec:
    """What one output of a model predicts.

    Attributes:
        kind: `"classification"` (one class per example), `"multi_label"` (any number of classes
            per example) or `"regression"` (real values).
        size: Number of classes, or of regressed values.
        labels: Names of the classes in the order of the model's outputs, or None.
        partly: Whether labels may be missing: −1 (classification), NaN or None. Their rows are
            encoded as NaN.
        standard: For regression: mean and scale, each `(size,)`, of the standard units
            `(y − mean) / scale` in which values are encoded; None for the user's.
    """

    kind: Kind
    size: int
    labels: tuple[str, ...] | None = None
    partly: bool = False
    standard: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def __post_init__(self):
        """Check that the labels fit the size."""
        if self.labels is not None:
            object.__setattr__(self, "labels", tuple(map(label_name, self.labels)))
            if len(self.labels) != self.size:
                raise InputError(
                    f"labels: expected {self.size} names, one per class, got {len(self.labels)}: "
                    f"{list(self.labels)[:10]}. Pass num_classes={len(self.labels)} or fix labels."
                )
            if len(set(self.labels)) != len(self.labels):
                raise InputError(f"labels: names must be distinct, got {list(self.labels)}.")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels, or `"0"`, `"1"`, … where the model has none."""
        return self.labels or tuple(str(index) for index in range(self.size))

    def encode(self, y: Any, argument: str = "y") -> np.ndarray:
        """Turn labels into float32 targets of shape `(n, size)`.

        Args:
            y: Labels of `n` examples. Classification: integers `(n,)` or `(n, 1)` in
                `0 … size-1`, strings out of `labels`, or one-hot / probability rows `(n, size)`.
                Multi-label: 0/1 rows `(n, size)`, also `(n,)` for one label, or `n` collections of
                label names.
                Regression: numbers `(n,)` or `(n, size)`.
            argument: Name that errors use for `y`.

        Returns:
            One-hot (or soft) rows, multi-hot rows, or values; float32 `(n, size)`. Values are
            brought to standard units before they are rounded.

        Raises:
            InputError: If a label is unknown, out of range, missing or not finite.
        """
        if self.partly:
            return self._encode_partly(y, argument)
        if self.kind == "multi_label" and _is_ragged_names(y):
            return self._encode_name_collections(y, argument)
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1 and self.size > 1:
            y = y[:, 0]
        if self.kind == "classification" and y.ndim == 1:
            return self._encode_single(y, argument)
        if y.ndim == 1 and (self.kind == "regression" or self.size == 1):
            y = y[:, None]
        if y.ndim != 2 or y.shape[1] != self.size:
            raise InputError(
                f"{argument}: expected labels of shape (n, {self.size}) for a {self.kind} head"
                f"{' or integers (n,)' if self.kind == 'classification' else ''}, "
                f"got shape {y.shape}."
            )
        values = _finite(y, argument)
        if self.standard is not None:
            mean, scale = map(np.asarray, self.standard)
            return ((y.astype(np.float64) - mean) / scale).astype(np.float32)
        if self.kind == "classification":
            sums = values.sum(axis=1)
            if (values < 0).any() or not np.allclose(sums, 1.0, atol=1e-3):
                raise InputError(
                    f"{argument}: rows of one-hot or soft labels must be ≥ 0 and sum to 1, got a "
                    f"row that sums to {sums[np.argmax(np.abs(sums - 1))]:.3f}. For several "
                    "labels per example use head='multi_label'."
                )
        elif self.kind == "multi_label" and ((values < 0) | (values > 1)).any():
            raise InputError(f"{argument}: multi-label targets must lie in 0 … 1.")
        return values

    def _encode_partly(self, y: Any, argument: str) -> np.ndarray:
        missing = _missing(y, self.kind)
        encoded = np.full((len(missing), self.size), np.nan, np.float32)
        if not missing.all():
            rows = y if isinstance(y, (list, tuple)) else np.asarray(y)
            # None makes an object array of numbers; as a list they are numbers again.
            known = (
                [row for row, gone in zip(rows, missing, strict=True) if not gone]
                if isinstance(rows, (list, tuple)) or rows.dtype == object
                else rows[~missing]
            )
            encoded[~missing] = dataclasses.replace(self, partly=False).encode(known, argument)
        return encoded

    def _encode_single(self, y: np.ndarray, argument: str) -> np.ndarray:
        missing = np.flatnonzero([label is None for label in y]) if y.dtype == object else ()
        if len(missing):
            raise InputError(
                f"{argument}: {counted(len(missing), 'label is', 'labels are')} None, the first "
                f"at row {missing[0]}. Remove or fix these examples."
            )
        if y.dtype.kind in "USO":
            indices = self._indices_of_names(y, argument)
        else:
            values = _finite(y, argument)
            indices = values.astype(np.int64)
            bad = (indices != values) | (indices < 0) | (indices >= self.size)
            if bad.any():
                raise InputError(
                    f"{argument}: expected integer class numbers from 0 to {self.size - 1}, got "
                    f"{values[bad][0]:g} (and {int(bad.sum()) - 1} more). The model has "
                    f"num_classes={self.size}.{self._named_so(values)}"
                )
        encoded = np.zeros((len(indices), self.size), np.float32)
        encoded[np.arange(len(indices)), indices] = 1.0
        return encoded

    def _named_so(self, values: np.ndarray) -> str:
        """Return the remedy where numbers are the names of labels, else nothing."""
        names = {f"{value:g}" for value in np.unique(values)}
        if not names <= set(self.labels or ()):
            return ""
        return " Its labels have these names: pass them as text, y.astype(int).astype(str)."

    def _indices_of_names(self, y: np.ndarray, argument: str) -> np.ndarray:
        if self.labels is None:
            raise InputError(
                f"{argument}: labels are strings, but the model has no labels. Pass "
                "labels=[…] to build_transfer_model, in the order of the classes."
            )
        position = {name: index for index, name in enumerate(self.labels)}
        names = [label_name(label) for label in y.ravel()]
        unknown = sorted({name for name in names if name not in position})
        if unknown:
            raise InputError(
                f"{argument}: unknown labels {unknown[:5]}; the model's labels are "
                f"{list(self.labels)[:20]}.{did_you_mean(unknown[0], self.labels)}"
            )
        return np.array([position[name] for name in names], np.int64)

    def _encode_name_collections(self, y: Any, argument: str) -> np.ndarray:
        encoded = np.zeros((len(y), self.size), np.float32)
        for row, names in enumerate(y):
            if len(names):
                encoded[row, self._indices_of_names(np.asarray(list(names)), argument)] = 1.0
        return encoded


def label_name(label: Any) -> str:
    """Return a label as the name of its class: text in Unicode's composed form, NFC.

    Bytes, as TensorFlow has strings, are decoded; those that are not UTF-8 become escapes.
    """
    text = label.decode("utf-8", "surrogateescape") if isinstance(label, bytes) else str(label)
    return unicodedata.normalize("NFC", decodable(text))


def sorted_names(names: Iterable[str]) -> list[str]:
    """Return distinct class names in order: by value if all of them are numbers, else as text."""
    distinct = set(names)
    if all(map(_NUMBER.fullmatch, distinct)):
        return sorted(distinct, key=lambda name: (float(name), name))
    return sorted(distinct)


def closing_activation(kind: Kind, activation: str | None) -> str | None:
    """Return the activation that turns a model's outputs into probabilities, or None.

    Args:
        kind: What the outputs mean.
        activation: Name of the activation that the model itself ends in; None for logits.
    """
    return CLOSING.get(kind) if activation in (None, "linear") else None


def _is_ragged_names(y: Any) -> bool:
    return (
        len(y) > 0
        and isinstance(y[0], (list, tuple, set, frozenset))
        and any(isinstance(name, str) for row in y for name in row)
    )


def _missing(y: Any, kind: Kind) -> np.ndarray:
    """Return which labels are missing `(n,)`: None, NaN, or −1 where that is no value."""
    minus_one = kind != "regression"

    def gone(value: Any) -> bool:
        if value is None:
            return True
        if isinstance(value, (str, bytes)) or (
            isinstance(value, (list, tuple, set, frozenset)) and not len(value)
        ):
            return False
        if isinstance(value, (set, frozenset)):
            return False
        parts = np.ravel(np.asarray(value))
        if parts.dtype.kind not in "biuf":
            return False
        return bool(np.isnan(parts.astype(np.float64)).all() or (minus_one and (parts == -1).all()))

    rows = y if isinstance(y, (list, tuple)) else np.asarray(y)
    return np.array([gone(row) for row in rows], bool)


def _finite(y: np.ndarray, argument: str) -> np.ndarray:
    try:
        values = y.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{argument}: expected numbers, got {y.dtype}.") from error
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        raise InputError(
            f"{argument}: {counted(int(bad.sum()), 'label is', 'labels are')} NaN or infinite, "
            f"the first at row {row}. Remove or fix these examples."
        )
    return values
