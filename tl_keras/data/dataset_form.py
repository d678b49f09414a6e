"""What the elements of a `tf.data.Dataset` are, and the names of classes that it brings."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tl_keras.data.base import GivenNames, Names, read_dtype
from tl_keras.data.output_order import check_lost_names
from tl_keras.tasks.encoding import label_name
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.compat import dataset_inputs
from tl_keras.utils.errors import InputError

_KEEP_LABELS = {
    *("BatchDataset", "ParallelBatchDataset", "CacheDataset", "FilterDataset", "OptionsDataset"),
    *("PrefetchDataset", "RepeatDataset", "ShardDataset", "ShuffleDataset", "SkipDataset"),
    *("TakeDataset", "UnbatchDataset", "RestructuredDataset", "RebatchDataset"),
    "AssertCardinalityDataset",
}


def structure(spec: Any, argument: str) -> tuple[bool, Any]:
    """Return whether there are labels, and the type of `x`, name → that for several inputs."""
    is_pair = isinstance(spec, tuple) and len(spec) == 2
    x = spec[0] if is_pair else spec
    labels = tf.nest.flatten(spec[1]) if is_pair else []
    inputs: list[Any] = list(x.values()) if isinstance(x, dict) else [x]
    if not all(isinstance(one, tf.TensorSpec) for one in (*inputs, *labels)):
        weights = isinstance(spec, tuple) and len(spec) == 3
        raise InputError(
            f"{argument}: expected a dataset with elements x or (x, y), got {spec}."
            + (" Sample weights are not taken; use class_weight." if weights else "")
            + " Bring the elements into this form with .map."
        )
    for one in inputs:
        if not (one.dtype.is_integer or one.dtype.is_floating or one.dtype.is_bool):
            raise InputError(
                f"{argument}: x must hold numbers, got {one.dtype.name}. Decode image files with "
                ".map(tl.data.decode_image), or use tl.data.image_folder."
            )
    return is_pair, x


def is_batched(x: Any, wanted: Any, argument: str) -> bool:
    """Return whether elements are batches.

    Args:
        x: Types of the elements' `x`, name → that for several inputs.
        wanted: What a model takes of one example, in the same form; None where no model is known.
            Then images of three axes and vectors of one are meant.
        argument: Name that errors use.

    Raises:
        InputError: If the axes are neither those of an example nor those of a batch.
    """
    name, one = next(iter(x.items())) if isinstance(x, dict) else (None, x)
    own = wanted.get(name) if isinstance(wanted, dict) else wanted
    rank = one.shape.rank
    if isinstance(own, tf.TensorSpec) and own.shape.rank is not None:
        if rank not in (own.shape.rank, own.shape.rank + 1):
            raise InputError(
                f"{argument}: the model takes inputs of shape {tuple(own.shape)}, or batches of "
                f"them, got x of shape {one.shape}. If the shape is unknown, set it with "
                ".map(lambda x, y: (tf.ensure_shape(x, …), y))."
            )
        return rank == own.shape.rank + 1
    if isinstance(x, dict):
        raise InputError(
            f"{argument}: expected a dataset with elements x or (x, y), got several inputs as x, "
            f"{sorted(x)}. Pass them to a model of these inputs, or say whether they are batches: "
            "tl.data.as_examples(data, batched=True) or False."
        )
    if rank not in (1, 2, 3, 4):
        raise InputError(
            f"{argument}: expected images of rank 3, batches of images of rank 4, feature vectors "
            f"of rank 1 or batches of them of rank 2, got x of shape {one.shape}. For others pass "
            "tl.data.as_examples(data, batched=True) or False. If the "
            "shape is unknown, set it with "
            ".map(lambda x, y: (tf.ensure_shape(x, [None, h, w, 3]), y))."
        )
    return rank in (2, 4)


def dtypes_of(x: Any, wanted: Any, argument: str) -> Any:
    """Return the types that `x` has in batches, name → that for several inputs.

    Raises:
        InputError: If a model takes integers and there are floats.
    """
    if isinstance(x, dict):
        own = wanted if isinstance(wanted, dict) else {}
        return {name: dtypes_of(one, own.get(name), argument) for name, one in x.items()}
    found = read_dtype(x.dtype, wanted)
    if found.is_integer and x.dtype.is_floating:
        raise InputError(
            f"{argument}: the model takes integers ({found.name}), got a dataset of "
            f"{x.dtype.name}. Round and cast them with .map."
        )
    return found


def class_names_of(dataset: tf.data.Dataset) -> tuple[Names, list[GivenNames]]:
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
        steps += [(each, below, is_sure) for each in dataset_inputs(one)]
    return None, lost


def check_lost(
    names: GivenNames, y: Any, spec: TargetSpec | dict[str, TargetSpec], argument: str
) -> None:
    """Check names that a step has lost, of each task that they can belong to."""
    if isinstance(spec, TargetSpec):
        if isinstance(names, tuple):
            check_lost_names(names, y, spec, argument)
        return
    for task, one in spec.items():
        own = names if isinstance(names, tuple) else names.get(task)
        if own and (isinstance(names, Mapping) or set(own) <= set(one.class_names or ())):
            check_lost_names(own, y[task], one, f"{argument}[{task!r}]")
