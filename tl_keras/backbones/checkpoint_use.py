"""Whether the operations of a SavedModel that read and write checkpoints stay where they belong.

`tf.saved_model.save` adds functions that save and restore, which `tf.saved_model.load` never
calls. A SavedModel of TensorFlow 1 has these operations in its main graph and is restored by
them, with the path of its own checkpoint fed in. Anywhere else they would read and write files of
the author's choice.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from google.protobuf.message import DecodeError
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tl_keras.backbones.allowed_operations import CHECKPOINT

__all__ = ["Call", "checkpoint_misuse"]

_RESTORE = "RestoreV2"
# The collection of further savers, which nothing runs; others of bytes hold variables.
_SAVERS = "savers"


@dataclasses.dataclass
class Call:
    """What a node of the main graph, or a function, uses.

    Attributes:
        name: Its name.
        inputs: Names of what goes into the node.
        operations: Names of its operations.
        functions: Names of the functions that it calls.
        replaces: Whether TensorFlow may call it in place of another function.
    """

    name: str
    inputs: tuple[str, ...] = ()
    operations: set[str] = dataclasses.field(default_factory=set)
    functions: set[str] = dataclasses.field(default_factory=set)
    replaces: bool = False


def checkpoint_misuse(
    graph: meta_graph_pb2.MetaGraphDef,
    functions: Mapping[str, Call],
    nodes: Mapping[str, Call],
    executes_main_graph: bool,
) -> str | None:
    """Return why a graph is refused because of operations on checkpoints, or None.

    Args:
        graph: The MetaGraph.
        functions: Name → what the function uses.
        nodes: Name → what the node of the main graph uses.
        executes_main_graph: Whether loading runs the main graph, as with those of TensorFlow 1.
    """
    savers = {name for name, call in functions.items() if call.operations & CHECKPOINT}
    size = -1
    while len(savers) > size:
        size = len(savers)
        savers |= {name for name, call in functions.items() if call.functions & savers}
    misused = savers & set(_function_roots(graph))
    if misused or any(functions[name].replaces for name in savers):
        return "its functions read or write checkpoint files"
    in_main = {
        name
        for name, call in nodes.items()
        if call.operations & CHECKPOINT or call.functions & savers
    }
    if in_main & _ancestors(_main_roots(graph), nodes):
        return "its signatures or initialisers read or write checkpoint files"
    if executes_main_graph:
        filename = _node_of(graph.saver_def.filename_tensor_name)
        for name in in_main & _ancestors([graph.saver_def.restore_op_name], nodes):
            call = nodes[name]
            given = [_node_of(one) for one in call.inputs[:1]]
            if call.operations != {_RESTORE} or given != [filename]:
                return "it restores its variables from other files than its own"
    return None


def _function_roots(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    """Yield the functions that a loaded object can call, and gradients."""
    objects, library = graph.object_graph_def, graph.graph_def.library
    yield from objects.concrete_functions
    for node in objects.nodes:
        yield from node.function.concrete_functions
        yield node.bare_concrete_function.concrete_function_name
    for gradient in library.gradient:
        yield from (gradient.function_name, gradient.gradient_func)
    for gradient in library.registered_gradients:
        yield from (gradient.gradient_func, gradient.registered_op_type)


def _main_roots(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    """Yield what of the main graph can be run: signatures, initialisers, values of variables."""
    for signature in graph.signature_def.values():
        for tensor in (*signature.inputs.values(), *signature.outputs.values()):
            yield from _names_of(tensor)
    for key, collection in graph.collection_def.items():
        yield from collection.node_list.value
        for content in () if key == _SAVERS else collection.bytes_list.value:
            variable = variable_pb2.VariableDef()
            try:
                variable.ParseFromString(content)
            except DecodeError:
                continue
            yield variable.variable_name
            yield variable.initial_value_name
            yield variable.initializer_name
            yield variable.snapshot_name


def _names_of(tensor: meta_graph_pb2.TensorInfo) -> Iterator[str]:
    yield tensor.name
    sparse = tensor.coo_sparse
    yield from (
        sparse.values_tensor_name,
        sparse.indices_tensor_name,
        sparse.dense_shape_tensor_name,
    )
    for component in tensor.composite_tensor.components:
        yield from _names_of(component)


def _ancestors(roots: Iterable[str], nodes: Mapping[str, Call]) -> set[str]:
    """Return the nodes that are run to have others, these included."""
    open_, found = [_node_of(root) for root in roots], set()
    while open_:
        name = open_.pop()
        if name in nodes and name not in found:
            found.add(name)
            open_ += [_node_of(one) for one in nodes[name].inputs]
    return found


def _node_of(tensor: str) -> str:
    """Return the node that a tensor or a control input is of."""
    return tensor.lstrip("^").split(":")[0]
