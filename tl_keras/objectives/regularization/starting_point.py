"""What the backbone's weights were when a run began."""

import fnmatch
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.backbones.saved_model import SavedModelBackbone
from tl_keras.models.forward import Forward
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.utils.arguments import number
from tl_keras.utils.compat import flatten_layers, own_weights
from tl_keras.utils.errors import InputError, did_you_mean


class StartingPoint:
    """The values of the backbone's weights at the start; the head, which is new, has none.

    Made in `Objective.begin`, whose model still is at the start; a run that is resumed takes the
    values from its checkpoint.

    Args:
        model: What will train.
        statistics: Whether the statistics of normalisation layers are kept as well. A pass with the
            starting values needs them, a penalty on weights does not.

    Attributes:
        variables: Variables of the backbone.
        values: Their starting values; they belong into `Objective.memory`.
    """

    def __init__(self, model: TransferModel, *, statistics: bool):
        layers = flatten_layers(model.backbone)
        weights = {id(v) for layer in layers for v in own_weights(layer)}
        self.variables: list[keras.Variable] = [
            variable
            for variable in model.backbone.variables
            if tf.as_dtype(variable.dtype).is_floating and (statistics or id(variable) in weights)
        ]
        self.values: list[keras.Variable] = [
            keras.Variable(
                variable.numpy(),
                dtype=variable.dtype,
                trainable=False,
                aggregation="only_first_replica",
                name=f"start_{index:05}",
            )
            for index, variable in enumerate(self.variables)
        ]

    def training(self) -> list[tuple[keras.Variable, keras.Variable]]:
        """Return (variable, starting value) of what trains in the running stage."""
        return [(variable, value) for variable, value in self.pairs() if variable.trainable]

    def pairs(self) -> list[tuple[keras.Variable, keras.Variable]]:
        """Return (variable, starting value) of the whole backbone."""
        return list(zip(self.variables, self.values, strict=True))

    def has_moved(self) -> bool:
        """Return whether any weight is another one than at the start."""
        return any(not np.array_equal(now.numpy(), then.numpy()) for now, then in self.pairs())

    def forward(self, batch: Batch, domain: str) -> Forward:
        """Return the pass over a domain's examples with the starting values, without gradient.

        The head is the present one.
        """
        return batch.rerun(domain, self.pairs())


def checked_strengths(block_strengths: Any) -> dict[str, float]:
    """Return block name or pattern → factor.

    Raises:
        InputError: If it is no such dict, or a factor is negative.
    """
    if not isinstance(block_strengths or {}, Mapping):
        raise InputError(
            "block_strengths: expected block name or pattern → factor ≥ 0, got "
            f"{block_strengths!r}."
        )
    return {
        str(pattern): number(value, f"block_strengths[{pattern!r}]", least=0.0)
        for pattern, value in (block_strengths or {}).items()
    }


def strength_of_variables(
    model: TransferModel, block_strengths: Mapping[str, float]
) -> dict[int, float]:
    """Return the factor of every variable of the backbone, by its `id`.

    Args:
        model: Whose blocks.
        block_strengths: Block name or pattern (as in `fnmatch`) → factor; the first one that fits a
            block counts, and blocks that none fits have 1.

    Raises:
        InputError: If a pattern fits no block.
    """
    names = [block.name for block in model.blocks]
    for pattern in block_strengths:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise InputError(
                f"block_strengths: no block is named like {pattern!r}; the blocks are {names}."
                f"{did_you_mean(pattern, names)}"
            )
    factors = {}
    for block in model.blocks:
        fitting = (f for p, f in block_strengths.items() if fnmatch.fnmatchcase(block.name, p))
        factor = next(fitting, 1.0)
        factors |= {id(variable): factor for variable in block.weights}
    return factors


def require_replaceable(setup: Setup, objective: Objective) -> None:
    """Raise `InputError` where the backbone cannot run with other weights than its own."""
    for layer in flatten_layers(setup.model.backbone):
        if isinstance(layer, SavedModelBackbone):
            raise InputError(
                f"model: {type(objective).__name__} runs the backbone a second time with other "
                "weights, those of the start or of a teacher, and "
                f"{layer.name!r} is a SavedModel, whose weights cannot be replaced in a pass. Use "
                "a backbone of Keras layers, or an objective without such a pass, such as L2SP()."
            )
