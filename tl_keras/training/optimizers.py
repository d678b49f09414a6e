"""Keras optimizers for stages, and what one stage's optimizer hands on to the next."""

import keras

from tl_keras.schedules.stage import Stage


def learning_rate_of(
    stage: Stage, total_steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the stage's learning rate: warm-up, then cosine decay to 0 or a constant."""
    warmup_steps = round(stage.warmup * total_steps)
    if stage.decay == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup_steps else stage.learning_rate,
            decay_steps=max(1, total_steps - warmup_steps),
            warmup_target=stage.learning_rate if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    if warmup_steps:
        return keras.optimizers.schedules.PolynomialDecay(
            initial_learning_rate=0.0,
            decay_steps=warmup_steps,
            end_learning_rate=stage.learning_rate,
        )
    return stage.learning_rate


def last_learning_rate(
    optimizer: keras.optimizers.Optimizer, stage: Stage, total_steps: int
) -> float:
    """Return the learning rate of the last update; a constant one may be changed by callbacks."""
    rate = learning_rate_of(stage, total_steps)
    if isinstance(rate, float):
        return float(optimizer.learning_rate)
    return float(rate(optimizer.iterations.value - 1))


def build_optimizer(
    stage: Stage, variables: list[keras.Variable], total_steps: int, *, scale_loss: bool
) -> keras.optimizers.Optimizer:
    """Return the stage's optimizer, built for the variables.

    Args:
        stage: Says which optimizer, learning rate and weight decay.
        variables: What it trains. Biases, normalisation and other vectors are not decayed.
        total_steps: Updates in the stage, for the learning rate's course.
        scale_loss: Whether to wrap it in dynamic loss scaling, for float16.
    """
    rate = learning_rate_of(stage, total_steps)
    decay = stage.weight_decay or None
    if stage.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
    elif stage.optimizer == "adam":
        optimizer = keras.optimizers.Adam(rate, weight_decay=decay)
    else:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=stage.weight_decay)
    if stage.weight_decay:
        vectors = [variable for variable in variables if len(variable.shape) < 2]
        optimizer.exclude_from_weight_decay(var_list=vectors)
    if scale_loss:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer


def carry_slots(old: keras.optimizers.Optimizer | None, new: keras.optimizers.Optimizer) -> int:
    """Copy momenta from the last stage's optimizer for every variable that both train.

    Slots are matched by name, which Keras derives from the variable's path. The step counter
    starts again with the stage, because learning rate and bias correction count from it.

    Returns:
        The number of slot variables carried over; 0 between different optimizers.
    """
    if old is None or type(old) is not type(new):
        return 0
    slots = {variable.name: variable for variable in _slots(old)}
    carried = 0
    for variable in _slots(new):
        earlier = slots.get(variable.name)
        if earlier is not None and earlier.shape == variable.shape:
            variable.assign(earlier.value)
            carried += 1
    return carried


def _slots(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return [v for v in inner.variables if v.name not in ("iteration", "learning_rate")]
