"""What is wrong with a step and is found only while it is traced."""

from collections.abc import Sequence
from typing import Any

from tl_keras.errors import InputError, listed
from tl_keras.objectives import Objective


def refusal_in(error: BaseException | None) -> InputError | None:
    """Return the `InputError` that AutoGraph has made another error of, if there is one."""
    while error is not None and hasattr(error, "ag_error_metadata"):
        if isinstance(error, InputError):
            return error
        error = error.__context__
    return None


def require_gradient(gradients: Sequence[Any], objectives: Sequence[Objective], stage: int) -> None:
    """Raise `InputError` where there are weights to train and none has a gradient.

    Args:
        gradients: One per weight, None for one that no loss depends on.
        objectives: Their losses were added.
        stage: Its number, from 0.
    """
    if not gradients or any(gradient is not None for gradient in gradients):
        return
    names = listed([type(objective).__name__ for objective in objectives])
    raise InputError(
        f"objectives: {names} alone trains nothing in stage {stage + 1}: no loss depends on a "
        "weight that trains there. Add tl.objectives.Supervised() or another loss, or let the "
        "stage unfreeze what the loss depends on."
    )
