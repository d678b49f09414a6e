"""Examples from a `tf.data.Dataset`, batched or not."""

import hashlib
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.array_digests import add_array
from tl_keras.data.base import Examples, Specs, Targets
from tl_keras.data.dataset_form import check_lost, class_names_of, dtypes_of, is_batched, structure
from tl_keras.data.dataset_scan import Scan
from tl_keras.data.fingerprint import Content, with_names
from tl_keras.data.labels import encode_labels, encode_labels_in_graph
from tl_keras.data.read_errors import elements_of
from tl_keras.data.rows import WHOLE, Cycle, Epochs, Order, Part, share_of
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError

_SHUFFLE_EXAMPLES = 10_000
_SHUFFLE_BYTES = 2**30


class DatasetExamples(Examples):
    """Examples of a finite `tf.data.Dataset` with elements `x` or `(x, y)`.

    Whether the dataset is batched is said, or read off its axes compared with those that the model
    takes. Where no model is known, one image has rank 3 and a batch of images rank 4; one feature
    vector has rank 1 and a batch of them rank 2. Batches are put together anew, so that the batch
    size asked for is the one that comes.

    The first use goes once through the dataset to count the examples and to check values, shapes
    and labels. A dataset that shuffles itself keeps doing so: then `encoded_targets` and
    `batches` have different orders.

    Shuffling uses a buffer of at most 10 000 examples and 1 GiB. For a complete shuffle of more
    than that, shuffle the files or rows that the dataset is made of.

    Integers and rows count the dataset's own `class_names`, where it has any, as
    `keras.utils.image_dataset_from_directory` sets them; they are matched with the model's by name.
    `.batch`, `.shuffle`, `.take` and the like keep them here, `.map` does not. For several tasks
    they are a dict of lists by task.

    Args:
        dataset: The dataset. `y` may be integers, strings, one-hot rows, values, or a dict of
            these for several tasks.
        argument: Name that errors use for the data.
        batched: Whether its elements are batches; None to find out.
        wanted: What a model takes of one example, if it is known.

    Raises:
        InputError: If the dataset is infinite or its elements have another structure.
    """

    has_rows = False

    def __init__(
        self,
        dataset: tf.data.Dataset,
        argument: str = "data",
        *,
        batched: bool | None = None,
        wanted: Any = None,
    ):
        self.argument = argument
        self._declared = batched
        if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise InputError(
                f"{argument}: expected a finite dataset, got one without end. Leave out .repeat(), "
                "end it with .take(n), or pass tl.data.as_examples(data, steps=…)."
            )
        self._has_labels, x = structure(dataset.element_spec, argument)
        self._is_batched = is_batched(x, wanted, argument) if batched is None else batched
        self._dataset = dataset
        self._dtypes = dtypes_of(x, wanted, argument)
        self.class_names, self._lost_names = class_names_of(dataset)
        self._scanned: Scan | None = None
        self._first_digest: str | None = None
        self._content: Content | None = None

    def __len__(self) -> int:
        """Return the number of examples; the first call may go through the dataset."""
        return self._scan().count

    @property
    def value_range(self) -> tuple[float, float] | None:
        """Smallest and largest value of `x`, None for uint8; the first use makes the pass."""
        return self._scan().value_range

    def row_names(self, rows: np.ndarray) -> list[str]:
        """Return nothing: the order of a shuffled dataset is not known by row."""
        return []

    def __repr__(self) -> str:
        return f"DatasetExamples({self._dataset.element_spec})"

    def encoded_targets(self, spec: Specs) -> Targets:
        """Return all targets; see `Examples.encoded_targets`."""
        argument, labels = f"{self.argument}: y", self._scan().labels
        targets = encode_labels(labels, spec, argument, self.class_names, lost=not self._lost_names)
        if spec is not None and targets is not None:
            for names in self._lost_names:
                check_lost(names, labels, spec, argument)
        return targets

    def batches(
        self,
        spec: Specs,
        batch_size: int,
        *,
        epochs: Order = None,
        part: Part = WHOLE,
    ) -> tf.data.Dataset:
        """Return the examples in batches; see `Examples.batches`."""
        batch_size = whole(batch_size, "batch_size")
        self.encoded_targets(spec)
        scan = self._scan()
        if epochs is None:
            batches = self._rebatched(batch_size)
        else:
            batches = self._shuffled(epochs, batch_size)

        @tf.autograph.experimental.do_not_convert
        def encode(*element: Any) -> Any:
            return self._encode(share_of(element, part), spec, scan)

        return batches.map(encode, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    @property
    def spec(self) -> Any:
        """Shape and type of one example; name → that for several inputs."""
        return tf.nest.map_structure(tf.TensorSpec, self._scan().shape, self._dtypes)

    def read_for(self, wanted: Any) -> "DatasetExamples":
        """Return the dataset as a model reads it; see `Examples.read_for`."""
        found = DatasetExamples(self._dataset, self.argument, batched=self._declared, wanted=wanted)
        found.class_names, found._lost_names = self.class_names, self._lost_names
        same = found._is_batched == self._is_batched and found._dtypes == self._dtypes
        return self if same else found

    @property
    def has_labels(self) -> bool:
        """Whether the elements are pairs."""
        return self._has_labels

    @property
    def has_fixed_order(self) -> bool:
        """Whether two passes give the same examples in the same order; makes the passes."""
        return self._digest_in_order() == self._digest_of_a_pass()

    def fingerprint(self) -> str:
        """Return a hash of the content in any order; see `Examples.fingerprint`."""
        return with_names(self.content().fingerprint, self.class_names)

    def fingerprint_in_order(self) -> str:
        """Return a hash of the examples with their labels in the order of the first pass."""
        return with_names(self._digest_in_order(), self.class_names)

    def content(self) -> Content:
        """Return the hashes of single examples; the first call goes through the dataset."""
        if self._content is None:
            content = Content()
            for element in elements_of(self._dataset, self.argument):
                x, y = element if self._has_labels else (element, ())
                x = tf.nest.map_structure(tf.cast, x, self._dtypes)
                if not self._is_batched:
                    x, y = tf.nest.map_structure(lambda part: part[None], (x, y))
                content.add(*tf.nest.map_structure(np.asarray, (x, y)))
            self._content = content
        return self._content

    def _digest_in_order(self) -> str:
        if self._first_digest is None:
            self._first_digest = self._digest_of_a_pass()
        return self._first_digest

    def _digest_of_a_pass(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for element in elements_of(self._dataset, self.argument):
            for part in tf.nest.flatten(element):
                add_array(digest, part.numpy())
        return digest.hexdigest()

    def _rebatched(self, batch_size: int) -> tf.data.Dataset:
        if not self._is_batched:
            return self._dataset.batch(batch_size)
        if self._scan().batch_size == batch_size:
            return self._dataset
        return self._dataset.unbatch().batch(batch_size)

    def _shuffled(self, epochs: Epochs | Cycle, batch_size: int) -> tf.data.Dataset:
        scan = self._scan()
        examples = self._dataset.unbatch() if self._is_batched else self._dataset
        buffer = min(scan.count, _SHUFFLE_EXAMPLES, max(1, _SHUFFLE_BYTES // scan.bytes_each))

        def one_pass(number: tf.Tensor) -> tf.data.Dataset:
            # `shuffle` would mix in TensorFlow's global seed, and fails on a tensor if it does.
            tf.compat.v1.get_default_graph().seed = None
            seed = 1_000_003 * epochs.seed + number
            return examples.shuffle(
                buffer,
                seed=seed,  # pyright: ignore[reportArgumentType]  # The stubs lack tensors.
                reshuffle_each_iteration=False,
            )

        def at_first(number: tf.Tensor, left_out: int) -> tf.Tensor:
            return tf.where(number == first, tf.constant(left_out, tf.int64), 0)

        if isinstance(epochs, Cycle):
            size, first, passes, rows = epochs.place(scan.count, batch_size)
            numbers = tf.data.Dataset.range(first, first + passes)
            order = numbers.flat_map(lambda number: one_pass(number).skip(at_first(number, rows)))
            return order.batch(size).take(epochs.count)
        first = epochs.first
        numbers = tf.data.Dataset.range(first, first + epochs.count)
        return numbers.flat_map(
            lambda number: one_pass(number).batch(batch_size).skip(at_first(number, epochs.skip))
        )

    def _encode(self, element: tuple[Any, ...], spec: Specs, scan: "Scan") -> Any:
        x = tf.nest.map_structure(
            lambda one, dtype, shape: tf.ensure_shape(tf.cast(one, dtype), [None, *shape]),
            element[0],
            self._dtypes,
            scan.shape,
        )
        if not self._has_labels or spec is None:
            return x
        y = tf.nest.map_structure(
            lambda part, all_of_it: tf.ensure_shape(part, [None, *all_of_it.shape[1:]]),
            element[1],
            scan.labels,
        )
        return x, encode_labels_in_graph(y, spec, self.class_names)

    def _scan(self) -> "Scan":
        if self._scanned is None:
            self._scanned = Scan(self._dataset, self._is_batched, self._has_labels, self.argument)
        return self._scanned
