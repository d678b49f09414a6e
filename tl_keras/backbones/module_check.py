"""Whether a SavedModel keeps to its own graph, read off its protobuf before TensorFlow loads it.

The check looks at what `tf.saved_model.load` of TensorFlow 2 would use: every node of the main
graph and of every function, whatever calls them, of every MetaGraph. Asset files are not looked
into: no allowed operation reads files.
"""

from collections.abc import Iterable, Iterator

import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tl_keras.backbones.allowed_operations import ALLOWED, CHECKPOINT
from tl_keras.backbones.checkpoint_use import Call, checkpoint_misuse
from tl_keras.utils.compat import knows_operation
from tl_keras.utils.errors import printable

__all__ = ["reason_to_refuse"]

_SHOWN = 4
_LARGEST_CONSTANT = 2**31  # Bytes; no protobuf is larger.
# Classes of TensorFlow itself that an object of a SavedModel may be restored as.
_REGISTERED = "tf."
_ASSETS = "saved_model_assets"


def reason_to_refuse(graphs: Iterable[meta_graph_pb2.MetaGraphDef]) -> str | None:
    """Return why a SavedModel must not run unless it is trusted, or None if it may.

    Args:
        graphs: Its MetaGraphs.

    Returns:
        A part of a sentence that begins with "it", of one line.
    """
    graphs = list(graphs)
    for graph in graphs:
        reason = _reason(graph, executes_main_graph=len(graphs) > 1)
        if reason is not None:
            return reason
    return None


def _reason(graph: meta_graph_pb2.MetaGraphDef, executes_main_graph: bool) -> str | None:
    library = graph.graph_def.library
    names = {function.signature.name for function in library.function}
    strangers = _operations(graph) - ALLOWED - CHECKPOINT - names
    if strangers:
        return (
            "it has operations that may reach files, the network or Python, or that are not known "
            f"to be harmless ({_some(strangers)})"
        )
    doubles = {name for name in names if knows_operation(name)}
    if doubles or len(names) < len(library.function):
        return f"names of its functions are not unique ({_some(doubles or names)})"
    classes = {
        name
        for node in graph.object_graph_def.nodes
        for name in (node.registered_name, node.registered_saver)
        if name and not name.startswith(_REGISTERED)
    }
    if classes:
        return f"it restores objects of Python classes ({_some(classes)})"
    outside = [name for name in _asset_names(graph) if not _stays_inside(name)]
    if outside:
        return f"its assets lie outside of it ({_some(outside)})"
    calls = {}
    for function in library.function:
        found = Call(function.signature.name)
        reason = _read(found, function.node_def, names)
        for attributes in _attributes_of(function):
            reason = reason or _read_attributes(found, attributes, names)
        if reason is not None:
            return reason
        found.replaces = "api_implements" in function.attr
        calls[found.name] = found
    nodes = {}
    for node in graph.graph_def.node:
        found = nodes[node.name] = Call(node.name, inputs=tuple(node.input))
        reason = _read(found, (node,), names)
        if reason is not None:
            return reason
    executes_main_graph |= not graph.HasField("object_graph_def")
    return checkpoint_misuse(graph, calls, nodes, executes_main_graph)


def _asset_names(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    """Yield the names of asset files, which are copied when the loaded model is exported."""
    for asset in graph.asset_file_def:
        yield asset.filename
    if _ASSETS in graph.collection_def:
        for packed in graph.collection_def[_ASSETS].any_list.value:
            asset = meta_graph_pb2.AssetFileDef()
            yield asset.filename if packed.Unpack(asset) else ".."


def _stays_inside(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." not in parts and parts[0] != "" and ":" not in parts[0]


def _operations(graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
    """Return the operations of the main graph and of all functions."""
    found = {node.op for node in graph.graph_def.node}
    for function in graph.graph_def.library.function:
        found.update(node.op for node in function.node_def)
    return found


def _attributes_of(function) -> Iterator:
    """Yield the attributes of a function that do not belong to a node of it."""
    yield function.attr
    for argument in function.arg_attr.values():
        yield argument.attr
    yield {attribute.name: attribute.default_value for attribute in function.signature.attr}


def _read(found: Call, nodes: Iterable, names: set[str]) -> str | None:
    """Note what nodes use, or return why they are refused."""
    for node in nodes:
        found.operations.add(node.op)
        if node.op in names:
            found.functions.add(node.op)
        reason = _read_attributes(found, node.attr, names)
        if reason is not None:
            return reason
    return None


def _read_attributes(found: Call, attributes, names: set[str]) -> str | None:
    """Note the functions that attributes name, however deep, or return why they are refused.

    Where TensorFlow inlines a call, it makes a node of what the attribute names, so that must be a
    function. One that a string names counts as called too.
    """
    for value in attributes.values():
        kind = value.WhichOneof("value")
        if kind == "s":
            text = value.s.decode("utf-8", "replace")
            if text in names:
                found.functions.add(text)
            continue
        if kind not in ("func", "list", "tensor"):
            continue
        functions = value.list.func if kind == "list" else (value.func,) * (kind == "func")
        for function in functions:
            if function.name not in names:
                return f"it calls {printable(function.name)[:60]!r}, which is not a function in it"
            found.functions.add(function.name)
            reason = _read_attributes(found, function.attr, names)
            if reason is not None:
                return reason
        tensors = value.list.tensor if kind == "list" else (value.tensor,) * (kind == "tensor")
        for tensor in tensors:
            if _is_harmful(tensor):
                return "it has constants of more than 2 GiB or of handles to resources"
    return None


def _is_harmful(tensor: tensor_pb2.TensorProto) -> bool:
    """Tell whether a constant refers to objects of the process or fills memory."""
    if tensor.resource_handle_val or tensor.variant_val:
        return True
    try:
        dtype = tf.as_dtype(tensor.dtype)
    except TypeError:
        return True
    if dtype in (tf.resource, tf.variant):
        return True
    size = max(dtype.size, 1)
    for dimension in tensor.tensor_shape.dim:
        size *= max(dimension.size, 1)
    return size > _LARGEST_CONSTANT


def _some(names: Iterable[str]) -> str:
    """Return a few of some names, and how many more there are."""
    names = sorted(printable(name)[:60] for name in names)
    more = len(names) - _SHOWN
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_SHOWN])} and {more} more"
