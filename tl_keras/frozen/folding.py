"""Frozen layers as a graph of constants, which runs faster than the layers themselves.

With its variables as constants, TensorFlow merges normalisation into the convolutions before it
and computes once what does not depend on the images.
"""

import contextlib
import math
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tl_keras.frozen.feature_cache import PRECISIONS
from tl_keras.frozen.function_digest import trace
from tl_keras.utils.constants import constant_function, constant_graph
from tl_keras.utils.errors import InputError, did_you_mean
from tl_keras.utils.memory import available_bytes

LARGEST_GRAPH = 2_000_000_000
"""Bytes of constants in one graph; protocol buffers end at 2 GiB."""
COPIES = 32
"""Memory that folding takes at its peak, in sizes of the weights: TensorFlow copies the graph from
one form into the next. Writing it takes as much again."""


def fold(
    function: Callable,
    spec: tf.TypeSpec,
    *,
    traced: Any = None,
    precision: str = "float32",
    layers: Iterable[keras.layers.Layer] = (),
    say: Callable[[str], None] = print,
) -> Callable[[Any], Any]:
    """Return a function of one tensor with its variables at their present values.

    Where the graph cannot be folded (it is too large, or holds something that is no constant),
    the function itself comes back, compiled, and a line says so.

    Args:
        function: From a tensor to a tensor or a nest of them.
        spec: Of the argument, such as `tf.TensorSpec([None, 224, 224, 3], tf.uint8)`.
        traced: The concrete function of the two, where there is one already.
        precision: `"float32"`: as the layers compute. `"bfloat16"`: convolutions and matrix
            products in bfloat16, by oneDNN on a CPU and by the layers' own policy on a GPU;
            about three times as fast with AMX, with errors near 1 %.
        layers: What the function is made of; these compute in bfloat16 on a GPU.
        say: Prints a line.

    Returns:
        Function with results of the same structure, shapes and dtypes.

    Raises:
        InputError: If the precision is unknown, or bfloat16 is slow here.
    """
    on_gpu = check_precision(precision)
    plain = trace(function, spec) if traced is None else traced
    try:
        if precision == "float32":
            folded = fold_concrete(plain, spec)
        elif not on_gpu:
            folded = fold_concrete(plain, spec, rewrite=_with_onednn_bfloat16)
        else:
            with computing_in("mixed_bfloat16", layers):
                lower = trace(function, spec)
            folded = fold_concrete(lower, spec, like=plain)
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        say(f"frozen layers run as they are: their graph cannot be folded ({reason[:120]})")
        folded = plain
    return lambda images: folded(tf.convert_to_tensor(images, spec.dtype))


def check_precision(precision: str, cpu_info: str = "/proc/cpuinfo") -> bool:
    """Check that frozen layers can run in a precision here, and return whether a GPU runs them.

    Args:
        precision: `"float32"` or `"bfloat16"`.
        cpu_info: File in which Linux lists what the processor can do.

    Raises:
        InputError: If the precision is unknown, or bfloat16 would be emulated and slow.
    """
    if precision not in PRECISIONS:
        raise InputError(
            f"precision: expected one of {PRECISIONS}, got {precision!r}."
            f"{did_you_mean(str(precision), PRECISIONS)}"
        )
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    if precision == "bfloat16" and not on_gpu and not has_amx(cpu_info):
        raise InputError(
            "precision: 'bfloat16' needs a GPU or a processor with AMX, and neither is here; "
            "elsewhere it is slower than float32. Use precision='float32'."
        )
    return on_gpu


def has_amx(cpu_info: str = "/proc/cpuinfo") -> bool:
    """Return whether the processor multiplies matrices of bfloat16 (Intel AMX)."""
    path = pathlib.Path(cpu_info)
    if not path.is_file():
        return False
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.startswith("flags") and "amx_bf16" in line.split() for line in lines)


@contextlib.contextmanager
def computing_in(policy: str, layers: Iterable[keras.layers.Layer]) -> Iterator[None]:
    """Give layers and the layers inside them another dtype policy within the block."""
    kept = {
        id(layer): (layer, layer.dtype_policy)
        for outer in layers
        for layer in outer._flatten_layers()
    }
    try:
        for layer, own in kept.values():
            if own.compute_dtype == "float32":
                layer.dtype_policy = policy
        yield
    finally:
        for layer, own in kept.values():
            layer.dtype_policy = own


def fold_concrete(
    concrete: Any, spec: tf.TypeSpec, *, like: Any = None, rewrite: Callable | None = None
) -> Any:
    """Return a concrete function with constants for variables.

    Args:
        concrete: Concrete function of one tensor.
        spec: Of the tensor.
        like: Concrete function whose results' dtypes are wanted; by default `concrete`.
        rewrite: Changes the graph before it is compiled.

    Raises:
        Exception: Of any kind, if the graph is too large, holds something that is no constant, or
            does not run on this device.
    """
    size = sum(math.prod(v.shape) * v.dtype.size for v in concrete.graph.variables)
    if size > LARGEST_GRAPH:
        raise ValueError(f"its weights take {size / 1e9:.1f} GB")
    if COPIES * size > available_bytes() / 2:
        raise ValueError(f"it would take {COPIES * size / 1e9:.0f} GB of memory, and less is free")
    call = constant_graph(concrete) if rewrite is None else rewrite(constant_function(concrete))
    like = like or concrete
    dtypes = [tensor.dtype for tensor in like.outputs]

    @tf.function(input_signature=[spec], autograph=False)
    def run(images):
        values = tf.nest.flatten(call(images))
        values = [tf.cast(value, dtype) for value, dtype in zip(values, dtypes, strict=True)]
        return tf.nest.pack_sequence_as(like.structured_outputs, values)

    compiled = run.get_concrete_function()
    # What has no kernel on this device fails here, while there is still a way back.
    compiled(tf.zeros([1 if side is None else side for side in spec.shape], spec.dtype))
    return compiled


def _with_onednn_bfloat16(frozen: Any) -> Any:
    """Return the graph after oneDNN's rewrite of convolutions and products to bfloat16."""
    from tensorflow.python.grappler import tf_optimizer
    from tensorflow.python.training import saver

    graph = saver.export_meta_graph(graph_def=frozen.graph.as_graph_def(), graph=frozen.graph)
    names = [tensor.name for tensor in (*frozen.inputs, *frozen.outputs)]
    graph.collection_def["train_op"].node_list.value.extend(names)
    config = tf.compat.v1.ConfigProto()
    rewrites = config.graph_options.rewrite_options
    rewrites.auto_mixed_precision_onednn_bfloat16 = rewrites.ON
    rewrites.min_graph_nodes = -1
    optimized = tf_optimizer.OptimizeGraph(config, graph)
    wrapped = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(optimized, name=""), []
    )
    inputs, outputs = (
        [wrapped.graph.get_tensor_by_name(tensor.name) for tensor in tensors]
        for tensors in (frozen.inputs, frozen.outputs)
    )
    return wrapped.prune(inputs, outputs)
