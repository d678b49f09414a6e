"""Keras optimizers for stages, and what one stage's optimizer hands on to the next."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tl_keras.schedules.layerwise import LayerwiseLearningRate
from tl_keras.schedules.own_parts import clips, copy_of, course_of, is_own_rate
from tl_keras.schedules.stage import Stage
from tl_keras.training.step.weight_decay import is_decayed
from tl_keras.utils.compat import flatten_layers


@keras.saving.register_keras_serializable("tl_keras")
class LossScale(keras.optimizers.LossScaleOptimizer):
    """Dynamic loss scaling that skips a step when the gradients of any replica overflow.

    Keras asks the first replica only, and an overflow on another one destroys the weights.
    """

    def check_finite(self, grads) -> tf.Tensor:
        """Return whether the gradients of all replicas are finite, the same on every replica."""
        overflows = 1.0 - tf.cast(super().check_finite(grads), tf.float32)
        context = tf.distribute.get_replica_context()
        return tf.equal(context.all_reduce(tf.distribute.ReduceOp.SUM, overflows), 0.0)


def learning_rate_of(
    stage: Stage, total_steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the stage's learning rate: warm-up, then cosine decay to 0 or a constant.

    One with a course of its own is followed instead.
    """
    if is_own_rate(stage.learning_rate):
        return course_of(stage.learning_rate, stage.epochs, total_steps)
    warmup_steps = round(stage.warmup_share * total_steps)
    if stage.decay == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup_steps else stage.head_rate,
            decay_steps=max(1, total_steps - warmup_steps),
            warmup_target=stage.head_rate if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    if warmup_steps:
        return keras.optimizers.schedules.PolynomialDecay(
            initial_learning_rate=0.0,
            decay_steps=warmup_steps,
            end_learning_rate=stage.head_rate,
        )
    return float(stage.head_rate)


def last_learning_rate(
    optimizer: keras.optimizers.Optimizer, stage: Stage, total_steps: int
) -> float:
    """Return the learning rate of the last update; a constant one may be changed by callbacks."""
    rate = learning_rate_of(stage, total_steps)
    if isinstance(rate, (int, float)):
        return float(optimizer.learning_rate.numpy())
    return float(rate(optimizer.iterations.value - 1))


def build_optimizer(
    stage: Stage,
    variables: list[keras.Variable],
    total_steps: int,
    *,
    scale_loss: bool,
    factors: Mapping[str, float] | None = None,
) -> keras.optimizers.Optimizer:
    """Return the stage's optimizer, built for the variables.

    Args:
        stage: Says which optimizer, learning rate, weight decay and clipping.
        variables: What it trains; `is_decayed` says which of it is decayed.
        total_steps: Updates in the stage, for the learning rate's course.
        scale_loss: Whether to wrap it in dynamic loss scaling, for float16.
        factors: `variable.path` → factor on the learning rate, as `factors_of` gives them.
    """
    rate = learning_rate_of(stage, total_steps)
    arguments = {"learning_rate": rate, "global_clipnorm": stage.global_clipnorm}
    decay = stage.weight_decay or None
    if isinstance(stage.optimizer, keras.optimizers.Optimizer):
        optimizer = copy_of(stage.optimizer, rate, stage.global_clipnorm)
    elif stage.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(
            momentum=0.9, nesterov=True, weight_decay=decay, **arguments
        )
    elif stage.optimizer == "adam":
        optimizer = keras.optimizers.Adam(weight_decay=decay, **arguments)
    else:
        optimizer = keras.optimizers.AdamW(weight_decay=stage.weight_decay, **arguments)
    if stage.weight_decay:
        undecayed = [variable for variable in variables if not is_decayed(variable)]
        optimizer.exclude_from_weight_decay(var_list=undecayed)
    scaled = any(factor != 1.0 for factor in (factors or {}).values())
    # Keras clips each replica's gradients by themselves; the wrapper clips their sum.
    if scaled or stage.global_clipnorm is not None or clips(stage.optimizer):
        optimizer = LayerwiseLearningRate(optimizer, factors or {})
    if scale_loss:
        optimizer = LossScale(optimizer)
    optimizer.build(variables)
    return optimizer


def computes_in_float16(model: keras.Model) -> bool:
    """Return whether a layer does, so that its gradients need loss scaling.

    The layers are asked: the policy of a Functional model as a whole is not in its file.
    """
    return any(layer.compute_dtype == "float16" for layer in flatten_layers(model))


def carry_slots(old: keras.optimizers.Optimizer | None, new: keras.optimizers.Optimizer) -> int:
    """Copy momenta from the last stage's optimizer for every variable that both train.

    Slots are matched by name, which Keras derives from the variable's path. The step counter
    starts again with the stage, because learning rate and bias correction count from it.

    Returns:
        The number of slot variables carried over; 0 between different optimizers.
    """
    if old is None or type(_innermost(old)) is not type(_innermost(new)):
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
    inner = _innermost(optimizer)
    return [v for v in inner.variables if v.name not in ("iteration", "learning_rate")]


def _innermost(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer
