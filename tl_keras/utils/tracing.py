"""Functions of a batch, traced once for each type of examples."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


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
