"""Graphs with constants for variables, by TensorFlow's own converter."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def constant_function(concrete: Any) -> Any:
    """Return a concrete function with constants for variables; control flow stays as it is."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(concrete, lower_control_flow=False)


def constant_graph(concrete: Any) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """Return a function of one tensor that adds the graph, with constants, to the present one.

    The graph is that of `constant_function`, without the concrete function around it, which takes
    TensorFlow as long as all the rest: it imports the graph and copies it operation by operation.
    """
    from tensorflow.python.eager import context
    from tensorflow.python.framework import convert_to_constants

    data = convert_to_constants._FunctionConverterDataInEager(
        func=concrete, lower_control_flow=False, aggressive_inlining=False
    )
    graph_def, converted = convert_to_constants._replace_variables_by_constants(data)
    captures = concrete.graph.internal_captures
    if len(converted) != len(captures):
        return constant_function(concrete)
    captured = {tensor.name for tensor in captures}
    (read,) = [tensor.name for tensor in concrete.inputs if tensor.name not in captured]
    outputs = [tensor.name for tensor in concrete.outputs]

    def call(values: tf.Tensor) -> list[tf.Tensor]:
        for function in graph_def.library.function:
            # The graph has functions of the same names, with constants in them.
            if context.context().has_function(function.signature.name):
                context.context().remove_function(function.signature.name)
        return tf.graph_util.import_graph_def(
            graph_def, input_map={read: values}, return_elements=outputs, name="constant"
        )

    return call
