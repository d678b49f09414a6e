"""The refusal of a SavedModel that is not trusted, and its way to the user through Keras."""

import contextlib
import contextvars
from collections.abc import Iterator

from tl_keras.utils.errors import InputError

__all__ = ["NotTrusted", "note_errors", "noted_errors"]

_noted: contextvars.ContextVar[list[InputError] | None] = contextvars.ContextVar(
    "noted", default=None
)


class NotTrusted(InputError):
    """A SavedModel is refused that the user has not said to trust.

    Args:
        message: For the user.
        reason: Why, after "because".
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@contextlib.contextmanager
def noted_errors() -> Iterator[list[InputError]]:
    """Collect the errors in the assets of layers meanwhile.

    Keras raises one of its own in their place, which has their text only.
    """
    errors: list[InputError] = []
    token = _noted.set(errors)
    try:
        yield errors
    finally:
        _noted.reset(token)


@contextlib.contextmanager
def note_errors() -> Iterator[None]:
    """Add an error that is raised meanwhile to those that `noted_errors` collects, if it does."""
    try:
        yield
    except InputError as error:
        errors = _noted.get()
        if errors is not None:
            errors.append(error)
        raise
