"""What is wrong with a step and is found only while it is traced."""

import contextlib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Objective
from tl_keras.schedules import Stage
from tl_keras.utils.errors import InputError, listed, warn_user


@contextlib.contextmanager
def readable_branches() -> Iterator[None]:
    """Say what to do where code of the user's branches on a tensor while a step is traced.

    Steps are traced without AutoGraph, as those of Keras are.

    Raises:
        InputError: Instead of TensorFlow's error; names the line.
    """
    try:
        yield
    except tf.errors.OperatorNotAllowedInGraphError as error:
        raise _branching_error(error) from error


def _branching_error(error: Exception) -> InputError:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return InputError(
        f"objectives or model: an if or a loop in Python depends on a tensor{where}. Use tf.cond "
        "or tf.where, or decorate that function with @tf.function."
    )


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


def idle_objectives(
    objectives: Sequence[Objective],
    model: TransferModel,
    losses: Mapping[str, Any],
    tape: tf.GradientTape,
    values: Sequence[Any],
) -> list[Objective]:
    """Return the objectives whose own loss has no gradient in any weight of the model that trains.

    Those that draw weights by themselves, or change the model when the run has ended, are at work
    without a gradient.

    Args:
        objectives: Two or more.
        model: With the stage's `trainable` flags.
        losses: Name of an objective → its loss.
        tape: Persistent; has recorded these.
        values: The weights of the model that train.
    """
    return [
        one
        for one in objectives
        if type(one).finish is Objective.finish
        and not one.pulls(model)
        and all(gradient is None for gradient in tape.gradient(losses[one.name], values))
    ]


def warn_of_idle(idle: Sequence[Objective], stage: Stage, number: int) -> None:
    """Warn of objectives that move nothing of the model in a stage."""
    for objective in idle:
        warn_user(
            f"objectives: {type(objective).__name__} changes nothing of the model in stage "
            f"{number + 1} ({stage.name}): its loss depends on no weight that trains there. Let "
            "the stage train what it depends on, e.g. tl.Stage(…, unfreeze='all'), or leave the "
            "objective out."
        )
