"""What a stage multiplies its learning rate by, per block and per variable."""

import fnmatch
from collections.abc import Sequence

import keras

from tl_keras.models.transfer_model import TransferModel
from tl_keras.schedules.stage import Stage
from tl_keras.utils.errors import InputError, did_you_mean


def block_factors(model: TransferModel, stage: Stage) -> tuple[float, ...]:
    """Return what a stage multiplies its learning rate by, per block and last for the head.

    Args:
        model: Its blocks are counted from the top, whether they train or not.
        stage: `layer_decay` d gives the head 1, the topmost block d, the next one d², …;
            `learning_rates` overrides that, and the first pattern that fits a block counts.

    Raises:
        InputError: If a pattern of `learning_rates` fits no block.
    """
    names = [block.name for block in model.blocks]
    depth = len(names)
    share = stage.block_rate / stage.head_rate
    factors = [share * stage.layer_decay ** (depth - index) for index in range(depth)] + [1.0]
    # The last pattern is written first, so that the first one that fits stays.
    for pattern, rate in reversed([*(stage.learning_rates or {}).items()]):
        fits = [index for index, name in enumerate(names) if fnmatch.fnmatchcase(name, pattern)]
        if pattern == "head":
            fits = [depth]
        if not fits:
            raise InputError(
                f"learning_rates: no block is named like {pattern!r}; the blocks are {names}, and "
                f"'head' is the head.{did_you_mean(pattern, [*names, 'head'])}"
            )
        for index in fits:
            factors[index] = rate / stage.head_rate
    return tuple(factors)


def factors_of(
    model: TransferModel, stage: Stage, own: Sequence[keras.Variable] = ()
) -> dict[str, float]:
    """Return the factor of every variable that trains, for `LayerwiseLearningRate`.

    Layer-wise decay is that of Clark et al.: *ELECTRA*, ICLR 2020, and Bao et al.: *BEiT*, ICLR
    2022: what lies deeper is more general and moves less.

    Args:
        model: Its `trainable` flags say what trains; `apply_freezing` sets them for a stage.
        stage: See `block_factors`.
        own: Variables that train beside the model, as the objectives' own do; they have the head's
            factor.

    Returns:
        Path of the variable → factor.

    Raises:
        InputError: If a pattern of `learning_rates` fits no block, or two variables of the same
            path would need different factors.
    """
    layers = [*(block.layers for block in model.blocks), (model.head,)]
    groups = [[v for layer in group for v in layer.trainable_weights] for group in layers]
    groups[-1] += own
    factors: dict[str, float] = {}
    for variables, factor in zip(groups, block_factors(model, stage), strict=True):
        for variable in variables:
            if factors.setdefault(variable.path, factor) != factor:
                raise InputError(
                    f"layer_decay, learning_rates: two variables have the path {variable.path!r} "
                    "and lie in different blocks, or one in an objective's own network. Give the "
                    "layers of the backbone unique names."
                )
    return factors
