"""The training step: one forward pass, the objectives' losses, one update, on every replica."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_keras.data.rows import Part, share_of
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Counts, Objective, Supervised
from tl_keras.objectives.batch import without_target_labels
from tl_keras.training.step.averaging import WeightAverage
from tl_keras.training.step.batch_means import measured_on, weighted_losses
from tl_keras.training.step.domain_pass import ForwardPass, domain_pass, global_counts, step_seed
from tl_keras.training.step.means import Totals
from tl_keras.training.step.pulls import Pulls, apply_changes, update_of
from tl_keras.training.step.step_errors import branching_error, idle_objectives, require_gradient
from tl_keras.utils.compat import clear_losses

__all__ = [
    "ForwardPass",
    "Step",
    "make_train_step",
    "make_validation_step",
    "trained_variables",
]


class Step:
    """A compiled step: distributed `(x, y)` and the totals so far in, new totals out.

    Args:
        strategy: Where it runs.
        replica_step: Function of one replica's `(x, y, stop)` to `(name → mean over the global
            batch and number of examples that it is of, number of all examples, replicas that were
            asked to stop)`, the same on every replica.
        element_spec: Spec of the distributed dataset's `(x, y)`.

    Attributes:
        names: What the totals are of.
        idle: Objectives that move nothing of the model, known after the first step.
    """

    def __init__(self, strategy: tf.distribute.Strategy, replica_step: Callable, element_spec: Any):
        self.names: tuple[str, ...] = ()
        self.idle: list[Objective] = []

        signature = [*element_spec, *Totals.spec(), tf.TensorSpec([], tf.float32)]

        @tf.function(input_signature=signature, autograph=False)
        def step(x, y, counts, sums, stop):
            results = strategy.run(replica_step, args=(x, y, stop))
            means, count, stops = _first_replica(strategy, results)
            self.names = tuple(means)
            return Totals(counts, sums).add(means, count, stops)

        self._step = step

    def __call__(self, x: Any, y: Any, totals: Totals, *, stop: bool = False) -> Totals:
        """Run one step; nothing is waited for.

        Args:
            x: Images or features, distributed.
            y: Targets, distributed.
            totals: Over the steps so far.
            stop: Whether this worker was asked to stop; the totals tell all of them.

        Raises:
            InputError: What an objective raises while the step is traced, or if code of the user's
                branches on a tensor.
        """
        try:
            return Totals(*self._step(x, y, *totals, float(stop)))
        except tf.errors.OperatorNotAllowedInGraphError as error:
            raise branching_error(error) from error


def make_train_step(
    strategy: tf.distribute.Strategy,
    model: TransferModel,
    optimizer: keras.optimizers.Optimizer,
    objectives: Sequence[Objective],
    element_spec: Any,
    *,
    forward: ForwardPass,
    accumulation: int = 1,
    total_steps: int = 1,
    seed: tuple[int, int] = (0, 0),
    teachers: Mapping[str, Callable[[Any], Any]] | None = None,
    average: WeightAverage | None = None,
    target_labels: bool = True,
) -> Step:
    """Return the compiled step of one stage.

    Losses are sums over a replica's examples divided by the global batch's counts, and the
    optimizer sums gradients over replicas: partial batches and any number of replicas give the
    update of one device. So do the slices of a batch whose gradients are accumulated.

    Args:
        strategy: Where it runs.
        model: What trains; its trainable variables are read once, here.
        optimizer: Built for these variables and the objectives' own, under the strategy.
        objectives: Their losses are weighted and added.
        element_spec: Spec of the distributed dataset's `(x, y)`, dicts by domain.
        forward: Function of `(x, training)` to a `Forward`.
        accumulation: Slices that each replica's batch is cut into, to save memory.
        total_steps: Steps of the stage, of which the progress is a share.
        seed: Seed of the run and number of the stage, for the objectives' views.
        teachers: Name → function of images, for teachers that run in the step.
        average: The moving average of the weights, if the stage keeps one.
        target_labels: Whether objectives see labels of target domains; metrics always do.

    Raises:
        InputError: At the first step, if no weight that trains has a gradient.
    """
    variables = trained_variables(model, objectives)
    pulls = Pulls(model, objectives, optimizer)
    values = [variable.value for variable in variables]
    replicas = strategy.num_replicas_in_sync

    own = [variable.value for variable in model.trainable_variables]

    def gradients_of(x, y, counts, slice_index=0, *, idle):
        # Losses of another trace, such as that of a feature store, may still hang on the layers.
        clear_losses(model)
        step = tf.cast(optimizer.iterations.value, tf.int64)
        # Persistent for `idle_objectives`; what only that asks for is left out of the graph.
        with tf.GradientTape(persistent=True) as tape:
            batch = domain_pass(
                model,
                forward,
                x,
                y,
                counts,
                objectives=objectives,
                progress=tf.cast(step, tf.float32) / total_steps,
                seed=step_seed(*seed, step * accumulation + slice_index),
                teachers=teachers,
                sliced=accumulation > 1,
                training=True,
            )
            seen = batch if target_labels else without_target_labels(batch)
            losses = weighted_losses(objectives, seen)
            loss = losses["loss"]
            sums = measured_on(objectives, seen, losses, replicas * accumulation, batch)
            if model.losses:
                penalty = tf.add_n([tf.cast(value, loss.dtype) for value in model.losses])
                loss += penalty / (replicas * accumulation)
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
        require_gradient(gradients, objectives, stage=seed[1])
        progress = tf.cast(optimizer.iterations.value, tf.float32) / total_steps
        changes = pulls.changes(progress)
        made = update_of(optimizer, lambda: optimizer.apply(gradients, variables))
        apply_changes(changes, made)
        if average is not None:
            average.update(made)
        for objective in objectives:
            objective.after_update(model)
        return _results(sums, counts, stop)

    step = Step(strategy, replica_step, element_spec)
    return step


def make_validation_step(
    strategy: tf.distribute.Strategy,
    model: TransferModel,
    objectives: Sequence[Objective],
    element_spec: Any,
    *,
    forward: ForwardPass,
) -> Step:
    """Return the compiled step that measures losses and metrics and changes nothing.

    Only objectives that are made for it are measured; where there is none, the supervised one.
    Their weights are those at the end of the stage, or 1 where all of these are 0.
    """
    measured = [one for one in objectives if one.validates] or [Supervised()]

    def replica_step(x, y, stop):
        counts = global_counts(x, y)
        batch = domain_pass(model, forward, x, y, counts, training=False)
        losses = weighted_losses(measured, batch, never_nothing=True)
        sums = measured_on(measured, batch, losses, strategy.num_replicas_in_sync)
        return _results(sums, counts, stop)

    return Step(strategy, replica_step, element_spec)


def trained_variables(
    model: TransferModel, objectives: Sequence[Objective]
) -> list[keras.Variable]:
    """Return what an optimizer trains: the model's variables, then those of the objectives."""
    own = [variable for one in objectives for variable in one.trainable_variables()]
    return [*model.trainable_variables, *own]


def accumulate(gradients_of: Callable, x, y, counts, slices: int):
    """Sum gradients and losses over slices of a batch, one after the other to save memory.

    Args:
        gradients_of: Function of `(x, y, counts, slice index)` to `(gradients, name → sum)`.
        x: Domain name → images or features `(b, …)`.
        y: Domain name → targets.
        counts: Of the whole batch, which sums are divided by.
        slices: How many.

    Returns:
        What `gradients_of` would give for the whole batch, were there memory for it.
    """

    def one(index):
        part = Part(index, slices)
        own = [{name: share_of(both[name], part) for name in both} for both in (x, y)]
        gradients, sums = gradients_of(*own, counts, index)
        connected = {
            position: tf.convert_to_tensor(gradient)
            for position, gradient in enumerate(gradients)
            if gradient is not None
        }
        return (connected, sums), len(gradients)

    def body(index, so_far):
        more, _ = one(index)
        return index + 1, tf.nest.map_structure(tf.add, so_far, more)

    first, count = one(tf.constant(0, tf.int64))
    start = (tf.constant(1, tf.int64), first)
    _, (connected, sums) = tf.while_loop(
        lambda index, _: index < slices, body, start, parallel_iterations=1
    )
    return [connected.get(position) for position in range(count)], sums


def _results(sums: Mapping[str, tf.Tensor], counts: Mapping[str, Counts], stop: tf.Tensor):
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
