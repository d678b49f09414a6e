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
            f"give one value for each of the {spec.size} {spec.kind} outputs."
        )
    bad = ~np.isfinite(outputs).all(axis=1)
    if bad.any():
        raise InputError(
            f"model: outputs of {int(bad.sum())} of {len(outputs)} examples are NaN or infinite, "
            f"the first for example {int(bad.argmax())}. The model has diverged: train it again "
            "with a smaller learning rate."
        )
    if spec.kind == "regression":
        return
    remedy = "Build the model with the default classifier_activation."
    if outputs.min() < -1e-6 or outputs.max() > 1 + 1e-3:
        raise InputError(
            "model: expected probabilities from 0 to 1, got outputs from "
            f"{outputs.min():.3g} to {outputs.max():.3g}. {remedy}"
        )
    sums = outputs.sum(axis=1)
    if spec.kind == "classification" and np.abs(sums - 1).max() > 1e-2:
        raise InputError(
            "model: expected rows of probabilities that sum to 1, got a row that sums to "
            f"{sums[np.abs(sums - 1).argmax()]:.3f}. {remedy}"
        )
