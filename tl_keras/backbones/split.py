"""Splits a network in two models at the boundary between two of its blocks.

The models share the layers of the network: what is trained in one of them is trained in all.
"""

import collections
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

from tl_keras.backbones.cuts import Block
from tl_keras.utils.compat import functional_graph, graph_nodes, mask_of

MOST_TENSORS = 2
LOWER, UPPER, ACROSS = "lower", "upper", "across"


class Split(NamedTuple):
    """A network in two parts.

    Attributes:
        boundary: Number of blocks in the lower part.
        lower: Model from the network's input to the tensor at the cut, or to a list of two.
        upper: Model from there to the network's output.
    """

    boundary: int
    lower: keras.Model
    upper: keras.Model


def split_network(
    network: keras.layers.Layer, blocks: Sequence[Block], boundary: int
) -> Split | None:
    """Split a network below a block, so that `upper(lower(x))` is `network(x)`.

    Nothing is copied and no flag is changed. Between two blocks lies one tensor or, in NASNet
    and around a nested model, two; where there are several places between two blocks, the one
    with the smallest tensors is taken.

    Args:
        network: A built Functional or Sequential model; others have no graph to split.
        blocks: `find_blocks(network)`.
        boundary: How many blocks the lower part is to have, 1 … `len(blocks) - 1`.

    Returns:
        The split at this boundary or, where the graph cannot be split there (a layer with a
        `call` of its own around it, or a mask that goes along with the tensor), at the nearest
        one below. None if there is none.

    Example:
        >>> from tl_keras.backbones.cuts import find_blocks
        >>> network = keras.Sequential([keras.Input((4,)), *map(keras.layers.Dense, (3, 2))])
        >>> split = split_network(network, find_blocks(network), 1)
        >>> split.boundary, split.lower.output_shape, split.upper.output_shape
        (1, (None, 3), (None, 2))
    """
    for number in range(min(boundary, len(blocks) - 1), 0, -1):
        # From the top down: what stands in several blocks, as a shared input, is in the lowest.
        sides = {
            id(layer): LOWER if index < number else UPPER
            for index, block in reversed(list(enumerate(blocks)))
            for layer in block.layers
        }
        parts = _split(network, sides)
        if parts is not None:
            return Split(number, *parts)
    return None


def _split(network: Any, sides: dict[int, str]) -> tuple[keras.Model, keras.Model] | None:
    graph = functional_graph(network)
    if graph is None or not _runs_its_graph(network):
        return None
    cut = _find_cut(graph, lambda operation: _side(operation, sides))
    if cut is None:
        return None
    if cut.across is not None:
        return _split_across(graph, cut, sides)
    if not _can_be_cut(cut.tensors):
        return None
    between = _one_or_list(cut.tensors)
    return keras.Model(_inputs(graph), between), keras.Model(between, graph.outputs[0])


def _inputs(graph: keras.Model) -> Any:
    """Return the one input of a graph, or all of them in their structure."""
    return graph.inputs[0] if len(graph.inputs) == 1 else graph.input


def _split_across(graph, cut: "_Cut", sides) -> tuple[keras.Model, keras.Model] | None:
    """Split inside a nested model; tensors that go around it are part of the cut."""
    node = cut.across
    inner = _split(node.operation, sides)
    if inner is None or len(node.input_tensors) != 1 or len(node.outputs) != 1:
        return None
    inner_lower, inner_upper = inner
    around = list(cut.tensors)
    below = keras.tree.flatten(inner_lower(node.input_tensors[0]))
    if not _can_be_cut(below + around):
        return None
    lower = keras.Model(_inputs(graph), _one_or_list(below + around))
    inputs = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in lower.outputs]
    output = inner_upper(_one_or_list(inputs[: len(below)]))
    if graph.outputs[0] is not node.outputs[0]:
        rest = keras.Model(_one_or_list([node.outputs[0], *around]), graph.outputs[0])
        output = rest(_one_or_list([output, *inputs[len(below) :]]))
    return lower, keras.Model(_one_or_list(inputs), output)


@dataclasses.dataclass(frozen=True)
class _Cut:
    """Tensors that are needed above; `across` is the call of a nested model that is split too."""

    tensors: tuple[keras.KerasTensor, ...]
    across: Any = None


def _find_cut(graph: keras.Model, side: Callable[[Any], str | None]) -> _Cut | None:
    readers = collections.Counter(
        id(tensor) for node in graph_nodes(graph) for tensor in node.input_tensors
    )
    readers.update(id(tensor) for tensor in graph.outputs)
    live = {id(tensor): tensor for tensor in graph.inputs if readers[id(tensor)]}
    places: list[tuple[keras.KerasTensor, ...]] = []
    nodes = list(graph_nodes(graph))
    seen: set[int] = set()
    for index, node in enumerate(nodes):
        where = side(node.operation)
        if where in (UPPER, ACROSS):
            late = (later.operation for later in nodes[index:])
            if any(side(layer) == LOWER and id(layer) not in seen for layer in late):
                return None
            if where == UPPER:
                return _Cut(min(places, key=_size)) if places else None
            _read(node, live, readers)
            return _Cut(tuple(live.values()), node)
        seen.add(id(node.operation))
        _read(node, live, readers)
        live.update((id(tensor), tensor) for tensor in node.outputs if readers[id(tensor)])
        if where == LOWER:
            places = []
        places.append(tuple(live.values()))
    return None


def _read(node, live: dict, readers: collections.Counter) -> None:
    """Take the tensors out of `live` that nobody reads after this node."""
    for tensor in node.input_tensors:
        readers[id(tensor)] -= 1
        if not readers[id(tensor)]:
            del live[id(tensor)]


def _side(operation: Any, sides: dict[int, str]) -> str | None:
    """Return on which side an operation is; None for one without weights that is in no block."""
    if id(operation) in sides:
        return sides[id(operation)]
    graph = functional_graph(operation) if isinstance(operation, keras.layers.Layer) else None
    if graph is None:
        return None
    inner = (layer for layer in graph.layers if not isinstance(layer, keras.layers.InputLayer))
    found = {_side(layer, sides) for layer in inner} - {None}
    return found.pop() if len(found) == 1 else (ACROSS if found else None)


def _runs_its_graph(network: keras.Model) -> bool:
    """Return whether calling the model is running its graph, without code of the model's own."""
    if isinstance(network, keras.Sequential):
        return type(network).call is keras.Sequential.call
    plain = next((c for c in type(network).__mro__ if c.__name__ == "Functional"), None)
    return plain is not None and type(network).call is plain.call


def _can_be_cut(tensors: Sequence[keras.KerasTensor]) -> bool:
    """Return whether the tensors are few and carry no Keras mask, which a file would not keep."""
    masked = any(mask_of(tensor) is not None for tensor in tensors)
    return len(tensors) <= MOST_TENSORS and not masked


def _size(tensors: Sequence[keras.KerasTensor]) -> tuple[int, int]:
    values = sum(math.prod(side or 1 for side in tensor.shape) for tensor in tensors)
    return len(tensors), values


def _one_or_list(tensors: Sequence[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else list(tensors)
