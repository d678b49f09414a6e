"""Class weights: checked, and balanced on request."""

from collections.abc import Mapping

import numpy as np

from tl_keras.errors import InputError
from tl_keras.targets import TargetSpec


def resolve_class_weight(class_weight: str | Mapping | None, targets, encoded) -> np.ndarray | None:
    """Return the weight of each class.

    Args:
        class_weight: None, `"balanced"` (inverse to frequency: `n / (classes · count)`), or a
            dict with a weight ≥ 0 for every class, by number or by label.
        targets: The model's `TargetSpec`; only one single-label task can have class weights.
        encoded: Targets of the training data, `(n, size)`, as `TargetSpec.encode` gives them, or a
            list of these; rows of NaN have no label.

    Returns:
        float32 `(size,)`, or None.

    Raises:
        InputError: If a class has no weight, a key is no class, or the model is of another kind.
    """
    if class_weight is None:
        return None
    if not isinstance(targets, TargetSpec) or targets.kind != "classification":
        raise InputError(
            "class_weight: only models with one single-label head can weight classes. Leave it out."
        )
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise InputError(
                f"class_weight: expected 'balanced', a dict or None, got {class_weight!r}."
            )
        counts = np.nansum(np.vstack(encoded), axis=0)
        missing = [name for name, c in zip(targets.class_names, counts, strict=True) if c == 0]
        if missing:
            raise InputError(
                f"class_weight: 'balanced' needs examples of every class; none of {missing}."
            )
        return (counts.sum() / (len(counts) * counts)).astype(np.float32)
    if not isinstance(class_weight, Mapping):
        raise InputError(
            f"class_weight: expected 'balanced', a dict or None, got {type(class_weight).__name__}."
        )
    return _from_dict(class_weight, targets)


def _from_dict(class_weight: Mapping, targets: TargetSpec) -> np.ndarray:
    position = {name: index for index, name in enumerate(targets.class_names)}
    weights = np.full(targets.size, np.nan, np.float32)
    for key, weight in class_weight.items():
        index = position.get(key, key)
        if not isinstance(index, (int, np.integer)) or not 0 <= index < targets.size:
            raise InputError(
                f"class_weight: {key!r} is no class; the classes are "
                f"{list(targets.class_names)[:20]}."
            )
        if not np.isfinite(weight) or weight < 0:
            raise InputError(f"class_weight: expected weights ≥ 0, got {weight!r} for {key!r}.")
        weights[index] = weight
    missing = [targets.class_names[i] for i in np.flatnonzero(np.isnan(weights))]
    if missing:
        raise InputError(
            f"class_weight: no weight for the classes {missing}. Give every class one, or use "
            "'balanced'."
        )
    return weights
