"""Labels in tables: columns with names, and the ways in which tables write what is missing."""

from typing import Any

import numpy as np

from tl_keras.arrays.marks import is_missing
from tl_keras.tasks.encoding import label_name
from tl_keras.utils.errors import InputError


def read_labels(y: Any, argument: str) -> tuple[Any, tuple[str, ...] | None]:
    """Return labels as an array or a list, and the names of their columns.

    Args:
        y: Labels `(n,)` or `(n, columns)`: an array, a list, a pandas or polars Series or
            DataFrame. Collections of names, one per example, stay a list.
        argument: Name that errors use.

    Returns:
        The labels, where pandas' marks of missing values are None or NaN, and the names of the
        columns of a DataFrame; None where it numbers them from 0, and for everything else.

    Raises:
        InputError: If two columns have one name.
    """
    if isinstance(y, (list, tuple)) and any(
        isinstance(row, (list, tuple, set, frozenset)) for row in y
    ):
        try:
            array = np.asarray(y)
        except ValueError:
            return list(y), None
        return (array if array.dtype.kind in "buif" else list(y)), None
    array = np.asarray(y)
    columns = getattr(y, "columns", None)
    if columns is None:
        return _plain(array, from_table=hasattr(y, "dtype") and hasattr(y, "name")), None
    names = [label_name(name) for name in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{argument}: two columns are called {twice[0]!r}. Rename one of them.")
    numbered = names == [str(index) for index in range(len(names))]
    return _plain(array, from_table=True), None if numbered else tuple(names)


def by_column(y: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return the columns of labels `(n, columns)` by name, each as the labels of one task."""
    return {name: _numbers(y[:, index]) for index, name in enumerate(names)}


def numbers_of_columns(y: np.ndarray, names: tuple[str, ...], argument: str) -> np.ndarray:
    """Return labels `(n, columns)` of several named columns as numbers, also if text writes them.

    Raises:
        InputError: If a cell of several columns is another text.
    """
    if y.dtype.kind not in "USO" or y.ndim != 2 or y.shape[1] == 1 or y.shape[1] != len(names):
        return y
    try:
        return y.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{argument}: expected numbers in the columns {list(names[:5])}, got text ({error}). "
            "Pass 0 and 1, one-hot rows or values there, or one column of class names."
        ) from error


def _plain(array: np.ndarray, *, from_table: bool) -> np.ndarray:
    """Replace what tables write for missing values, and return numbers as numbers."""
    if array.dtype != object or not from_table:
        return array
    flat = [None if is_missing(value) else value for value in array.ravel()]
    plain = np.empty(len(flat), object)
    plain[:] = flat
    return _numbers(plain.reshape(array.shape))


def _numbers(array: np.ndarray) -> np.ndarray:
    """Return an object array of numbers as numbers, None as NaN; others as they are."""
    if array.dtype != object or any(isinstance(value, (str, bytes)) for value in array.ravel()):
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        return array
