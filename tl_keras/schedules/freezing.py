"""Which layers train in a stage: flags, BatchNorm policy, and the audit of both."""

import dataclasses
import fnmatch
import math

import keras

from tl_keras.backbones.cuts import Block
from tl_keras.backbones.saved_model import SavedModelBackbone
from tl_keras.models.transfer_model import TransferModel
from tl_keras.schedules.layer_factors import block_factors
from tl_keras.schedules.stage import Stage
from tl_keras.utils.compat import flatten_layers
from tl_keras.utils.errors import InputError, counted


@dataclasses.dataclass(frozen=True)
class AuditRow:
    """What one block does in a stage.

    Attributes:
        block: Name of the block, or `"head"`.
        trainable: Number of weights that train.
        weights: Number of all weights.
        batch_norm: `"frozen"`, `"update"`, `"mixed"`, or `"–"` without BatchNorm layers.
        learning_rate: Peak learning rate of its weights, 0 for a frozen block.
    """

    block: str
    trainable: int
    weights: int
    batch_norm: str
    learning_rate: float


class Audit(tuple):
    """The audit rows of a stage, from input to head; prints as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return the table as text."""
        width = max(len(row.block) for row in self)
        lines = [f"{'block':<{width}}  {'trains':>11}  {'of':>11}  {'BatchNorm':<9}  learning rate"]
        lines += [
            f"{row.block:<{width}}  {row.trainable:>11,}  {row.weights:>11,}  "
            f"{row.batch_norm:<9}  {row.learning_rate:g}"
            for row in self
        ]
        return "\n".join(lines)


def unfrozen_blocks(blocks: tuple[Block, ...], unfreeze: int | float | str) -> tuple[Block, ...]:
    """Return the blocks that `Stage.unfreeze` names.

    Raises:
        InputError: If a number exceeds the blocks there are or a pattern matches none.
    """
    if unfreeze == "all":
        return tuple(blocks)
    if isinstance(unfreeze, str):
        found = tuple(b for b in blocks if fnmatch.fnmatchcase(b.name, unfreeze))
        if not found:
            raise InputError(
                f"unfreeze: no block is named like {unfreeze!r}; the blocks are "
                f"{[b.name for b in blocks]}."
            )
        return found
    count = math.ceil(unfreeze * len(blocks)) if 0 < unfreeze < 1 else int(unfreeze)
    if count > len(blocks):
        raise InputError(
            f"unfreeze: expected at most {counted(len(blocks), 'block')}, which the backbone has, "
            f"got {count}. Use 'all' for every block."
        )
    return tuple(blocks[len(blocks) - count :])


def apply_freezing(model: TransferModel, stage: Stage) -> Audit:
    """Set every `trainable` flag of the model as a stage asks, and check what came of it.

    A BatchNormalization layer with frozen statistics is itself set untrainable: passing
    `training=False` to the backbone once, when the model is built, does not hold, because
    `fit` and every training step pass `training=True` again. Inside a SavedModel there are no such
    layers to set; it runs in inference mode as a whole instead, and its weights still train.

    Args:
        model: Whose flags are set.
        stage: Says what trains.

    Returns:
        The audit of all blocks and the head.

    Raises:
        InputError: If the stage names blocks that do not exist, to train or in `learning_rates`.
    """
    chosen = unfrozen_blocks(model.blocks, stage.unfreeze)
    open_layers = {id(layer) for block in chosen for layer in block.layers}
    # Keras does not pass a flag on to the layers of a model that has this flag already.
    for flag in (False, True):
        for layer in flatten_layers(model):
            layer.trainable = flag
    for block in model.blocks:
        for layer in block.layers:
            layer.trainable = id(layer) in open_layers
            for inner in flatten_layers(layer):
                if stage.batch_norm == "frozen" and is_batch_norm(inner):
                    inner.trainable = False
                if isinstance(inner, SavedModelBackbone):
                    inner.inference_only = stage.batch_norm == "frozen"
    return audit(model, stage)


def audit(model: TransferModel, stage: Stage) -> Audit:
    """Return what each block and the head do under the model's present flags.

    Args:
        model: Whose flags are read.
        stage: Says the learning rates.

    Returns:
        A row per block from input to output, and one for the head.
    """
    parts = [*((block.name, block.layers) for block in model.blocks), ("head", (model.head,))]
    return Audit(
        _audit_row(name, layers, stage.head_rate * factor)
        for (name, layers), factor in zip(parts, block_factors(model, stage), strict=True)
    )


def is_batch_norm(layer: keras.layers.Layer) -> bool:
    """Return whether a layer keeps running statistics of its batches."""
    return isinstance(layer, keras.layers.BatchNormalization)


def _audit_row(name, layers, learning_rate) -> AuditRow:
    trainable = {id(w): w for layer in layers for w in layer.trainable_weights}
    weights = {id(w): w for layer in layers for w in layer.weights}
    modes = {
        "update" if inner.trainable else "frozen"
        for layer in layers
        for inner in flatten_layers(layer)
        if is_batch_norm(inner)
    }
    return AuditRow(
        block=name,
        trainable=sum(math.prod(w.shape) for w in trainable.values()),
        weights=sum(math.prod(w.shape) for w in weights.values()),
        batch_norm=modes.pop() if len(modes) == 1 else ("mixed" if modes else "–"),
        learning_rate=learning_rate if trainable else 0.0,
    )
