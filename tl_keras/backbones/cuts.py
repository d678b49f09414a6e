"""Finds the blocks of a network in its graph.

A *cut* is a place in the computation that every path from input to output crosses in a known, small
set of tensors (one; two for NASNet, whose cells read the two cells before them). What lies between
neighbouring cuts can be frozen, trained or computed on its own, whatever the architecture. Cuts
are closer together than people think of blocks, so neighbours are joined until each block has
weights of its own and the architecture's stage names (`block3a`, `conv4_block2`, …) hold together.
"""

import collections
import dataclasses
import re

import keras

from tl_keras.utils.compat import functional_graph, graph_nodes
from tl_keras.utils.errors import InputError

STAGE_NAME = re.compile(
    r"stage_?\d+_block_?\d+|stack_?\d+_block_?\d+|conv\d+_block\d+|conv_(?:dw|pw)_\d+"
    r"|expanded_conv(?:_\d+)?|mixed_?\d+[a-z]?|block_?\d+[a-z]?(?:_\d+)?"
)


@dataclasses.dataclass(frozen=True)
class Block:
    """Neighbouring layers of a backbone that are frozen or trained together.

    Attributes:
        name: The architecture's own name for it, or that of its first layer with weights.
        layers: Its layers in the order of computation.
    """

    name: str
    layers: tuple[keras.layers.Layer, ...]

    @property
    def weights(self) -> list[keras.Variable]:
        """All variables of the block."""
        return [weight for layer in self.layers for weight in layer.weights]

    def count_params(self) -> int:
        """Return the number of weights, trainable or not."""
        return sum(layer.count_params() for layer in self.layers if layer.built)


class Blocks(tuple):
    """The blocks of a backbone from input to output; prints as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return one line per block: position, name, layers, weights, trainable weights."""
        width = max([len(block.name) for block in self] + [5])
        lines = [f"{'from top':>8}  {'block':<{width}}  {'layers':>6}  {'weights':>11}  trainable"]
        for index, block in enumerate(self):
            trainable = sum(
                _size(weight) for layer in block.layers for weight in layer.trainable_weights
            )
            lines.append(
                f"{len(self) - index:>8}  {block.name:<{width}}  {len(block.layers):>6}  "
                f"{block.count_params():>11,}  {trainable:,}"
            )
        return "\n".join(lines)


def find_blocks(network: keras.layers.Layer) -> Blocks:
    """Return the blocks of a network, from input to output, every layer in exactly one.

    Args:
        network: A built Functional or Sequential model is cut; any other layer or model is one
            block. A nested model that is a block of its own is cut in its turn.

    Raises:
        InputError: If a Functional model has several outputs.
    """
    graph = functional_graph(network)
    if graph is None:
        return Blocks([Block(network.name, (network,))])
    if len(graph.outputs) != 1:
        raise InputError(
            f"backbone: expected a model with one output, {network.name!r} has "
            f"{len(graph.outputs)}. Wrap it: keras.Model(model.input, the_feature_tensor)."
        )
    blocks = _join(_segments(graph, width=1))
    if _share_of_largest(blocks) > 0.5:
        finer = _join(_segments(graph, width=2))
        blocks = min(blocks, finer, key=_share_of_largest)
    expanded = []
    for block in blocks:
        nested = [layer for layer in block.layers if functional_graph(layer) is not None]
        bare = [layer for layer in block.layers if layer not in nested and layer.weights]
        if len(nested) == 1 and not bare:
            expanded += _expand(block, nested[0])
        else:
            expanded.append(block)
    return Blocks(expanded)


def _expand(block: Block, nested: keras.layers.Layer) -> list[Block]:
    inner = list(find_blocks(nested))
    position = block.layers.index(nested)
    inner[0] = Block(inner[0].name, block.layers[:position] + inner[0].layers)
    inner[-1] = Block(inner[-1].name, inner[-1].layers + block.layers[position + 1 :])
    return inner


def _segments(graph: keras.Model, width: int) -> list[list[keras.layers.Layer]]:
    """Split the layers in topological order wherever at most `width` tensors are live."""
    nodes = list(graph_nodes(graph))
    readers = collections.Counter(id(t) for node in nodes for t in node.input_tensors)
    readers.update(id(t) for t in graph.outputs)
    # Inputs that nothing has read yet are live, so that no cut lies below where all have joined.
    live = {id(t): readers[id(t)] for t in graph.inputs if readers[id(t)]}
    seen: set[int] = set()
    segments, current = [], []
    for node in nodes:
        for tensor in node.input_tensors:
            live[id(tensor)] -= 1
            if not live[id(tensor)]:
                del live[id(tensor)]
        live.update((id(t), readers[id(t)]) for t in node.outputs if readers[id(t)])
        operation = node.operation
        if id(operation) not in seen and isinstance(operation, keras.layers.Layer):
            seen.add(id(operation))
            current.append(operation)
        if len(live) <= width:
            if current:
                segments.append(current)
            current = []
    if current:
        segments.append(current)
    return segments


def _join(segments: list[list[keras.layers.Layer]]) -> list[Block]:
    """Join neighbouring segments into blocks that have a kernel and keep named stages whole."""
    groups: list[tuple[str | None, list[keras.layers.Layer]]] = []
    pending: list[keras.layers.Layer] = []
    for segment in segments:
        stage = _stage_of(segment)
        has_kernel = any(_has_kernel(layer) for layer in segment)
        same_stage = bool(groups) and stage is not None and stage == groups[-1][0]
        if groups and (same_stage or not has_kernel):
            groups[-1][1].extend(segment)
        elif has_kernel:
            groups.append((stage, pending + segment))
            pending = []
        else:
            pending += segment
    if not groups:
        groups = [(None, pending)]
    names = [stage or _first_with_weights(layers) for stage, layers in groups]
    counts = collections.Counter(names)
    used: collections.Counter[str] = collections.Counter()
    blocks = []
    for name, (_, layers) in zip(names, groups, strict=True):
        used[name] += 1
        unique = name if counts[name] == 1 else f"{name}_part{used[name]}"
        blocks.append(Block(unique, tuple(layers)))
    return blocks


def _stage_of(segment: list[keras.layers.Layer]) -> str | None:
    for layer in reversed(segment):
        found = STAGE_NAME.search(layer.name)
        if found:
            return re.sub(r"conv_(?:dw|pw)", "conv", found.group())
    return None


def _has_kernel(layer: keras.layers.Layer) -> bool:
    normalisation = (
        keras.layers.BatchNormalization,
        keras.layers.LayerNormalization,
        keras.layers.GroupNormalization,
        keras.layers.Normalization,
    )
    return bool(layer.weights) and not isinstance(layer, normalisation)


def _first_with_weights(layers: list[keras.layers.Layer]) -> str:
    return next((layer.name for layer in layers if _has_kernel(layer)), layers[0].name)


def _share_of_largest(blocks: list[Block]) -> float:
    sizes = [block.count_params() for block in blocks]
    return max(sizes) / max(1, sum(sizes))


def _size(weight: keras.Variable) -> int:
    size = 1
    for dimension in weight.shape:
        size *= dimension
    return size
