"""What an evaluation refuses about a model's outputs."""

import numpy as np

from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError


def check_outputs(spec: TargetSpec, targets: np.ndarray, outputs: np.ndarray) -> None:
    """Raise `InputError` for outputs of another shape, not finite, or that are not probabilities.

    Args:
        spec: What is predicted.
        targets: Encoded targets `(n, size)`.
        outputs: What the model gave.
    """
    if outputs.shape != targets.shape:
        raise InputError(
            f"model: expected outputs of shape {targets.shape}, got {outputs.shape}. The head must "
            f"give one value for each of the {spec.size} {spec.task} outputs."
        )
    bad = ~np.isfinite(outputs).all(axis=1)
    if bad.any():
        raise InputError(
            f"model: outputs of {int(bad.sum())} of {len(outputs)} examples are NaN or infinite, "
            f"the first for example {int(bad.argmax())}. The model has diverged: train it again "
            "with a smaller learning rate."
        )
    spec.task.check_predictions(outputs)
