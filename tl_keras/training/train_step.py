"""The training step: one forward pass, the objectives' losses, one update, on every replica."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_keras.data.rows import Part, share_of
from tl_keras.errors import InputError
from tl_keras.objectives.objective import Objective
from tl_keras.targets import TargetSpec
from tl_keras.training.empty_shares import filled
from tl_keras.training.means import Totals
from tl_keras.transfer_model import Forward, TransferModel

ForwardPass = Callable[[Any, bool], Forward]


def per_example_metrics(y, outputs, targets: TargetSpec | Mapping[str, TargetSpec]):
    """Return Keras' metric per example: accuracy, or absolute error (`mae`) for regression.

    Args:
        y: Targets `(batch, size)`, or task name → that.
        outputs: Predictions of the same form.
        targets: What the outputs mean.

    Returns:
        Metric name → `(batch,)`; with several tasks the names start with the task.
    """
    if isinstance(targets, Mapping):
        return {
            f"{task}_{name}": value
            for task, spec in targets.items()
            for name, value in per_example_metrics(y[task], outputs[task], spec).items()
        }
    if targets.kind == "regression":
        return {"mae": keras.losses.mean_absolute_error(y, outputs)}
    if targets.kind == "multi_label":
        return {"accuracy": keras.metrics.binary_accuracy(y, outputs)}
    return {"accuracy": keras.metrics.categorical_accuracy(y, outputs)}


class Step:
    """A compiled step: distributed `(x, y)` and the totals so far in, new totals out.

    Args:
        strategy: Where it runs.
        replica_step: Function of one replica's `(x, y, stop)` to `(name → mean over the global
            batch, number of its examples, replicas that were asked to stop)`, the same on every
            replica.
        element_spec: Spec of the distributed dataset's `(x, y)`.
    """

    def __init__(self, strategy: tf.distribute.Strategy, replica_step: Callable, element_spec: Any):
        self.names: tuple[str, ...] = ()

        signature = [*element_spec, *Totals.spec(), tf.TensorSpec([], tf.float32)]

        @tf.function(input_signature=signature)
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
        """
        return Totals(*self._step(x, y, *totals, float(stop)))


def make_train_step(
    strategy: tf.distribute.Strategy,
    model: TransferModel,
    optimizer: keras.optimizers.Optimizer,
    objectives: Sequence[Objective],
    element_spec: Any,
    *,
    forward: ForwardPass,
    accumulation: int = 1,
) -> Step:
    """Return the compiled step of one stage.

    The loss is the sum over a replica's examples divided by the global batch's count, and the
    optimizer sums gradients over replicas: partial batches and any number of replicas give the
    update of one device. So do the slices of a batch whose gradients are accumulated.

    Args:
        strategy: Where it runs.
        model: What trains; its trainable variables are read once, here.
        optimizer: Built for these variables, under the strategy.
        objectives: Their losses are added.
        element_spec: Spec of the distributed dataset's `(x, y)`.
        forward: Function of `(x, training)` to a `Forward`.
        accumulation: Slices that each replica's batch is cut into, to save memory.
    """
    variables = model.trainable_variables
    values = [variable.value for variable in variables]
    replicas = strategy.num_replicas_in_sync

    def gradients_of(x, y, total):
        # Losses of another trace, such as that of a feature store, may still hang on the layers.
        model._clear_losses()
        (x, y), real = filled((x, y))
        with tf.GradientTape() as tape:
            sums = _sums(model, objectives, forward(x, True), y, real)
            loss = sums["loss"] / total
            if model.losses:
                penalty = tf.add_n([tf.cast(value, loss.dtype) for value in model.losses])
                loss += penalty / (replicas * accumulation)
            scaled = optimizer.scale_loss(loss)
        return tape.gradient(scaled, values), sums

    def replica_step(x, y, stop):
        total = _global_count(y)
        if accumulation == 1:
            gradients, sums = gradients_of(x, y, total)
        else:
            gradients, sums = accumulate(gradients_of, x, y, total, accumulation)
        optimizer.apply(gradients, variables)
        return _reduced(sums, total), total, _sum_over_replicas(tf.identity(stop))

    return Step(strategy, replica_step, element_spec)


def make_validation_step(
    strategy: tf.distribute.Strategy,
    model: TransferModel,
    objectives: Sequence[Objective],
    element_spec: Any,
    *,
    forward: ForwardPass,
) -> Step:
    """Return the compiled step that measures losses and metrics and changes nothing."""

    def replica_step(x, y, stop):
        total = _global_count(y)
        (x, y), real = filled((x, y))
        sums = _sums(model, objectives, forward(x, False), y, real)
        return _reduced(sums, total), total, _sum_over_replicas(tf.identity(stop))

    return Step(strategy, replica_step, element_spec)


def accumulate(gradients_of: Callable, x, y, total, slices: int):
    """Sum gradients and losses over slices of a batch, one after the other to save memory.

    Args:
        gradients_of: Function of `(x, y, total)` to `(gradients, name → sum)`.
        x: Images or features `(b, …)`.
        y: Targets, or task name → targets.
        total: Number of examples that sums are divided by.
        slices: How many.

    Returns:
        What `gradients_of` would give for the whole batch, were there memory for it.
    """

    def one(index):
        part = Part(index, slices)
        gradients, sums = gradients_of(share_of(x, part), share_of(y, part), total)
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


def _sums(model, objectives, forward: Forward, y, real: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the sum of every loss and metric over the examples; zeros where none is real."""
    targets = model.targets
    values: dict[str, Any] = {}
    for objective in objectives:
        for name, value in objective.losses(forward, y, targets).items():
            values[name] = values[name] + value if name in values else value
    metrics = per_example_metrics(y, model.activate(forward.logits), targets)
    if "loss" not in values:
        raise InputError(
            f"objectives: none of {[type(one).__name__ for one in objectives]} returns a 'loss'. "
            "losses() gives a dict with the key 'loss'."
        )
    return {
        name: tf.where(real, tf.reduce_sum(tf.cast(value, tf.float32)), 0.0)
        for name, value in (values | metrics).items()
    }


def _global_count(y) -> tf.Tensor:
    """Return the number of examples of the batch on all replicas together."""
    return _sum_over_replicas(tf.cast(tf.shape(tf.nest.flatten(y)[0])[0], tf.float32))


def _reduced(sums: Mapping[str, tf.Tensor], total: tf.Tensor) -> dict[str, tf.Tensor]:
    return _sum_over_replicas(
        {name: tf.stop_gradient(value) / total for name, value in sums.items()}
    )


def _sum_over_replicas(values: Any) -> Any:
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def _first_replica(strategy: tf.distribute.Strategy, values):
    """Return one replica's copy of values that all replicas agree on."""
    return tf.nest.map_structure(
        lambda value: strategy.experimental_local_results(value)[0], values
    )
