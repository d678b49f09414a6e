"""Examples from a `tf.data.Dataset`, batched or not."""

import hashlib
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.array_digests import add_array
from tl_keras.data.base import Examples, Specs, Targets
from tl_keras.data.labels import Names, encode_labels, encode_labels_in_graph
from tl_keras.data.output_order import check_lost_names
from tl_keras.data.read_errors import elements_of
from tl_keras.data.rows import WHOLE, Cycle, Epochs, Order, Part, share_of
from tl_keras.data.values import Values
from tl_keras.tasks.encoding import label_name
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError, counted, warn_user

_SHUFFLE_EXAMPLES = 10_000
_SHUFFLE_BYTES = 2**30
SECONDS_IN_SILENCE = 5.0
SECONDS_OF_A_GENERATOR = 30.0
_KEEP_LABELS = {
    *("BatchDataset", "ParallelBatchDataset", "CacheDataset", "FilterDataset", "OptionsDataset"),
    *("PrefetchDataset", "RepeatDataset", "ShardDataset", "ShuffleDataset", "SkipDataset"),
    *("TakeDataset", "UnbatchDataset", "RestructuredDataset", "RebatchDataset"),
    "AssertCardinalityDataset",
}


class DatasetExamples(Examples):
    """Examples of a finite `tf.data.Dataset` with elements `x` or `(x, y)`.

    Whether the dataset is batched is read off `x`: one image has rank 3 and a batch of images
    rank 4; one feature vector has rank 1 and a batch of them rank 2. Batches are put together
    anew, so that the batch size asked for is the one that comes.

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

    Raises:
        InputError: If the dataset is infinite or its elements have another structure.
    """

    def __init__(self, dataset: tf.data.Dataset, argument: str = "data"):
        self.argument = argument
        if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise InputError(
                f"{argument}: expected a finite dataset, got one without end. Leave out .repeat(), "
                "or end it with .take(n)."
            )
        self._has_labels, x = _structure(dataset.element_spec, argument)
        self._is_batched = _is_batched(x, argument)
        self._dataset = dataset
        self.class_names, self._lost_names = _class_names(dataset)
        self._scanned: _Scan | None = None
        self._first_digest: str | None = None

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
        if targets is not None:
            for names in self._lost_names:
                _check_lost(names, labels, spec, argument)
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

    def has_fixed_order(self) -> bool:
        """Return whether two passes give the same examples in the same order; makes the passes."""
        return self.digest_in_order() == self._digest_of_a_pass()

    def digest_in_order(self) -> str:
        """Return a hash of the examples with their labels in the order of the first pass."""
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
            return examples.shuffle(buffer, seed=seed, reshuffle_each_iteration=False)

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

    def _encode(self, element: tuple[Any, ...], spec: Specs, scan: "_Scan") -> Any:
        x = element[0] if element[0].dtype == tf.uint8 else tf.cast(element[0], tf.float32)
        x = tf.ensure_shape(x, [None, *scan.shape])
        if not self._has_labels or spec is None:
            return x
        y = tf.nest.map_structure(
            lambda part, all_of_it: tf.ensure_shape(part, [None, *all_of_it.shape[1:]]),
            element[1],
            scan.labels,
        )
        return x, encode_labels_in_graph(y, spec, self.class_names)

    def _scan(self) -> "_Scan":
        if self._scanned is None:
            self._scanned = _Scan(self._dataset, self._is_batched, self._has_labels, self.argument)
        return self._scanned


def _class_names(dataset: tf.data.Dataset) -> tuple[Names, list[Names]]:
    """Return the dataset's class names, and those that were lost in steps such as `.map`.

    A zip, or a sample from several datasets, may have lost names of each of them.
    """
    lost, steps = [], [(dataset, "", True)]
    while steps:
        one, above, is_sure = steps.pop()
        names = getattr(one, "class_names", None)
        if names is not None:
            if isinstance(names, Mapping):
                names = {task: own and tuple(map(label_name, own)) for task, own in names.items()}
            else:
                names = tuple(map(label_name, names))
            if is_sure:
                return names, []
            lost.append(names)
            continue
        below = type(one).__name__.strip("_")
        # What TensorFlow puts below .unbatch maps without a function of the user's.
        is_dense = above == "RestructuredDataset" and below == "MapDataset"
        is_sure = is_sure and (is_dense or below in _KEEP_LABELS)
        steps += [(each, below, is_sure) for each in one._inputs()]
    return None, lost


def _check_lost(names: Names, y: Any, spec: Specs, argument: str) -> None:
    """Check names that a step has lost, of each task that they can belong to."""
    if isinstance(spec, TargetSpec):
        if isinstance(names, tuple):
            check_lost_names(names, y, spec, argument)
        return
    for task, one in spec.items():
        own = names if isinstance(names, tuple) else names.get(task)
        if own and (isinstance(names, Mapping) or set(own) <= set(one.class_names or ())):
            check_lost_names(own, y[task], one, f"{argument}[{task!r}]")


class _Patience:
    """Says when a pass takes long, and ends one over a Python generator that may have no end.

    Args:
        dataset: The dataset that is gone through.
        argument: Name that messages use for it.
    """

    def __init__(self, dataset: tf.data.Dataset, argument: str):
        self._argument = argument
        self._unknown = dataset.cardinality() == tf.data.UNKNOWN_CARDINALITY
        self._generated = self._unknown and _is_generated(dataset)
        self._start = time.monotonic()
        self._said = False

    def check(self, count: int) -> None:
        """Warn after `SECONDS_IN_SILENCE`, refuse a generator after `SECONDS_OF_A_GENERATOR`."""
        if not self._unknown:
            return
        seconds = time.monotonic() - self._start
        text = (
            f"{self._argument}: the dataset does not say how long it is, and {count} examples were "
            f"read in {seconds:.0f} s. If it has no end, add .take(n); then, or if it has one, say "
            "so: .apply(tf.data.experimental.assert_cardinality(number of its elements))."
        )
        if self._generated and seconds > SECONDS_OF_A_GENERATOR:
            raise InputError(text)
        if seconds > SECONDS_IN_SILENCE and not self._said:
            self._said = True
            warn_user(text)


def _is_generated(dataset: Any) -> bool:
    """Return whether a dataset comes from a Python generator: those alone can go on for ever."""
    kinds = []
    while dataset is not None:
        kinds.append(type(dataset).__name__.strip("_"))
        dataset = getattr(dataset, "_input_dataset", None)
    return kinds[-1] == "TensorDataset" and "FlatMapDataset" in kinds


class _Scan:
    """One pass over a dataset: number of examples, their shape and bytes, and all labels."""

    def __init__(self, dataset: tf.data.Dataset, batched: bool, labelled: bool, argument: str):
        self.count = 0
        self.shape: tuple[int, ...] | None = None
        self.labels: Any = None
        parts, sizes, values, itemsize = [], [], [], 1
        patience = _Patience(dataset, argument)
        for element in elements_of(dataset, argument):
            patience.check(self.count)
            x = (element[0] if labelled else element).numpy()
            y = tf.nest.map_structure(lambda part: part.numpy(), element[1]) if labelled else ()
            if not batched:
                x, y = x[None], tf.nest.map_structure(lambda part: np.asarray(part)[None], y)
            self._check_shape(x, y, argument)
            if x.dtype not in (np.uint8, np.bool_):
                values.append(Values.of(x.astype(np.float32, copy=False)))
            self.count += len(x)
            sizes.append(len(x))
            itemsize = x.dtype.itemsize
            parts.append(y)
        if not self.count:
            raise InputError(f"{argument}: the dataset is empty. Check the files or filters in it.")
        self.value_range = _checked_range(values, sizes, argument) if values else None
        self.bytes_each = max(1, math.prod(self.shape) * itemsize)
        self.batch_size = sizes[0] if _is_regular(sizes) else None
        if labelled:
            self.labels = _concatenate(parts, argument)

    def _check_shape(self, x: np.ndarray, y: Any, argument: str) -> None:
        if self.shape is None:
            self.shape = x.shape[1:]
        if x.shape[1:] != self.shape:
            raise InputError(
                f"{argument}: all examples must have one shape, got {self.shape} and "
                f"{x.shape[1:]}. Resize the images in the dataset, e.g. with .map and "
                "tf.image.resize."
            )
        for part in tf.nest.flatten(y):
            if np.ndim(part) == 0 or len(part) != len(x):
                raise InputError(
                    f"{argument}: a batch has {counted(len(x), 'example')} in x and labels of "
                    f"shape {np.shape(part)} in y. Both need the same first axis."
                )


def _checked_range(values, sizes: list[int], argument: str) -> tuple[float, float]:
    found = Values.joined(values, sizes)
    if found.not_finite:
        raise InputError(
            f"{argument}: x must be finite, got NaN or infinity in {found.not_finite} of "
            f"{counted(sum(sizes), 'example')}, the first at row {found.first}. Remove or fix "
            f"these examples."
        )
    return found.low, found.high


def _is_regular(sizes: list[int]) -> bool:
    """Return whether all batches have one size, the last one perhaps less."""
    return all(size == sizes[0] for size in sizes[:-1]) and sizes[-1] <= sizes[0]


def _concatenate(parts: list[Any], argument: str) -> Any:
    try:
        return tf.nest.map_structure(lambda *rows: np.concatenate(rows), *parts)
    except ValueError as error:
        raise InputError(
            f"{argument}: labels of different examples differ in shape: {error}. Encode them as "
            "integers, names or rows of one length."
        ) from error


def _structure(spec: Any, argument: str) -> tuple[bool, tf.TensorSpec]:
    """Return whether there are labels, and the type of `x`."""
    is_pair = isinstance(spec, tuple) and len(spec) == 2
    x = spec[0] if is_pair else spec
    labels = tf.nest.flatten(spec[1]) if is_pair else []
    if not isinstance(x, tf.TensorSpec) or not all(isinstance(y, tf.TensorSpec) for y in labels):
        weights = isinstance(spec, tuple) and len(spec) == 3
        raise InputError(
            f"{argument}: expected a dataset with elements x or (x, y), got {spec}."
            + (" Sample weights are not taken; use class_weight." if weights else "")
            + " Bring the elements into this form with .map."
        )
    if not (x.dtype.is_integer or x.dtype.is_floating or x.dtype.is_bool):
        raise InputError(
            f"{argument}: x must hold numbers, got {x.dtype.name}. Decode image files with "
            ".map(tl.data.decode_image), or use tl.data.image_folder."
        )
    return is_pair, x


def _is_batched(x: tf.TensorSpec, argument: str) -> bool:
    rank = x.shape.rank
    if rank not in (1, 2, 3, 4):
        raise InputError(
            f"{argument}: expected images of rank 3, batches of images of rank 4, feature vectors "
            f"of rank 1 or batches of them of rank 2, got x of shape {x.shape}. If the shape is "
            "unknown, set it with .map(lambda x, y: (tf.ensure_shape(x, [None, h, w, 3]), y))."
        )
    return rank in (2, 4)
