"""What the elements of a `tf.data.Dataset` are, and the names of classes that it brings."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tl_keras.data.base import Specs
from tl_keras.data.labels import Names
from tl_keras.data.output_order import check_lost_names
from tl_keras.tasks.targets import TargetSpec, label_name
from tl_keras.utils.errors import InputError

_KEEP_LABELS = {
    *("BatchDataset", "ParallelBatchDataset", "CacheDataset", "FilterDataset", "OptionsDataset"),
    *("PrefetchDataset", "RepeatDataset", "ShardDataset", "ShuffleDataset", "SkipDataset"),
    *("TakeDataset", "UnbatchDataset", "RestructuredDataset", "RebatchDataset"),
    "AssertCardinalityDataset",
}


def structure(spec: Any, argument: str) -> tuple[bool, tf.TensorSpec]:
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


def is_batched(x: tf.TensorSpec, argument: str) -> bool:
    """Return whether elements are batches, by the rank of `x`."""
    rank = x.shape.rank
    if rank not in (1, 2, 3, 4):
        raise InputError(
            f"{argument}: expected images of rank 3, batches of images of rank 4, feature vectors "
            f"of rank 1 or batches of them of rank 2, got x of shape {x.shape}. If the shape is "
            "unknown, set it with .map(lambda x, y: (tf.ensure_shape(x, [None, h, w, 3]), y))."
        )
    return rank in (2, 4)


def class_names_of(dataset: tf.data.Dataset) -> tuple[Names, list[Names]]:
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


def check_lost(names: Names, y: Any, spec: Specs, argument: str) -> None:
    """Check names that a step has lost, of each task that they can belong to."""
    if isinstance(spec, TargetSpec):
        if isinstance(names, tuple):
            check_lost_names(names, y, spec, argument)
        return
    for task, one in spec.items():
        own = names if isinstance(names, tuple) else names.get(task)
        if own and (isinstance(names, Mapping) or set(own) <= set(one.labels or ())):
            check_lost_names(own, y[task], one, f"{argument}[{task!r}]")
