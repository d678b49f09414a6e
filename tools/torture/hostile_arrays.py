"""Samples, labels and domains as nobody should pass them to an estimator, or as few do."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

__all__ = ["Samples", "cases", "honest"]


@dataclasses.dataclass
class Samples:
    """What an estimator is fitted with.

    Attributes:
        X: `(24, 4)`: 14 source samples, then 10 of the target, moved by one.
        y: `(24,)`: labels; six of the target's are missing.
        domain: `(24,)`: `"source"` and `"target"`.
    """

    X: Any
    y: Any
    domain: Any


def honest(seed: int, regression: bool) -> Samples:
    """Return samples that every method can learn from.

    Args:
        seed: Of the samples.
        regression: Whether labels are values, with NaN for missing ones, and not two classes, with
            −1 for missing ones.
    """
    generator = np.random.default_rng(seed)
    domain = np.repeat(["source", "target"], (14, 10))
    X = generator.normal(size=(24, 4)) + (domain == "target")[:, None]
    X[:, 0] += 2 * (np.arange(24) % 2)
    y = X[:, 0].copy() if regression else np.arange(24) % 2
    y[18:] = np.nan if regression else -1
    return Samples(X, y, domain)


def cases(seed: int, regression: bool) -> Iterator[tuple[str, Samples]]:
    """Yield names and samples: hostile `X`, then hostile `y` and `domain`."""
    for family, changes in {"X": _SAMPLES, "y": _LABELS, "domain": _DOMAINS}.items():
        for name, change in changes.items():
            samples = honest(seed, regression)
            values = change(getattr(samples, family).copy())
            yield f"{family}/{name}", dataclasses.replace(samples, **{family: values})
    for name, rows in {
        "no rows": slice(0, 0),
        "one row": slice(0, 1),
        "one row of each domain": slice(13, 15),
        "one source row": slice(13, 24),
        "one target row": slice(0, 15),
        "two rows of each domain": slice(12, 16),
        "source alone": slice(0, 14),
        "target alone": slice(14, 24),
    }.items():
        samples = honest(seed, regression)
        yield f"rows/{name}", Samples(samples.X[rows], samples.y[rows], samples.domain[rows])


def _put(value: Any, where: Any = (3, 1)) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.astype(object) if isinstance(value, (str, type(None))) else array
        array = array.astype(float) if isinstance(value, float) and array.dtype != object else array
        array[where] = value
        return array

    return change


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _as_type(kind: Any) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: array.astype(kind)


_COLUMN = (slice(None), 1)
_ALL = slice(None)
_SAMPLES: dict[str, Callable[[np.ndarray], Any]] = {
    "NaN": _put(np.nan),
    "NaN in the target": _put(np.nan, (20, 1)),
    "column of NaN": _put(np.nan, _COLUMN),
    "all NaN": _put(np.nan, _ALL),
    "infinity": _put(np.inf),
    "minus infinity": _put(-np.inf, (20, 2)),
    "one of 1e8": _put(1e8),
    "one of 1e160": _put(1e160),
    "one of 1e308": _put(1e308),
    "all times 1e155": lambda X: X * 1e155,
    "all times 1e300": lambda X: X * 1e300,
    "all times 1e59": lambda X: X * 1e59,
    "all times 1e-149": lambda X: X * 1e-149,
    "all times 1e-160": lambda X: X * 1e-160,
    "denormal": lambda X: X * 5e-324,
    "one column times 1e150": lambda X: X * [1, 1e150, 1, 1],
    "units of 1e-12 to 1e12": lambda X: X * [1e-12, 1, 1e6, 1e12],
    "far from zero": lambda X: X + 1e12,
    "constant column": _put(3.0, _COLUMN),
    "constants": _put(3.0, _ALL),
    "huge constants": _put(1e200, _ALL),
    "zeros": _put(0.0, _ALL),
    "equal columns": lambda X: X[:, [0, 0, 0, 0]],
    "equal rows": lambda X: X[np.zeros(24, int)],
    "rows twice": lambda X: np.concatenate([X[:7], X[:7], X[14:19], X[14:19]]),
    "constant within the target": _put(1.0, slice(14, None)),
    "constant within the source": _put(1.0, slice(None, 14)),
    "domains a million apart": lambda X: X + 1e6 * (np.arange(24) >= 14)[:, None],
    "one feature": lambda X: X[:, :1],
    "no features": lambda X: X[:, :0],
    "more features than samples": lambda X: np.tile(X, (1, 20)) + np.arange(80),
    "int8": _as_type(np.int8),
    "uint8": lambda X: (X * 20 + 100).astype(np.uint8),
    "int64 near its end": lambda X: (X * 2**60).astype(np.int64),
    "bool": lambda X: X > 0,
    "float16": _as_type(np.float16),
    "float16 near its end": lambda X: np.clip(X * 2e4, -65504, 65504).astype(np.float16),
    "float32": _as_type(np.float32),
    "float32 near its end": lambda X: (X * 1e38 / 10).astype(np.float32),
    "float32, tiny": lambda X: (X * 1e-38).astype(np.float32),
    "long double": _as_type(np.longdouble),
    "big-endian": _as_type(">f8"),
    "complex": _as_type(complex),
    "dates": lambda X: (X * 1000).astype("datetime64[D]"),
    "objects": _as_type(object),
    "objects with a word": _put("many"),
    "objects with None": _put(None),
    "strings": _as_type(str),
    "bytes": _as_type("S5"),
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "columns first": np.asfortranarray,
    "reversed": lambda X: X[::-1, ::-1],
    "read-only": _read_only,
    "broadcast": lambda X: np.broadcast_to(X[:1], X.shape),
    "masked": lambda X: np.ma.masked_array(X, X > 1),
    "matrix": lambda X: np.asmatrix(X),
    "CSR": scipy.sparse.csr_matrix,
    "CSC array": scipy.sparse.csc_array,
    "COO": scipy.sparse.coo_matrix,
    "CSR with NaN": lambda X: scipy.sparse.csr_matrix(_put(np.nan)(X)),
    "CSR of nothing": lambda X: scipy.sparse.csr_matrix(X.shape),
    "CSR of float32": lambda X: scipy.sparse.csr_matrix(X.astype(np.float32)),
    "lists": lambda X: X.tolist(),
    "lists of different lengths": lambda X: [*X.tolist()[:-1], [1.0]],
    "table": pd.DataFrame,
    "table with words": lambda X: pd.DataFrame(X).assign(word="a"),
    "table with NA": lambda X: pd.DataFrame(X).astype("Float64").mask(X > 1),
    "rank 0": lambda X: np.array(3.0),
    "rank 1": lambda X: X[:, 0],
    "rank 3": lambda X: X[:, :, None],
    "a row less": lambda X: X[:-1],
    "nothing": lambda X: None,
    "a word": lambda X: "samples",
    "a dict": lambda X: {"X": X},
    "a generator": lambda X: (row for row in X),
}
_LABELS: dict[str, Callable[[np.ndarray], Any]] = {
    "none": lambda y: None,
    "one less": lambda y: y[:-1],
    "one more": lambda y: np.append(y, y[0]),
    "one class": _put(1, _ALL),
    "all missing": lambda y: np.full(24, np.nan),
    "all marked": lambda y: np.full(24, -1),
    "all known": lambda y: np.where(y == y, np.arange(24) % 2, 0),
    "missing in the source": _put(-1, 3),
    "NaN in the source": _put(np.nan, 3),
    "infinity": _put(np.inf, 3),
    "1e300": _put(1e300, 3),
    "1e300 in the target": _put(1e300, 15),
    "None among numbers": _put(None, 20),
    "a word among numbers": _put("many", 3),
    "words": lambda y: np.array(["no", "yes"])[np.arange(24) % 2],
    "column": lambda y: y[:, None],
    "one-hot": lambda y: np.eye(2)[np.arange(24) % 2],
    "bool": lambda y: np.arange(24) % 2 > 0,
    "every sample its class": lambda y: np.arange(24),
    "a class of the target alone": _put(7, slice(14, 17)),
    "a class of one sample": _put(7, 3),
    "-1 and 1": lambda y: np.arange(24) % 2 * 2 - 1,
    "fractions": lambda y: np.linspace(0, 1, 24),
    "uint64": lambda y: (np.arange(24) % 2).astype(np.uint64) + np.uint64(2**63),
    "complex": _as_type(complex),
    "categories": lambda y: pd.Series(pd.Categorical(["no", "yes"] * 12)),
    "read-only": _read_only,
    "a number": lambda y: 3,
    "rank 3": lambda y: y[:, None, None],
}
_DOMAINS: dict[str, Callable[[np.ndarray], Any]] = {
    "none": lambda domain: None,
    "one less": lambda domain: domain[:-1],
    "all source": _put("source", _ALL),
    "all target": _put("target", _ALL),
    "no target": lambda domain: np.where(domain == "source", "a", "b"),
    "one of the target": _put("source", slice(15, None)),
    "one of the source": _put("target", slice(1, 14)),
    "three sources": lambda domain: np.where(np.arange(24) < 4, "third", domain),
    "a source of one sample": _put("lonely", 2),
    "None": _put(None, 3),
    "NaN": lambda domain: np.where(np.arange(24) == 3, np.nan, domain.astype(object)),
    "numbers": lambda domain: (domain == "target").astype(int),
    "bool": lambda domain: domain == "target",
    "NaN among numbers": lambda domain: np.where(np.arange(24) == 3, np.nan, 1.0),
    "column": lambda domain: domain[:, None],
    "list": lambda domain: domain.tolist(),
    "lists in it": lambda domain: [["source"]] * 14 + [["target"]] * 10,
    "objects": lambda domain: np.array([object() for _ in domain]),
    "categories": lambda domain: pd.Series(pd.Categorical(domain)),
    "alternating": lambda domain: np.array(["source", "target"] * 12),
    "with blanks": lambda domain: np.char.add(domain, " "),
    "a word": lambda domain: "source",
    "a dict": lambda domain: {"source": 14, "target": 10},
    "read-only": _read_only,
}
