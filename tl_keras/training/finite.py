"""Losses and weights that are no longer numbers."""

from collections.abc import Mapping

import numpy as np

from tl_keras.data import Epochs, Examples
from tl_keras.data.rows import row_batches
from tl_keras.utils.errors import InputError

ADVICE = (
    "Lower the stage's learning_rate, set its global_clipnorm=1.0, look for extreme values in the "
    "data, or train in float32."
)
NAMED_EXAMPLES = 4


def check_loss(
    first_bad_step: int | None, loss: float, train: Examples, batch_size: int, epoch: int, seed: int
) -> None:
    """Raise `InputError` if a loss was NaN or infinite, and name its epoch, step and batch.

    Args:
        first_bad_step: Step of the epoch, from 0; None if all losses are numbers.
        loss: What the mean loss became.
        train: The training examples.
        batch_size: Examples per step.
        epoch: Number of the epoch, from 0.
        seed: Seed of the order of examples.
    """
    if first_bad_step is None:
        return
    place = Epochs(seed, epoch, 1, first_bad_step)
    rows = next(iter(row_batches(len(train), batch_size, place))).numpy()
    # Of several domains, each has an order of its own, and no row is named.
    names = train.row_names(rows[:NAMED_EXAMPLES])
    batch = ""
    if names:
        more = "" if len(rows) <= NAMED_EXAMPLES else f" and {len(rows) - NAMED_EXAMPLES} more"
        batch = f" Its batch: {', '.join(names)}{more}."
    raise InputError(
        f"training: the loss became {loss} in epoch {epoch + 1}, step {first_bad_step + 1}."
        f"{batch} {ADVICE} The model has the weights of the best epoch so far (without validation "
        "data: of the last whole one), and the last checkpoint is from before."
    )


def check_weights(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise `InputError` if a weight is NaN or infinite, before it reaches a checkpoint."""
    for values in arrays.values():
        # bfloat16 is of kind "V".
        if values.dtype.kind in "fV" and not np.isfinite(values).all():
            raise InputError(
                f"training: weights became NaN or infinite. {ADVICE} The last checkpoint is from "
                "before."
            )
