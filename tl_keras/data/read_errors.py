"""Errors of an input pipeline in words: which data, and what happened in it."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from tl_keras.utils.errors import InputError, counted, first_line

_PLACE = re.compile(r"Error in user-defined function passed to .* with iterator: \S+: ")
"""Where in a pipeline it happened, which TensorFlow says first."""


def elements_of(dataset: Iterable[Any], argument: str) -> Iterator[Any]:
    """Yield the elements of a dataset.

    Args:
        dataset: A `tf.data.Dataset`, or what goes over one.
        argument: What errors call the data.

    Raises:
        InputError: Where the dataset raises an error.
    """
    iterator = iter(dataset)
    while True:
        try:
            element = next(iterator)
        except StopIteration:
            return
        except tf.errors.OpError as error:
            raise unreadable(error, argument) from error
        yield element


def next_batch(batches: Iterator[Any], argument: str) -> Any:
    """Return the next of the batches that the first pass over a dataset promised.

    Raises:
        InputError: If there is none, or the dataset raises an error.
    """
    try:
        return next(batches)
    except StopIteration:
        raise InputError(
            f"{argument}: a later pass over the dataset gave fewer examples than the first one. "
            "Let every pass give the same number; .cache() repeats what the first one gave."
        ) from None
    except tf.errors.OpError as error:
        raise unreadable(error, argument) from error


class SameCount:
    """Sees to it that all passes over a dataset give as many examples as the first one.

    Args:
        argument: Name that errors use for the dataset.
    """

    def __init__(self, argument: str):
        self._argument = argument
        self._first: int | None = None

    def check(self, count: int) -> None:
        """Raise `InputError` if a pass gave another number of examples than the first one."""
        first, self._first = self._first, count if self._first is None else self._first
        if first not in (None, count):
            raise InputError(
                f"{self._argument}: a later pass over the dataset gave "
                f"{counted(count, 'example')}, the first one {first:,}. Let every pass give the "
                "same number; .cache() repeats what the first one gave."
            )


def unreadable(error: tf.errors.OpError, argument: str) -> InputError:
    """Return the error about data that raised one while it was read."""
    return InputError(
        f"{argument}: reading the data failed: {reason_in(error)}. Files may have been moved or "
        "changed meanwhile, or a function of the dataset raises this error."
    )


def reason_in(error: tf.errors.OpError) -> str:
    """Take the sentence out of a TensorFlow error that says what went wrong."""
    message = error.message or ""
    if "Summarized data: b'" in message:
        return message.split("Summarized data: b'", 1)[1].split("'", 1)[0]
    lines = [line for line in message.splitlines() if line and not line.startswith(" ")]
    cause = next((line for line in lines if not line.startswith(("Graph exec", "Detected"))), "")
    text = cause.split("}} ")[-1].split(" [[")[0].split(" [Op:")[0]
    text = _PLACE.sub("", text).removeprefix("assertion failed: [").removesuffix("]")
    return first_line(text or type(error).__name__).rstrip(".")
