"""Functions of a batch, traced once for each type of examples."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

_KEPT = "_traced_functions"


class PerBatch:
    """A function of one batch as a graph for batches of any length.

    It is traced when the first batch of a type comes, and the graph is called from then on. A
    `tf.function` would do the same, but counts tracings by the code of the function that it was
    made from: TensorFlow warns of retracing where several models are each traced once.

    Args:
        function: Function of a tensor `(batch, …)`, or of a structure of them.
        spec: Shapes of a batch, of any length, such as `modality.batch_spec`; the types are those
            of the batches that come.
    """

    def __init__(self, function: Callable[[Any], Any], spec: Any):
        self._function = function
        self._spec = spec
        self._traced: dict[tuple[tf.DType, ...], Callable[[Any], Any]] = {}

    def __call__(self, batch: Any) -> Any:
        """Compute the function of a batch of arrays or tensors."""
        batch = tf.nest.map_structure(tf.convert_to_tensor, batch)
        types = tuple(one.dtype for one in tf.nest.flatten(batch))
        if types not in self._traced:
            spec = tf.nest.map_structure(
                lambda own, one: tf.TensorSpec(own.shape, one.dtype), self._spec, batch
            )
            compiled = tf.function(self._function, autograph=False)
            self._traced[types] = compiled.get_concrete_function(spec)
        return self._traced[types](batch)


def traced_once(owner: Any, name: str, function: Callable[[Any], Any], spec: Any) -> PerBatch:
    """Return a function of batches that an object keeps, so that later calls need no tracing.

    Args:
        owner: The object, such as a model.
        name: What the function is known by.
        function: As for `PerBatch`; always the same for a name.
        spec: As for `PerBatch`.
    """
    kept = owner.__dict__.setdefault(_KEPT, {})
    if name not in kept:
        kept[name] = PerBatch(function, spec)
    return kept[name]


def forget_traced(owner: Any) -> None:
    """Let an object's functions be traced again, as after a change of what graphs hold."""
    owner.__dict__.pop(_KEPT, None)
