"""The exceptions that are written for users, and help with what they say."""

import difflib
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

_NOT_SHOWN = {"Cc", "Cs", "Zl", "Zp"}
_CHANGES_DIRECTION = {*map(chr, (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))}


class InputError(ValueError):
    """A value that the user gave cannot be used.

    The message names the argument, what was expected, what came and what to do, in words that
    can be shown as they are: the command line prints it as its one line of error.
    """


class Renamed(InputError, AttributeError):
    """An attribute that has another name now; `hasattr` says that it is not there."""


class WorkerLost(RuntimeError):
    """One of several workers is gone or never came, and the others cannot go on without it.

    Nothing that the user wrote is wrong: the job can be started again as it is. The message says
    which worker it was, if that is known.
    """


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn with the line of the user's code that called this package, however deep inside it is.

    Args:
        message: One line that says what may surprise, and what to do.
        category: Of the warning.
    """
    frame, level = sys._getframe(1), 2
    while frame is not None and frame.f_globals.get("__name__", "").startswith("tl_keras."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def did_you_mean(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return `" Did you mean 'a' or 'b'?"` for the names nearest to `name`, or an empty string.

    Args:
        name: What the user wrote.
        known: The names there are.
        count: How many suggestions at the most.
    """
    known = list(known)
    by_lower = {option.lower(): option for option in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.5)
    if not near:
        return ""
    return " Did you mean " + " or ".join(repr(by_lower[option]) for option in near) + "?"


def first_line(error: BaseException | str, most: int = 200) -> str:
    """Return the first line of an error's text, cut to `most` characters.

    Errors of Keras and TensorFlow quote whole configurations.
    """
    lines = (line.strip() for line in str(error).splitlines())
    line = next((line for line in lines if line), "no reason given")
    return line if len(line) <= most else f"{line[: most - 1]}…"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: `"1 epoch"`, `"2 epochs"`, `"1,200 images"`.

    Args:
        count: How many.
        noun: What one of them is called.
        plural: What several are called, if that is not the noun with an s.
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them: `"a"`, `"a and b"`, `"a, b and c"`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def describe(value: Any) -> str:
    """Say in a few words what a value is, for an error message."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    if isinstance(value, (str, int, float, bool, type(None))):
        return repr(value)
    length = f" of length {len(value)}" if isinstance(value, (list, tuple, dict)) else ""
    return f"{type(value).__name__}{length}"


def printable(text: str) -> str:
    r"""Return text as it can be shown on one line of a terminal.

    Control characters, line separators and marks that turn the direction of writing become
    escapes such as `\r` and `\x1b`. Bytes of a file name that are not UTF-8, which Python holds
    as lone surrogates, become `\xff`.

    Example:
        >>> printable("cats\rdogs")
        'cats\\rdogs'
    """
    return "".join(
        _escape(character)
        if unicodedata.category(character) in _NOT_SHOWN or character in _CHANGES_DIRECTION
        else character
        for character in text
    )


def shortened(name: str, most: int = 60) -> str:
    """Return a name out of an untrusted file in quotes, escaped and cut to `most` characters."""
    return f"'{printable(name[:most])}{'…' if len(name) > most else ''}'"


def decodable(text: str) -> str:
    r"""Return text that UTF-8 can hold: bytes that are not UTF-8 become escapes such as `\xff`."""
    return "".join(_escape(c) if unicodedata.category(c) == "Cs" else c for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
