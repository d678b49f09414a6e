"""One forward pass over the batches of all domains and their views."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_keras.data.augmentation.augment import augment, batch_seed
from tl_keras.data.domains import domain_seed
from tl_keras.frozen.taught_examples import without_outputs
from tl_keras.models.forward import Forward
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Batch, Counts, DomainBatch, Objective
from tl_keras.training.step.empty_shares import filled


@dataclasses.dataclass(frozen=True)
class Training:
    """What a pass that trains is asked for.

    Attributes:
        objectives: Say which views there are.
        progress: Share of the stage that has passed.
        seed: int64 `(2,)`, of the views of this batch.
        teachers: Name → function of images, for teachers whose outputs do not come with `x`.
        sliced: Whether this is one micro-batch of several, so that totals are its own.
    """

    objectives: Sequence[Objective] = ()
    progress: Any = 1.0
    seed: Any = None
    teachers: Mapping[str, Callable[[Any], Any]] | None = None
    sliced: bool = False


ForwardPass = Callable[[Any, bool], Forward]


def global_counts(x: Mapping[str, Any], y: Mapping[str, Any]) -> dict[str, Counts]:
    """Return how many examples, and labelled ones, all replicas have together, per domain."""
    local = {}
    for name, values in x.items():
        examples = tf.cast(tf.shape(tf.nest.flatten(values)[0])[0], tf.float32)
        labelled = tf.constant(0.0)
        if name in y:
            labelled = tf.nest.map_structure(lambda one: tf.reduce_sum(_mask(one)), y[name])
        local[name] = (examples, labelled)
    flat = tf.nest.flatten(local)
    context = tf.distribute.get_replica_context()
    summed = context.all_reduce(tf.distribute.ReduceOp.SUM, flat)
    packed = tf.nest.pack_sequence_as(local, summed)
    return {name: Counts(*counts) for name, counts in packed.items()}


def domain_pass(
    model: TransferModel,
    forward: ForwardPass,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    counts: Mapping[str, Counts],
    asked: Training | None = None,
) -> Batch:
    """Run the network once over what one replica has of all domains.

    Domains are put together for the pass, so that it costs what one large batch costs. Where
    BatchNorm layers update their statistics, these are those of all domains together, unless an
    objective asks for each domain by itself.

    Args:
        model: What trains.
        forward: Forward pass on such `x`.
        x: Domain name → what the network reads; shares can be empty.
        y: Domain name → targets, for domains with labels.
        counts: Of the whole batch.
        asked: What training asks for; None where nothing trains, and dropout and the like rest.
    """
    training, asked = asked is not None, asked or Training()
    objectives = asked.objectives
    inputs, outputs, reals, labels = {}, {}, {}, {}
    for name, values in x.items():
        whole = (values, y[name]) if name in y else (values,)
        (inputs[name], *rest), real = filled(whole)
        inputs[name], outputs[name] = without_outputs(inputs[name])
        reals[name] = tf.fill(tf.shape(tf.nest.flatten(inputs[name])[0])[:1], real)
        labels[name] = rest[0] if rest else None
    inputs = _of_one_type(inputs)
    for teacher, function in (asked.teachers or {}).items():
        for name, values in inputs.items():
            outputs[name][teacher] = tf.stop_gradient(function(values))
    views = _views(objectives, inputs, asked.seed, model.pixel_range) if training else {}
    keyed = dict(views)
    if not views or not all(one.reads_views_only for one in objectives):
        keyed = {(None, name): values for name, values in inputs.items()} | views
    apart = training and any(one.domains_apart for one in objectives)
    passed = {}
    for group in _by_domain(keyed) if apart else [keyed]:
        passed |= _joint_pass(forward, group, training)

    def one(view: str | None, name: str) -> DomainBatch:
        own, mask = labels[name], None
        if own is not None:
            mask = tf.nest.map_structure(_mask, own)
            own = tf.nest.map_structure(_without_blanks, own)
        key = (view, name)
        x = keyed.get(key, inputs[name])
        said = outputs[name] if view is None else {}
        return DomainBatch(x, own, mask, passed.get(key), reals[name], counts[name], said)

    by_view: dict[str, dict[str, DomainBatch]] = {}
    for view, name in views:
        by_view.setdefault(view, {})[name] = one(view, name)

    def rerun(name: str, values: Sequence[tuple[Any, Any]]) -> Forward:
        with keras.StatelessScope(state_mapping=list(values)):
            return tf.nest.map_structure(tf.stop_gradient, forward(inputs[name], False))

    return Batch(
        domains={name: one(None, name) for name in inputs},
        views=by_view,
        targets=model.targets,
        model=model,
        progress=tf.cast(asked.progress, tf.float32),
        rerun=rerun,
        total=tf.stop_gradient if asked.sliced else _total_over_replicas,
    )


def _total_over_replicas(values: Any) -> Any:
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.stop_gradient(values))


def _views(
    objectives: Sequence[Objective], inputs: Mapping[str, Any], seed: Any, pixel_range: Any
) -> dict:
    views = {}
    for objective in objectives:
        for view, (layers, domains) in objective.views().items():
            for name in inputs if domains is None else domains:
                own = tf.random.experimental.stateless_fold_in(  # pyright: ignore[reportAttributeAccessIssue] # Not in the stubs.
                    seed, tf.constant(domain_seed(0, f"{view}/{name}"), tf.int64)
                )
                views[view, name] = augment(layers, inputs[name], None, own, pixel_range)[0]
    return views


def step_seed(seed: int, stage: int, step: Any) -> tf.Tensor:
    """Return the seed of the views of one step on this replica, int64 `(2,)`."""
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return batch_seed(seed, stage, step, replica)


def _by_domain(keyed: Mapping[Any, Any]) -> list[dict]:
    """Return one dict a domain: its images and their views."""
    groups: dict[str, dict] = {}
    for (view, name), values in keyed.items():
        groups.setdefault(name, {})[view, name] = values
    return list(groups.values())


def _joint_pass(forward: ForwardPass, inputs: Mapping[Any, Any], training: bool) -> dict:
    """Return key → pass, from one pass over all inputs put together."""
    if len(inputs) == 1:
        return {key: forward(values, training) for key, values in inputs.items()}
    parts = list(_of_one_type(inputs).values())
    sizes = [tf.shape(tf.nest.flatten(part)[0])[0] for part in parts]
    joined = tf.nest.map_structure(lambda *tensors: tf.concat(tensors, axis=0), *parts)
    whole = forward(joined, training)

    def split(tensor: tf.Tensor) -> list[tf.Tensor]:
        pieces = tf.split(tensor, sizes, num=len(sizes))
        for piece in pieces:
            piece.set_shape([None, *tensor.shape[1:]])
        return pieces

    pieces = [split(tensor) for tensor in tf.nest.flatten(whole)]
    return {
        key: tf.nest.pack_sequence_as(whole, [piece[i] for piece in pieces])
        for i, key in enumerate(inputs)
    }


def _of_one_type(inputs: Mapping[Any, Any]) -> dict:
    """Return key → `x`, as float32 where they differ in type, such as uint8 and float32 images."""
    kinds = {tuple(one.dtype for one in tf.nest.flatten(x)) for x in inputs.values()}
    if len(kinds) == 1:
        return dict(inputs)
    return {
        key: tf.nest.map_structure(lambda one: tf.cast(one, tf.float32), x)
        for key, x in inputs.items()
    }


def _mask(y: tf.Tensor) -> tf.Tensor:
    """Return float32 `(b,)`: 1 where there is a label; rows without one are NaN."""
    return 1.0 - tf.cast(tf.reduce_any(tf.math.is_nan(y), axis=-1), tf.float32)


def _without_blanks(y: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.math.is_nan(y), tf.zeros_like(y), y)
