"""What objectives read: one forward pass over a batch of every domain."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tl_keras.models.forward import Forward
from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.by_task import ONLY_TASK, by_task
from tl_keras.utils.errors import InputError

TARGET_PREFIX = "target"


def is_target(domain: str) -> bool:
    """Return whether a domain is one to adapt to: its name begins with `target`."""
    return domain.startswith(TARGET_PREFIX)


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many examples of a domain the whole batch has, over all replicas.

    Attributes:
        examples: float32 scalar.
        labelled: float32 scalar, or task name → that; those with a label.
    """

    examples: Any
    labelled: Any


@dataclasses.dataclass(frozen=True)
class DomainBatch:
    """One replica's share of a batch of one domain, or of several domains pooled.

    Attributes:
        x: What the network read `(b, …)`: images, or values of frozen layers.
        y: float32 targets `(b, size)`, task name → that, or None for a domain without labels.
            Rows without a label are zeros.
        labelled: float32 `(b,)`, 1 where there is a label and 0 where not; task name → that; None
            where `y` is.
        forward: The pass over `x`; None in training where all objectives read their views only.
        real: bool `(b,)`: False for an example of zeros that stands in for an empty share.
        counts: Of the whole batch, over all replicas.
        teacher_outputs: Name of a teacher → what it says about `x`; see
            `Objective.teacher_functions`.
    """

    x: Any
    y: Any
    labelled: Any
    forward: Forward | None
    real: Any
    counts: Counts
    teacher_outputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def _passed(self) -> Forward:
        if self.forward is None:
            raise InputError(
                "objectives: no pass was made over the examples themselves, since all objectives "
                "say that they read their views only. Set reads_views_only = False in yours."
            )
        return self.forward

    @property
    def features(self) -> Any:
        """What the classifier reads, float32 `(b, channels)`."""
        return self._passed.features

    @property
    def feature_map(self) -> Any:
        """The backbone's output `(b, …, channels)`."""
        return self._passed.feature_map

    @property
    def logits(self) -> Any:
        """The head's output `(b, size)`, or task name → that."""
        return self._passed.logits

    @property
    def share(self) -> Any:
        """This replica's share of the batch, 0 … 1; the shares of all replicas add up to 1."""
        return self.mean(tf.ones_like(self.real, tf.float32))

    def mean(self, values: Any) -> Any:
        """Return this replica's part of the mean over the whole batch of values `(b,)`.

        The parts of all replicas add up to the mean, whatever the sizes of their shares.
        """
        total = tf.reduce_sum(tf.where(self.real, tf.cast(values, tf.float32), 0.0))
        return total / tf.maximum(self.counts.examples, 1.0)

    def labelled_mean(self, values: Any, task: str = ONLY_TASK) -> Any:
        """Return this replica's part of the mean of values `(b,)` over examples with a label."""
        mask, count = by_task(self.labelled)[task], by_task(self.counts.labelled)[task]
        total = tf.reduce_sum(tf.where(self.real, tf.cast(values, tf.float32) * mask, 0.0))
        return total / tf.maximum(count, 1.0)


@dataclasses.dataclass(frozen=True)
class Batch(Mapping):
    """A batch of every domain, after one forward pass: domain name → `DomainBatch`.

    Attributes:
        domains: Domain name → its share.
        views: View name → domain name → its share, changed by the augmentation of that view.
        targets: What the model's outputs mean.
        model: What trains.
        progress: Share of the stage that has passed, a float32 scalar, 0 … 1.
        rerun: Function of `(domain name, variable → value)` to the pass over that domain's `x`
            with other values of some variables, without gradient: a teacher, or the start.
        total: Function of a tensor to its sum over all replicas' shares, without gradient. Where a
            batch is cut into micro-batches (`Stage.accumulation`), the sum is the micro-batch's
            own on this replica.
    """

    domains: Mapping[str, DomainBatch]
    views: Mapping[str, Mapping[str, DomainBatch]]
    targets: TargetSpec | Mapping[str, TargetSpec] | None
    model: TransferModel
    progress: Any
    rerun: Callable[[str, Sequence[tuple[Any, Any]]], Forward]
    total: Callable[[Any], Any] = tf.stop_gradient

    def __getitem__(self, name: str) -> DomainBatch:
        return self.domains[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.domains)

    def __len__(self) -> int:
        return len(self.domains)

    @property
    def source_names(self) -> list[str]:
        """Names of the source domains."""
        return [name for name in self.domains if not is_target(name)]

    @property
    def target_names(self) -> list[str]:
        """Names of the target domains."""
        return [name for name in self.domains if is_target(name)]

    @property
    def source(self) -> DomainBatch:
        """All source domains pooled."""
        return pooled([self.domains[name] for name in self.source_names])

    @property
    def target(self) -> DomainBatch:
        """All target domains pooled; `y` is None if none of them has labels."""
        return pooled([self.domains[name] for name in self.target_names])

    @property
    def labelled(self) -> dict[str, DomainBatch]:
        """The domains that have labels, some or all."""
        return {name: one for name, one in self.domains.items() if one.y is not None}

    def per_batch(self, value: Any) -> Any:
        """Return this replica's part of a loss that is of its whole share, not of examples.

        Statistics such as MMD are those of one replica's share; their mean over the replicas,
        weighted by the sizes of the shares, is the loss. Penalties on weights, which are the same
        everywhere, count once.
        """
        domains = self.domains.values()
        examples = tf.add_n([tf.maximum(one.counts.examples, 1.0) for one in domains])
        own = tf.add_n([one.share * tf.maximum(one.counts.examples, 1.0) for one in domains])
        return tf.cast(value, tf.float32) * own / examples

    def per_pair(self, value: Any, needed: "DomainBatch | None" = None) -> Any:
        """As `per_batch`, and nothing where a domain has no example in this replica's share.

        Args:
            value: The loss of this replica's share.
            needed: The domain that it is of, where it is not of all.
        """
        domains = self.domains.values() if needed is None else (needed,)
        real = tf.reduce_all(tf.concat([one.real for one in domains], axis=0))
        return tf.where(real, self.per_batch(value), 0.0)


def without_target_labels(batch: Batch) -> Batch:
    """Return a batch whose target domains have no labels, as if there had never been any."""

    def blank(name: str, domain: DomainBatch) -> DomainBatch:
        if not is_target(name) or domain.y is None:
            return domain
        counts = Counts(domain.counts.examples, tf.constant(0.0))
        return dataclasses.replace(domain, y=None, labelled=None, counts=counts)

    return dataclasses.replace(
        batch,
        domains={name: blank(name, one) for name, one in batch.domains.items()},
        views={
            view: {name: blank(name, one) for name, one in domains.items()}
            for view, domains in batch.views.items()
        },
    )


def pooled(domains: Sequence[DomainBatch]) -> DomainBatch:
    """Return several domains as one; labels are kept if any domain has some.

    Raises:
        InputError: If there are none.
    """
    if not domains:
        raise InputError(
            "data: an objective needs a domain that is not there. Pass a dict of domains, "
            "{'source': …, 'target': …}; names of target domains begin with 'target'."
        )
    if len(domains) == 1:
        return domains[0]
    with_labels = [one for one in domains if one.y is not None]
    y = labelled = labelled_counts = None
    if with_labels:
        like = with_labels[0]
        y = _concatenated([_labels_or_none(one, one.y, like.y) for one in domains])
        labelled = _concatenated(
            [_labels_or_none(one, one.labelled, like.labelled) for one in domains]
        )
        labelled_counts = tf.nest.map_structure(
            lambda *parts: tf.add_n(parts), *(one.counts.labelled for one in with_labels)
        )
    return DomainBatch(
        x=_concatenated([one.x for one in domains]),
        y=y,
        labelled=labelled,
        forward=_concatenated([one.forward for one in domains]),
        real=_concatenated([one.real for one in domains]),
        counts=Counts(tf.add_n([one.counts.examples for one in domains]), labelled_counts),
        teacher_outputs=_concatenated([dict(one.teacher_outputs) for one in domains]),
    )


def _labels_or_none(domain: DomainBatch, own: Any, like: Any) -> Any:
    """Return labels, or zeros of the same form for a domain without any."""
    if own is not None:
        return own
    size = tf.shape(tf.nest.flatten(domain.x)[0])[:1]
    return tf.nest.map_structure(
        lambda one: tf.zeros(tf.concat([size, tf.shape(one)[1:]], axis=0), one.dtype), like
    )


def _concatenated(parts: Sequence[Any]) -> Any:
    return tf.nest.map_structure(lambda *tensors: tf.concat(tensors, axis=0), *parts)
