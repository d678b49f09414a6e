"""What label cells look like: one class, several labels, or numbers."""

import collections
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tl_keras.data.files.tables import number_of, text_of
from tl_keras.utils.errors import InputError, warn_user

_MANY_CLASSES = 20
_FEW_IMAGES = 5
_SOME_CLASSES = 8
"""From as many on, classes that hardly any image shares are pointed out."""
_WORDS = {"true": 1.0, "yes": 1.0, "y": 1.0, "false": 0.0, "no": 0.0, "n": 0.0}
_DECIMAL_COMMA = re.compile(r"\s*[+-]?(\d+|\d*,\d+)\s*")
_SURE_DECIMALS = re.compile(r".*,\d\d+\s*")
"""`0,25` is a number, where `1,2` may be two labels."""
_SURE_SEPARATORS = ("|", ";")
_SEPARATORS = (*_SURE_SEPARATORS, ",", "/", "+", "&", " ")


def is_collection(cell: Any) -> bool:
    """Return whether a cell of a DataFrame holds several labels."""
    return isinstance(cell, (list, tuple, set, frozenset, np.ndarray))


def names_in(cell: Any, separator: str | None) -> list[str]:
    """Return the labels in a cell; blanks around them do not count."""
    if cell is None:
        return []
    if is_collection(cell):
        return [text_of(one) for one in cell]
    parts = text_of(cell).split(separator) if separator is not None else [text_of(cell)]
    return [part.strip() for part in parts if part.strip()]


def indicator_of(cell: Any) -> float | None:
    """Return 1 or 0 for true and false, yes and no; a number as it is; None for anything else."""
    if is_collection(cell):
        return None
    number = number_of(cell)
    return _WORDS.get(text_of(cell).strip().lower()) if number is None else number


def class_name(cell: Any, are_numbers: bool) -> str:
    """Return the name of a class; where all are numbers, `1.0` is the class `1`."""
    text = text_of(cell)
    return re.sub(r"(?<=\d)\.0+$", "", text) if are_numbers else text


def check_decimal_point(
    cells: Sequence[Any], column: str, source: str, *, are_values: bool
) -> None:
    """Refuse values that are written with a decimal comma, as spreadsheets of half the world do.

    Args:
        cells: What is in a column of classes or of values.
        column: Its name.
        source: What messages call the table.
        are_values: Whether they are known to be values.

    Raises:
        InputError: If all cells are numbers so written.
    """
    texts = [cell for cell in cells if isinstance(cell, str)]
    with_comma = [text for text in texts if "," in text]
    sure = are_values or any(map(_SURE_DECIMALS.fullmatch, with_comma))
    all_so = len(texts) == len(cells) and all(map(_DECIMAL_COMMA.fullmatch, texts))
    if with_comma and sure and all_so:
        raise InputError(
            f"label: {source} has values with a decimal comma in {column!r}, such as "
            f"{with_comma[0]!r}. Write a point, or read the table with pandas.read_csv(…, "
            "decimal=',') and pass the DataFrame, with task='regression'."
        )


def warn_of_other_separators(names: Sequence[str], separator: str, source: str) -> None:
    """Warn where labels that were separated still look like several.

    Args:
        names: Labels after the separation.
        separator: What they were separated by.
        source: What messages call the table.
    """
    candidates = (separator.strip(), *_SURE_SEPARATORS)
    for other in candidates:
        example = next((name for name in names if other and other in name), None)
        if example is not None:
            warn_user(
                f"{source}: {example!r} is read as one label, since separator={separator!r} does "
                f"not part it. Use one separator in all cells, such as {other!r}; blanks around "
                "labels do not count."
            )
            return


def check_class_cells(names: Sequence[str], column: str, source: str) -> None:
    """Refuse or warn where cells are hardly one class of few.

    Real numbers, and integers of which nearly every image has its own, are refused. Many integers
    are warned of, and so are cells that look like several labels.

    Args:
        names: The label of each row.
        column: Name of their column.
        source: What messages call the table.

    Raises:
        InputError: If the labels are real values.
    """
    distinct = list(dict.fromkeys(names))
    numbers = [number_of(name) for name in distinct]
    if distinct and all(number is not None for number in numbers):
        if not _check_numbers(names, numbers, distinct, column, source):
            _warn_of_single_images(names, distinct, source)
        return
    separator = likely_separator(distinct)
    if separator is not None:
        example = next(name for name in distinct if separator in name)
        warn_user(
            f"{source}: labels such as {example!r} look like several labels, and each is read as a "
            f"class of its own. For several labels per image use tl.data.image_table(…, "
            f"label={column!r}, separator={separator!r}), else task='classification'."
        )
        return
    _warn_of_single_images(names, distinct, source)


def _warn_of_single_images(names: Sequence[str], distinct: Sequence[str], source: str) -> None:
    """Warn where most classes have one image: values, dates and descriptions are no classes."""
    if len(distinct) >= _SOME_CLASSES and 2 * len(distinct) > len(names):
        warn_user(
            f"{source}: the labels of {len(names)} images are {len(distinct)} classes, such as "
            f"{distinct[0]!r} and {distinct[1]!r}, most of one image. Check the column; values are "
            "plain numbers, with task='regression'."
        )


def _check_numbers(names, numbers, distinct, column, source) -> bool:
    """Refuse numbers that are values; return whether many classes were warned of."""
    whole = all(float(number).is_integer() for number in numbers)
    many = len(distinct) > _MANY_CLASSES
    call = f"tl.data.image_table(…, label={column!r}, task="
    if not whole or (many and len(names) < _FEW_IMAGES * len(distinct)):
        raise InputError(
            f"label: expected the class of each image in {source}, got numbers such as "
            f"{distinct[0]!r} with {len(distinct)} different values. To learn them as values use "
            f"{call}'regression'); if they are classes, {call}'classification')."
        )
    if many:
        warn_user(
            f"{source}: the integers in {column!r} are read as {len(distinct)} classes. To learn "
            f"them as values use {call}'regression')."
        )
    return many


def likely_separator(names: Sequence[str]) -> str | None:
    """Return what seems to stand between several labels in one cell, or None.

    `|` and `;` are always taken for it. Others, such as blanks, which are common in the name of a
    class, only if each part of a cell is also a label elsewhere: alone, or beside other parts.
    """
    for separator in _SEPARATORS:
        split = {name: [p.strip() for p in name.split(separator) if p.strip()] for name in names}
        joined = {name: parts for name, parts in split.items() if len(parts) > 1}
        if not joined:
            continue
        if separator in _SURE_SEPARATORS:
            return separator
        found = collections.Counter(part for parts in split.values() for part in set(parts))
        if any(all(found[part] > 1 for part in parts) for parts in joined.values()):
            return separator
    return None
