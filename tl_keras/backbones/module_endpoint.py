"""The function inside a loaded SavedModel that maps one tensor to features."""

from typing import Any

import tensorflow as tf

from tl_keras.backbones.module_source import ModuleFiles
from tl_keras.utils.errors import InputError

__all__ = ["Endpoint", "load_module"]

_DEFAULT_SIGNATURES = ("serving_default", "default")


def load_module(files: ModuleFiles) -> Any:
    """Load a SavedModel, of TensorFlow 2 or 1, with the graph that's meant for serving.

    Some SavedModels of Keras 2 hold an optimizer, which only loads once tf_keras has been
    imported; that's done here where tf_keras is installed.

    Raises:
        InputError: If it's refused because it isn't trusted, or TensorFlow can't load it, with the
            package that's missing where the failure tells.
    """
    files.check()
    tags = [set(graph.meta_info_def.tags) for graph in files.graphs]
    chosen = None
    if len(tags) > 1:
        chosen = next((sorted(choice) for choice in ({"serve"}, set()) if choice in tags), None)
        if chosen is None:
            raise InputError(
                f"source: {files.source!r} holds several graphs, and none of them is for serving "
                f"(tags {', '.join(str(sorted(choice)) for choice in tags)})."
            )
    try:
        try:
            return tf.saved_model.load(files.path, tags=chosen)
        except AttributeError as error:
            if "add_slot" not in str(error):
                raise
            _import_tf_keras(files.source)
            return tf.saved_model.load(files.path, tags=chosen)
    except InputError:
        raise
    except Exception as error:
        hint = ""
        if "Op type not registered" in str(error):
            hint = (
                " It uses operations of another package; install and import that before "
                "(tensorflow_text for most text modules)."
            )
        raise InputError(
            f"source: TensorFlow can't load the SavedModel {files.source!r} "
            f"({type(error).__name__}: {error}).{hint}"
        ) from error


def _import_tf_keras(source: str) -> None:
    try:
        import tf_keras  # noqa: F401
    except ImportError:
        raise InputError(
            f"source: the SavedModel {source!r} was saved by Keras 2 together with an optimizer "
            "and loads only where tf_keras is installed: `pip install tf_keras`."
        ) from None


class Endpoint:
    """One callable of a loaded SavedModel, with its input, its outputs and its variables.

    Args:
        module: What `tf.saved_model.load` returned.
        source: What the user named it by, for messages.
        signature: The name of a signature or function of the module. None takes the module
            itself if it can be called, else its serving signature.
        output_key: Which output to take, if there are several.

    Attributes:
        input_spec: Shape, with the batch, and dtype of the input; differing sizes are None.
        variables: Pairs of a `tf.Variable` and whether the module means it to be trained.
        training_values: Those of True and False for which the function was saved.
    """

    def __init__(
        self, module: Any, source: str, signature: str | None, output_key: str | int | None
    ) -> None:
        self.source = source
        self.output_key = output_key
        self.name, self._function = _find_function(module, source, signature)
        concrete = getattr(self._function, "concrete_functions", None) or [self._function]
        inputs = [(_inputs_of(self._function, function), function) for function in concrete]
        usable = [(found, function) for found, function in inputs if len(found[0]) == 1]
        if not usable:
            names = " or ".join(str([spec.name for spec in found[0]]) for found, _ in inputs)
            raise InputError(
                f"signature: {self.name!r} of {source!r} takes {names or 'no tensor'}; a backbone "
                f"takes one tensor. {_list_functions(module)}"
            )
        specs = [found[0][0] for found, _ in usable]
        shape = specs[0].shape
        for spec in specs[1:]:
            shape = shape.most_specific_compatible_shape(spec.shape)
        self.input_spec = tf.TensorSpec(shape, specs[0].dtype, specs[0].name)
        self.training_values = frozenset().union(*(found[1] for found, _ in usable))
        self.select(usable[0][1].structured_outputs)
        self.variables = _variables_of(module, [function for _, function in usable])

    @property
    def output_name(self) -> str | int | None:
        """Name of the output that is taken, where the function names its outputs."""
        outputs = getattr(self._function, "structured_outputs", None)
        if self.output_key is not None or not isinstance(outputs, dict):
            return self.output_key
        return next(iter(outputs)) if len(outputs) == 1 else None

    def __call__(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Run the function; `training` is passed on as far as it was saved for it."""
        keywords: dict[str, Any] = {}
        if self.training_values:
            allowed = training in self.training_values
            keywords["training"] = training if allowed else next(iter(self.training_values))
        if isinstance(self._function, tf.types.experimental.ConcreteFunction):
            outputs = self._function(**{str(self.input_spec.name): inputs})
        else:
            outputs = self._function(inputs, **keywords)
        return self.select(outputs)

    def select(self, outputs: Any) -> Any:
        """Return the one output that's wanted."""
        if isinstance(outputs, dict):
            options: dict[Any, Any] = dict(outputs)
        elif isinstance(outputs, (list, tuple)):
            options = dict(enumerate(outputs))
        else:
            options = {"default": outputs}
        if self.output_key is not None:
            key = self.output_key
        elif len(options) == 1:
            key = next(iter(options))
        else:
            key = "default"
        if key in options and hasattr(options[key], "shape"):
            return options[key]
        got = "got several outputs" if self.output_key is None else f"got {self.output_key!r}"
        listing = ", ".join(
            f"{name!r} {tuple(getattr(value, 'shape', None) or ())}"
            for name, value in sorted(options.items(), key=str)
        )
        raise InputError(
            f"output_key: expected the name of an output of {self.source!r}, {got}. Pass "
            f"output_key= one of: {listing}."
        )


def _find_function(module: Any, source: str, signature: str | None) -> tuple[str, Any]:
    signatures = getattr(module, "signatures", {})
    if signature is not None:
        if signature in signatures:
            return signature, signatures[signature]
        if hasattr(getattr(module, signature, None), "concrete_functions"):
            return signature, getattr(module, signature)
        raise InputError(
            f"signature: {source!r} has no signature or function {signature!r}. "
            f"{_list_functions(module)}"
        )
    if callable(module) and getattr(module.__call__, "concrete_functions", None):
        return "__call__", module.__call__
    known = [name for name in _DEFAULT_SIGNATURES if name in signatures]
    if not known and len(signatures) == 1:
        known = list(signatures)
    if not known:
        raise InputError(
            f"signature: {source!r} can't be called and has no signature "
            f"{' or '.join(map(repr, _DEFAULT_SIGNATURES))}. {_list_functions(module)}"
        )
    return known[0], signatures[known[0]]


def _list_functions(module: Any) -> str:
    names = list(getattr(module, "signatures", {}))
    names += [
        name
        for name, value in sorted(vars(module).items())
        if not name.startswith("_") and hasattr(value, "concrete_functions")
    ]
    return f"Pass signature= one of: {', '.join(map(repr, names)) or '(none there)'}."


def _inputs_of(function: Any, concrete: Any) -> tuple[list[tf.TensorSpec], set[bool]]:
    """Return the tensors that a trace takes, and the values of `training` it stands for."""
    positional, keywords = concrete.structured_input_signature
    parameters = getattr(getattr(function, "function_type", None), "parameters", {})
    arguments: dict[Any, Any]
    arguments = dict(zip(parameters, positional, strict=False)) if parameters else {}
    if len(arguments) < len(positional):
        arguments = dict(enumerate(positional))
    arguments.update(keywords)
    training = arguments.pop("training", None)
    tensors = [spec for spec in tf.nest.flatten(arguments) if isinstance(spec, tf.TensorSpec)]
    if isinstance(training, tf.TensorSpec):
        return tensors, {True, False}
    return tensors, {training} if isinstance(training, bool) else set()


def _variables_of(module: Any, functions: list[Any]) -> list[tuple[Any, bool]]:
    """Return the variables that the functions read, in the order of the saved object graph."""
    held = [v for v in tf.train.TrackableView(module).descendants() if isinstance(v, tf.Variable)]
    captured = {id(tensor) for function in functions for tensor in function.captured_inputs}
    read = [v for v in held if captured & _identities(v)] or held
    meant = getattr(module, "trainable_variables", None)
    trained = {id(v) for v in (held if meant is None else meant)}
    return [(v, bool(v.trainable) and id(v) in trained) for v in read]


def _identities(variable: tf.Variable) -> set[int]:
    """Return what functions may capture of a variable; a mirrored one has a handle per device."""
    parts = getattr(variable, "values", None) or (variable,)
    return {id(variable), *(id(part.handle) for part in parts)}
