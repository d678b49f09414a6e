"""Which examples make up which batch: a function of seed, epoch and position, and of nothing else.

Nothing here keeps state, so that a run that was killed goes on with the batch that it would have
seen next, and every worker knows its share of a batch without asking the others.
"""

from typing import Any, NamedTuple

import tensorflow as tf


class Epochs(NamedTuple):
    """Shuffled epochs, one after the other.

    Attributes:
        seed: Together with an epoch's number it gives that epoch's order.
        first: Number of the first epoch, from 0.
        count: How many epochs.
        skip: Batches left out at the start of the first epoch.
    """

    seed: int
    first: int = 0
    count: int = 1
    skip: int = 0


class Cycle(NamedTuple):
    """Shuffled passes without end, cut into batches of one size wherever a pass ends.

    Attributes:
        seed: Together with a pass's number it gives that pass's order.
        first: Number of the first batch, from 0.
        count: How many batches.
    """

    seed: int
    first: int = 0
    count: int = 1

    def place(self, examples: int, batch_size: int) -> tuple[int, int, int, int]:
        """Return the size of the batches, the first pass, how many, and the rows to leave out.

        A domain that is smaller than a batch comes whole in every one, never twice.
        """
        size = min(batch_size, examples)
        start, stop = self.first * size, (self.first + self.count) * size
        first = start // examples
        return size, first, -(-stop // examples) - first, start % examples


Order = Epochs | Cycle | None
"""Shuffled epochs, batches that carry over the ends of passes, or all rows once, in order."""


class Part(NamedTuple):
    """One replica's share of every batch, of sizes as `numpy.array_split` has them.

    Attributes:
        index: Number of the replica among all replicas of all workers.
        count: How many replicas there are.
    """

    index: int = 0
    count: int = 1

    def bounds(self, size: Any) -> tuple[Any, Any]:
        """Return start and stop of the share of a batch of `size` examples; it can be empty."""
        each, more = size // self.count, size % self.count
        start = self.index * each + tf.minimum(tf.cast(self.index, more.dtype), more)
        return start, start + each + tf.cast(self.index < more, more.dtype)


WHOLE = Part()


def row_batches(
    count: int,
    batch_size: int,
    epochs: Order = None,
    part: Part = WHOLE,
    *,
    with_epoch: bool = False,
) -> tf.data.Dataset:
    """Return the row numbers of each batch.

    Args:
        count: Number of examples, ≥ 1.
        batch_size: Rows per batch over all parts, ≥ 1; the last batch of an epoch has the rest.
        epochs: Shuffled epochs or a cycle; None for all rows once, in order.
        part: The share of each batch that is wanted.
        with_epoch: Whether the elements are `(epoch, rows)`; of a cycle, each row has its pass.

    Returns:
        Elements int64 `(b,)`.
    """
    if isinstance(epochs, Cycle):
        return _cycled_rows(count, batch_size, epochs, part, with_epoch)
    steps = -(-count // batch_size)

    @tf.autograph.experimental.do_not_convert
    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        rows = tf.range(count, dtype=tf.int64)
        skip = tf.constant(0, tf.int64)
        if epochs is not None:
            rows = _shuffled(rows, epochs.seed, epoch)
            skip = tf.where(epoch == epochs.first, tf.cast(epochs.skip, tf.int64), 0)

        def one_batch(batch: tf.Tensor) -> Any:
            first = batch * batch_size
            start, stop = part.bounds(tf.minimum(tf.cast(batch_size, tf.int64), count - first))
            own = rows[first + start : first + stop]
            return (epoch, own) if with_epoch else own

        return tf.data.Dataset.range(skip, steps).map(one_batch)

    first, number = (0, 1) if epochs is None else (epochs.first, epochs.count)
    return tf.data.Dataset.range(first, first + number).flat_map(one_epoch)


def _cycled_rows(
    count: int, batch_size: int, cycle: Cycle, part: Part, with_pass: bool
) -> tf.data.Dataset:
    size, first, passes, left_out = cycle.place(count, batch_size)

    @tf.autograph.experimental.do_not_convert
    def one_pass(number: tf.Tensor) -> tf.data.Dataset:
        rows = tf.range(count, dtype=tf.int64)
        rows = _shuffled(rows, cycle.seed, number)
        rows = rows[tf.where(number == first, left_out, 0) :]
        return tf.data.Dataset.from_tensor_slices((tf.fill(tf.shape(rows), number), rows))

    @tf.autograph.experimental.do_not_convert
    def own(numbers: tf.Tensor, rows: tf.Tensor) -> Any:
        numbers, rows = share_of((numbers, rows), part)
        return (numbers, rows) if with_pass else rows

    order = tf.data.Dataset.range(first, first + passes).flat_map(one_pass)
    return order.batch(size).take(cycle.count).map(own)


def share_of(batch: Any, part: Part) -> Any:
    """Return a part's share of a batch: a tensor `(b, …)` or a structure of them."""
    if part.count == 1:
        return batch
    size = tf.shape(tf.nest.flatten(batch)[0], out_type=tf.int64)[0]
    start, stop = part.bounds(size)
    return tf.nest.map_structure(lambda tensor: tensor[start:stop], batch)


def _shuffled(rows: tf.Tensor, seed: int, number: Any) -> Any:
    # The stubs of TensorFlow lack `random.experimental`.
    shuffle = tf.random.experimental.stateless_shuffle  # pyright: ignore[reportAttributeAccessIssue]
    return shuffle(rows, [seed, number])
