"""A digest of what a TensorFlow function computes: its operations, constants and variables.

Names take no part. Keras numbers layers as they are made, so that the same network has other names
in the next process, and a layer's configuration need not say all that its code does.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

SKIPPED_ATTRIBUTES = ("config_proto", "executor_type", "container", "shared_name")


def trace(function: Callable, *specs: Any) -> Any:
    """Return the concrete function of arguments with these specs."""
    return tf.function(function, autograph=False).get_concrete_function(*specs)


def function_digest(concrete: Any, *, with_values: bool = True) -> str | None:
    """Return the digest of a concrete function.

    Args:
        concrete: From `trace`.
        with_values: Whether the values of variables and captured tensors count.

    Returns:
        SHA-256 in hexadecimal. None where the function holds a resource that is no variable, such
        as a lookup table, whose content cannot be seen.
    """
    graph = concrete.graph
    graph_def = graph.as_graph_def()
    functions = {one.signature.name: one for one in graph_def.library.function}
    places = {node.name: str(index) for index, node in enumerate(graph_def.node)}
    digest = hashlib.sha256(_digest_of_nodes(graph_def.node, places, functions, {}))
    for tensor in concrete.outputs:
        digest.update(repr((places[tensor.op.name], tensor.value_index)).encode())
    if with_values:
        variables = {id(variable.handle): variable for variable in graph.variables}
        for outside, inside in graph.captures:
            if outside.dtype in (tf.resource, tf.variant):
                if id(outside) not in variables:
                    return None
                outside = variables[id(outside)]
            _add_array(digest, places[inside.op.name], outside.numpy())
    return digest.hexdigest()


def _add_array(digest: Any, place: str, array: np.ndarray) -> None:
    array = np.asarray(array)
    digest.update(repr((place, str(array.dtype), array.shape)).encode())
    if array.dtype == object:
        digest.update(repr(array.tolist()).encode())
    else:
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def _digest_of_nodes(
    nodes: Iterable[Any], places: dict[str, str], functions: dict[str, Any], known: dict
) -> bytes:
    """Return the digest of a graph: operations, attributes and who reads whom."""
    digest = hashlib.sha256()
    for node in nodes:
        inputs = [_without_names(name, places) for name in node.input]
        # TensorFlow keeps control inputs in a set, whose order is that of addresses in memory.
        data = [name for name in inputs if not name.startswith("^")]
        control = sorted(name for name in inputs if name.startswith("^"))
        digest.update(repr((node.op, data + control)).encode())
        for name in sorted(node.attr):
            if not name.startswith("_") and name not in SKIPPED_ATTRIBUTES:
                digest.update(name.encode())
                digest.update(_digest_of_attribute(node.attr[name], functions, known))
        digest.update(_digest_of_function(node.op, functions, known))
    return digest.digest()


def _without_names(name: str, places: dict[str, str]) -> str:
    """Return `^node` or `node:output:index` with the node's place in the graph for its name."""
    node, *port = name.removeprefix("^").split(":")
    return ":".join(["^" * name.startswith("^") + places[node], *port])


def _digest_of_attribute(value: Any, functions: dict[str, Any], known: dict) -> bytes:
    called = [value.func] if value.HasField("func") else list(value.list.func)
    if not called:
        return value.SerializeToString(deterministic=True)
    return b"".join(_digest_of_function(one.name, functions, known) for one in called)


def _digest_of_function(name: str, functions: dict[str, Any], known: dict) -> bytes:
    """Return the digest of a function of the graph's library, or an operation's name as it is."""
    if name not in functions:
        return name.encode()
    if name not in known:
        known[name] = b""  # for a function that calls itself
        function = functions[name]
        arguments = function.signature.input_arg
        places = {one.name: f"argument {index}" for index, one in enumerate(arguments)}
        places |= {node.name: str(index) for index, node in enumerate(function.node_def)}
        body = _digest_of_nodes(function.node_def, places, functions, known)
        results = [function.ret[one.name] for one in function.signature.output_arg]
        results = [_without_names(result, places) for result in results]
        digest = hashlib.sha256(body)
        digest.update(repr(([one.type for one in arguments], results)).encode())
        known[name] = digest.digest()
    return known[name]
