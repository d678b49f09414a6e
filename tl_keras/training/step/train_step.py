"""The training step: one forward pass, the objectives' losses, one update, on every replica."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_keras.objectives import Batch, Counts, Objective
from tl_keras.objectives.batch import without_target_labels
from tl_keras.training.plan import RunPlan
from tl_keras.training.step.accumulation import accumulate
from tl_keras.training.step.averaging import WeightAverage
from tl_keras.training.step.batch_means import measured_on
from tl_keras.training.step.domain_pass import (
    ForwardPass,
    Training,
    domain_pass,
    global_counts,
    step_seed,
)
from tl_keras.training.step.means import Totals
from tl_keras.training.step.pulls import Pulls, apply_changes, update_of
from tl_keras.training.step.step_errors import idle_objectives, require_gradient
from tl_keras.utils.compat import clear_losses, counted_alone
from tl_keras.utils.errors import InputError


class Step:
    """A compiled step: distributed `(x, y)` and the totals so far in, new totals out.

    Args:
        strategy: Where it runs.
        replica_step: Function of one replica's `(x, y, stop)` to `(name → mean over the global
            batch and number of examples that it is of, number of all examples, replicas that were
            asked to stop)`, the same on every replica.
        element_spec: Spec of the distributed dataset's `(x, y)`.

    Attributes:
        run: Function of `(x, y, totals, stop)`, with 1.0 where this worker was asked to stop, to
            the new totals, which tell all workers of that. Nothing is waited for. The first call
            traces it, and raises what objectives raise.
        names: What the totals are of.
        idle: Objectives that move nothing of the model, known after the first step.
    """

    def __init__(self, strategy: tf.distribute.Strategy, replica_step: Callable, element_spec: Any):
        self.names: tuple[str, ...] = ()
        self.idle: list[Objective] = []
        signature = [*element_spec, Totals.spec(), tf.TensorSpec([], tf.float32)]

        @tf.function(input_signature=signature, autograph=False)
        def run(x, y, totals, stop):
            results = strategy.run(replica_step, args=(x, y, stop))
            means, count, stops = _first_replica(strategy, results)
            self.names = tuple(means)
            return totals.add(means, count, stops)

        self.run = counted_alone(run)


def make_train_step(
    plan: RunPlan,
    number: int,
    optimizer: keras.optimizers.Optimizer,
    element_spec: Any,
    *,
    forward: ForwardPass,
    teachers: Mapping[str, Callable[[Any], Any]] | None = None,
    average: WeightAverage | None = None,
) -> Step:
    """Return the compiled step of one stage.

    Losses are sums over a replica's examples divided by the global batch's counts, and the
    optimizer sums gradients over replicas: partial batches and any number of replicas give the
    update of one device. So do the slices of a batch whose gradients are accumulated.

    Args:
        plan: Of the run; the model's trainable variables are read once, here. Objectives see labels
            of target domains where the settings say so; metrics always do.
        number: Of the stage, from 0.
        optimizer: Built for these variables and the objectives' own, under the strategy.
        element_spec: Spec of the distributed dataset's `(x, y)`, dicts by domain.
        forward: Function of `(x, training)` to a `Forward`.
        teachers: Name → function of images, for teachers that run in the step.
        average: The moving average of the weights, if the stage keeps one.

    Raises:
        InputError: At the first step, if no weight that trains has a gradient.
    """
    model, objectives, stage = plan.model, plan.objectives, plan.stages[number]
    accumulation, total_steps = stage.accumulation, plan.steps_of(stage)
    parts = plan.replicas * accumulation
    variables = plan.trained_variables()
    pulls = Pulls(model, objectives, optimizer)
    values = [variable.value for variable in variables]
    own = [variable.value for variable in model.trainable_variables]

    def gradients_of(x, y, counts, slice_index=0, *, idle):
        # Losses of another trace, such as that of a feature store, may still hang on the layers.
        clear_losses(model)
        step = tf.cast(optimizer.iterations.value, tf.int64)
        # Persistent for `idle_objectives`; what only that asks for is left out of the graph.
        with tf.GradientTape(persistent=True) as tape:
            asked = Training(
                objectives,
                tf.cast(step, tf.float32) / total_steps,
                step_seed(plan.settings.seed, number, step * accumulation + slice_index),
                teachers,
                sliced=accumulation > 1,
            )
            batch = domain_pass(model, forward, x, y, counts, asked)
            seen = batch if plan.settings.target_labels else without_target_labels(batch)
            losses = weighted_losses(objectives, seen)
            loss = losses["loss"]
            sums = measured_on(objectives, seen, losses, parts, batch)
            if model.losses:
                penalty = tf.add_n([tf.cast(value, loss.dtype) for value in model.losses])
                loss += penalty / parts
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, values)
        if not idle and len(objectives) > 1:
            idle.append(idle_objectives(objectives, model, losses, tape, own))
        return gradients, sums

    def replica_step(x, y, stop):
        counts = global_counts(x, y)
        idle: list[list[Objective]] = []
        gradients_here = functools.partial(gradients_of, idle=idle)
        if accumulation == 1:
            gradients, sums = gradients_here(x, y, counts)
        else:
            gradients, sums = accumulate(gradients_here, x, y, counts, accumulation)
        step.idle = idle[0] if idle else []
        gradients = pulls.with_gradients(gradients, variables)
        require_gradient(gradients, objectives, stage=number)
        progress = tf.cast(optimizer.iterations.value, tf.float32) / total_steps
        changes = pulls.changes(progress)
        made = update_of(optimizer, lambda: optimizer.apply(gradients, variables))
        apply_changes(changes, made)
        if average is not None:
            average.update(made)
        for objective in objectives:
            objective.after_update(model)
        return over_replicas(sums, counts, stop)

    step = Step(plan.strategy, replica_step, element_spec)
    return step


def weighted_losses(
    objectives: Sequence[Objective], batch: Batch, *, never_nothing: bool = False
) -> dict[str, tf.Tensor]:
    """Return the weighted sum as `"loss"`, and every part by name.

    Args:
        objectives: Their losses are weighted by the batch's progress.
        batch: What they read.
        never_nothing: Whether all weigh 1 where the weights of all are 0.

    Raises:
        InputError: If an objective returns no `"loss"`.
    """
    total, parts = tf.constant(0.0), {}
    weights = [tf.cast(one.weight_at(batch.progress), tf.float32) for one in objectives]
    if never_nothing:
        nothing = tf.reduce_all(tf.equal(tf.stack(weights), 0.0))
        weights = [tf.where(nothing, 1.0, weight) for weight in weights]
    for objective, weight in zip(objectives, weights, strict=True):
        found = dict(objective.losses(batch))
        if "loss" not in found:
            raise InputError(
                f"objectives: {type(objective).__name__} returns no 'loss', got {sorted(found)}. "
                "losses() gives a dict with the key 'loss'."
            )
        loss = tf.cast(found.pop("loss"), tf.float32)
        total += weight * loss
        if len(objectives) > 1:
            parts[objective.name] = loss
        parts |= {name: tf.cast(value, tf.float32) for name, value in found.items()}
    return {"loss": total, **parts}


def over_replicas(sums: Mapping[str, tf.Tensor], counts: Mapping[str, Counts], stop: tf.Tensor):
    """Return what was measured on the global batch, its size, and replicas asked to stop."""
    parts = {name: tf.stop_gradient(value) for name, value in sums.items()}
    means, stops = _sum_over_replicas((parts, tf.identity(stop)))
    return means, tf.add_n([one.examples for one in counts.values()]), stops


def _sum_over_replicas(values: Any) -> Any:
    context = tf.distribute.get_replica_context()
    flat = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.nest.flatten(values))
    return tf.nest.pack_sequence_as(values, flat)


def _first_replica(strategy: tf.distribute.Strategy, values):
    """Return one replica's copy of values that all replicas agree on."""
    return tf.nest.map_structure(
        lambda value: strategy.experimental_local_results(value)[0], values
    )
