"""Every private name of Keras and TensorFlow that the package needs: here, and only here.

The functions say what is needed and why nothing public does it. Importing this file imports neither
Keras nor TensorFlow. All names are there since Keras 3.5 and TensorFlow 2.18.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

Optimizer = TypeVar("Optimizer", bound=type)


def flatten_layers(
    layer: Any, *, include_self: bool = True, recursive: bool = True
) -> Iterator[Any]:
    """Give a layer and all layers inside it.

    `Model.layers` knows those of models only, not what a layer of the user's own is made of.
    """
    yield from layer._flatten_layers(include_self=include_self, recursive=recursive)


def graph_nodes(graph: Any) -> Iterator[Any]:
    """Give the calls of a Functional graph in the order of computation, which only it knows."""
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        yield from graph._nodes_by_depth[depth]


def functional_graph(layer: Any) -> Any:
    """Return the Functional model behind a Functional or built Sequential model, else None."""
    import keras

    if isinstance(layer, keras.Sequential):
        return layer._functional if layer.built else None
    return layer if hasattr(layer, "_nodes_by_depth") else None


def mask_of(tensor: Any) -> Any:
    """Return the padding mask `(batch, positions)` of a tensor, True where it counts, or None."""
    return getattr(tensor, "_keras_mask", None)


def own_weights(layer: Any) -> Sequence[Any]:
    """Return a layer's own variables that optimizers may change, also while it is frozen."""
    return layer._trainable_variables


def own_statistics(layer: Any) -> Sequence[Any]:
    """Return a layer's own variables that no optimizer changes, less random states."""
    return layer._non_trainable_variables


def set_own_trainable(layer: Any, trainable: bool) -> None:
    """Set one layer's flag; the public setter sets those of all layers inside as well."""
    layer._trainable = trainable


def is_random_preprocessing(layer: Any) -> bool:
    """Tell whether a layer is, or was made of, one of Keras' random preprocessing layers."""
    modules = (kind.__module__ for kind in type(layer).__mro__)
    return bool(layer._seed_generators) and any(".layers.preprocessing." in one for one in modules)


def build_at_init(layer: Any) -> None:
    """Mark a layer as built by its constructor, so that Keras asks for no input shape."""
    layer._build_at_init()


def track_variable(layer: Any, weight: Any) -> None:
    """Make a variable one of a layer's weights whose dtype no attribute of a layer could have."""
    layer._track_variable(weight)


def put_in_place(weight: Any, variable: Any) -> None:
    """Make a weight stand for another variable of TensorFlow, also to the optimizer.

    Keras' optimizers find the slots of a variable by TensorFlow's identifier of it, one for each
    device. `assign` would keep the variable that the functions of a SavedModel do not read.
    """
    old = getattr(weight.value, "values", None) or (weight.value,)
    new = getattr(variable, "values", None) or (variable,)
    for before, after in zip(old, new, strict=False):
        after._unique_id = before._unique_id
    weight._value = variable


def in_safe_mode() -> bool:
    """Tell whether Keras is building layers from a file or config in safe mode."""
    from keras.src.saving import serialization_lib

    return bool(serialization_lib.in_safe_mode())


def writes_legacy_config() -> bool:
    """Tell whether Keras is writing a whole model as HDF5; its scope for that is not public."""
    try:
        from keras.src.backend.common import global_state
    except ImportError:  # Another version may have no such format.
        return False
    return bool(global_state.get_global_attribute("use_legacy_config", False))


def clear_losses(model: Any) -> None:
    """Forget the losses that an earlier call left on the layers; only `Layer.call` does so."""
    model._clear_losses()


def initial_epoch(model: Any) -> int | None:
    """Return the epoch that `BackupAndRestore` tells `fit` to go on with: it has no other way."""
    return model._initial_epoch


def forget_initial_epoch(model: Any) -> None:
    """Set what `initial_epoch` returns back to None, as `fit` does."""
    model._initial_epoch = None


def metric_direction(metric: Any) -> str | None:
    """Return "up" or "down": what is better, as Keras' own callbacks look it up."""
    return getattr(metric, "_direction", None)


def is_undecided(callback: Any) -> bool:
    """Tell whether a callback with `mode="auto"` has not found out yet what is better."""
    return (
        hasattr(callback, "_set_monitor_op")
        and getattr(callback, "monitor_op", True) is None
        and callback.mode == "auto"
    )


def decide(callback: Any, mode: str) -> None:
    """Tell a callback with `mode="auto"` what is better; it would ask a compiled model."""
    callback.mode = mode
    callback._set_monitor_op()
    callback.mode = "auto"


def uses_weight_decay(optimizer: Any, variable: Any) -> bool:
    """Tell whether an optimizer decays a variable; what is excluded has no public name."""
    return bool(optimizer._use_weight_decay(variable))


def variable_index(optimizer: Any, variable: Any) -> int:
    """Return the position of a variable among those that an optimizer was built for."""
    return optimizer._get_variable_index(variable)


def share_iterations(outer: Any, inner: Any) -> None:
    """Let an optimizer count its steps in the variable of the optimizer inside it."""
    outer._iterations = inner._iterations


def shows_moving_averages(wrapper: Optimizer) -> Optimizer:
    """Decorate a wrapper with an `inner_optimizer`: `SwapEMAWeights` finds its averages there."""

    def averages(self: Any) -> list[Any]:
        return self.inner_optimizer._model_variables_moving_average

    # By name, since type checkers know no attributes of a class that is yet to come.
    setattr(wrapper, "_model_variables_moving_average", property(averages))  # noqa: B010
    return wrapper


def hook_into(
    optimizer: Any,
    *,
    update_step: Callable[[Any, Any, Any], None],
    apply_weight_decay: Callable[[Iterable[Any]], None],
    learning_rate: Callable[[], Any],
    clip_gradients: Callable[[list[Any]], list[Any]],
) -> None:
    """Replace what one optimizer does with one variable, all else staying as it is.

    There is no public hook. `clip_gradients` has to sum over replicas, by `plain_sum_and_clip`.
    """
    optimizer.update_step = update_step
    optimizer._apply_weight_decay = apply_weight_decay
    optimizer._get_current_learning_rate = learning_rate
    if hasattr(optimizer, "_all_reduce_sum_gradients"):  # Of TensorFlow's trainer only.
        optimizer._clip_gradients = clip_gradients
        optimizer._all_reduce_sum_gradients = list


def plain_weight_decay(optimizer: Any, variables: Iterable[Any]) -> None:
    """Decay variables as an optimizer of this class does without `hook_into`."""
    type(optimizer)._apply_weight_decay(optimizer, variables)


def plain_learning_rate(optimizer: Any) -> Any:
    """Return the learning rate, schedules included, as without `hook_into`."""
    return type(optimizer)._get_current_learning_rate(optimizer)


def plain_sum_and_clip(optimizer: Any, gradients: Iterable[Any]) -> list[Any]:
    """Sum gradients over replicas and clip the sums, each as without `hook_into`."""
    kind = type(optimizer)
    summed = kind._all_reduce_sum_gradients(optimizer, [(g, None) for g in gradients])
    return kind._clip_gradients(optimizer, [gradient for gradient, _ in summed])


def knows_operation(name: str) -> bool:
    """Tell whether this TensorFlow has an operation, without running it."""
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(name) is not None


def runtime() -> Any:
    """Return TensorFlow's eager context, which alone speaks to the coordination service."""
    from tensorflow.python.eager import context

    return context.context()


def is_at_work(context: Any) -> bool:
    """Tell whether a context from `runtime` has been initialised, which settles the cluster."""
    return context._context_handle is not None


def coordinated_job(name: str, tasks: int) -> Any:
    """Return the description of a job that `configure_coordination_service` takes."""
    from tensorflow.python.distribute import collective_all_reduce_strategy

    protos = collective_all_reduce_strategy.coordination_config_pb2
    return protos.CoordinatedJob(name=name, num_tasks=tasks)


def counted_alone(function: Any) -> Any:
    """Let TensorFlow not add up, for a warning, tracings of all functions made from one code."""
    function._omit_frequent_tracing_warning = True
    return function


def with_constants(concrete: Any) -> Any:
    """Return a concrete function whose variables are constants; public for TF Lite only."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(concrete, lower_control_flow=False)


def optimize_graph(concrete: Any, config: Any) -> Any:
    """Return the graph of a concrete function as Grappler leaves it under a `ConfigProto`."""
    from tensorflow.python.grappler import tf_optimizer
    from tensorflow.python.training import saver

    graph = saver.export_meta_graph(graph_def=concrete.graph.as_graph_def(), graph=concrete.graph)
    names = [tensor.name for tensor in (*concrete.inputs, *concrete.outputs)]
    graph.collection_def["train_op"].node_list.value.extend(names)
    return tf_optimizer.OptimizeGraph(config, graph)


def dataset_inputs(dataset: Any) -> Sequence[Any]:
    """Return the datasets that a `tf.data.Dataset` was made of."""
    return dataset._inputs()


def input_dataset(dataset: Any) -> Any:
    """Return the one dataset that a `tf.data.Dataset` was made of, or None."""
    return getattr(dataset, "_input_dataset", None)
