"""The training step: one forward pass, the objectives' losses, one update, on every replica."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_keras.objectives.objective import Objective
from tl_keras.targets import TargetSpec
from tl_keras.transfer_model import Forward, TransferModel

Step = Callable[[Any, Any], tuple[dict[str, tf.Tensor], tf.Tensor]]


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


def make_train_step(
    strategy: tf.distribute.Strategy,
    model: TransferModel,
    optimizer: keras.optimizers.Optimizer,
    objectives: Sequence[Objective],
    element_spec: Any,
    *,
    from_features: bool,
) -> Step:
    """Return the compiled step of one stage.

    The loss is the sum over a replica's examples divided by the global batch's count, and the
    optimizer sums gradients over replicas: partial batches and any number of replicas give the
    update of one device.

    Args:
        strategy: Where it runs.
        model: What trains; its trainable variables are read once, here.
        optimizer: Built for these variables, under the strategy.
        objectives: Their losses are added.
        element_spec: Spec of the distributed dataset's `(x, y)`.
        from_features: Whether `x` is the backbone's output instead of images.

    Returns:
        Function from a distributed `(x, y)` to `(name → mean over the global batch, its count)`.
    """
    variables = model.trainable_variables
    targets = model.targets
    replicas = strategy.num_replicas_in_sync

    def replica_step(x, y):
        total = _global_count(y)
        with tf.GradientTape() as tape:
            forward = _forward(model, x, from_features, training=True)
            sums = _sums(model, objectives, forward, y, targets)
            loss = sums["loss"] / total
            if model.losses:
                loss += tf.add_n([tf.cast(value, loss.dtype) for value in model.losses]) / replicas
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return _reduced(sums, total), total

    @tf.function(input_signature=list(element_spec))
    def step(x, y):
        return _first_replica(strategy, strategy.run(replica_step, args=(x, y)))

    return step


def make_validation_step(
    strategy: tf.distribute.Strategy,
    model: TransferModel,
    objectives: Sequence[Objective],
    element_spec: Any,
    *,
    from_features: bool,
) -> Step:
    """Return the compiled step that measures losses and metrics and changes nothing."""
    targets = model.targets

    def replica_step(x, y):
        total = _global_count(y)
        forward = _forward(model, x, from_features, training=False)
        return _reduced(_sums(model, objectives, forward, y, targets), total), total

    @tf.function(input_signature=list(element_spec))
    def step(x, y):
        return _first_replica(strategy, strategy.run(replica_step, args=(x, y)))

    return step


def _forward(model: TransferModel, x, from_features: bool, training: bool) -> Forward:
    if from_features:
        return model.forward_from_feature_map(x, training)
    return model.forward(x, training)


def _sums(model, objectives, forward: Forward, y, targets) -> dict[str, tf.Tensor]:
    values: dict[str, Any] = {}
    for objective in objectives:
        for name, value in objective.losses(forward, y, targets).items():
            values[name] = values[name] + value if name in values else value
    metrics = per_example_metrics(y, model.activate(forward.logits), targets)
    return {
        name: tf.reduce_sum(tf.cast(value, tf.float32))
        for name, value in (values | metrics).items()
    }


def _global_count(y) -> tf.Tensor:
    """Return the number of examples of the batch on all replicas together."""
    count = tf.cast(tf.shape(tf.nest.flatten(y)[0])[0], tf.float32)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, count)


def _reduced(sums: Mapping[str, tf.Tensor], total: tf.Tensor) -> dict[str, tf.Tensor]:
    context = tf.distribute.get_replica_context()
    detached = {name: tf.stop_gradient(value) / total for name, value in sums.items()}
    return context.all_reduce(tf.distribute.ReduceOp.SUM, detached)


def _first_replica(strategy: tf.distribute.Strategy, values):
    """Return one replica's copy of values that all replicas agree on."""
    return tf.nest.map_structure(
        lambda value: strategy.experimental_local_results(value)[0], values
    )
