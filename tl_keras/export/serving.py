"""What an exported model answers: the names of inputs and outputs, which never change."""

import os
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.by_task import by_task, named
from tl_keras.utils.compat import flatten_layers
from tl_keras.utils.errors import InputError

FEATURES = "features"
VALID = "valid"
ERROR = "error"

Answer = dict[str, tf.Tensor]
Signature = tuple[Callable[[Any], Answer], Any]


def check_model(model: Any) -> TransferModel:
    """Return the model if it can be exported.

    Raises:
        InputError: If it does not come from `build_transfer_model`.
    """
    if not isinstance(model, TransferModel):
        raise InputError(
            f"model: expected a model from build_transfer_model, got {type(model).__name__}. A "
            "plain Keras model has its own model.export; to add preprocessing and labels, wrap it "
            "with tl_keras.build_transfer_model(model, num_classes=…)."
        )
    return model


def signatures(model: TransferModel, feature_map: Callable[[Any], Any]) -> dict[str, Signature]:
    """Return signature name → (function, what it takes) for a SavedModel.

    Args:
        model: The model to serve.
        feature_map: From examples to what the backbone makes of them, as `model.feature_map`.

    Returns:
        `serving_default` and `features`, and, if the modality has a raw form, the
        signature that takes it: `serve_bytes` of images.
        All take batches of no example, too.
    """

    @_also_of_none
    def serving_default(x):
        forward = model.forward_from_feature_map(feature_map(x))
        return answer(model, model.activate(forward.logits))

    @_also_of_none
    def features(x):
        return {FEATURES: model.head.pool(feature_map(x))}

    takes = model.modality.batch_spec
    found = {"serving_default": (serving_default, takes), "features": (features, takes)}
    if model.modality.raw_name is not None:

        def serve_raw(raw):
            x, error = model.modality.from_raw(raw)
            valid = error == ""
            found = serving_default(x)
            zeros = {name: _zeros_unless(valid, value) for name, value in found.items()}
            return zeros | {VALID: valid, ERROR: error}

        found[model.modality.raw_signature] = (
            serve_raw,
            tf.TensorSpec([None], tf.string, name=model.modality.raw_name),
        )
    return found


def _also_of_none(function: Callable[[Any], Answer]) -> Callable[[Any], Answer]:
    """Run a function on one example of zeros where there is none: convolutions fail on none."""

    def of_any_number(x):
        count = tf.shape(tf.nest.flatten(x)[0])[0]
        found = function(tf.nest.map_structure(lambda one: _at_least_one(one, count), x))
        return {name: value[:count] for name, value in found.items()}

    return of_any_number


def _at_least_one(x: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    one = tf.concat([[1], tf.shape(x)[1:]], axis=0)
    return tf.ensure_shape(tf.cond(count > 0, lambda: x, lambda: tf.zeros(one, x.dtype)), x.shape)


def _zeros_unless(valid: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Replace the rows `(n, …)` that are not valid `(n,)` by zeros, False or empty strings."""
    valid = tf.reshape(valid, [-1] + [1] * (value.shape.rank - 1))
    return tf.where(valid, value, tf.zeros([], value.dtype))


def answer(model: TransferModel, predictions: Any) -> Answer:
    """Name the parts of a model's predictions.

    Args:
        model: The model.
        predictions: What it predicts, `(n, size)` or task name → that.

    Returns:
        One task: see `Task.answer`. Several: the same, each name after `{task}_`. No head:
        `features`.
    """
    if model.targets is None:
        return {FEATURES: predictions}
    predictions, activation = by_task(predictions), by_task(model.activation)
    return {
        named(task, name): value
        for task, spec in by_task(model.targets).items()
        for name, value in spec.task.answer(predictions[task], spec, activation[task]).items()
    }


def main_output(spec: TargetSpec | None) -> str:
    """Return the name of the output that holds the predictions themselves."""
    if spec is None:
        return FEATURES
    return spec.task.output


def label_files(model: TransferModel) -> dict[str, str]:
    """Return file name → text of the files that list the names of the outputs, one a line."""
    if model.targets is None:
        return {}
    return {
        f"labels_{task}.txt" if task else "labels.txt": _lines(spec)
        for task, spec in by_task(model.targets).items()
    }


def _lines(spec: TargetSpec) -> str:
    return "".join(" ".join(name.splitlines()) + "\n" for name in spec.output_names)


def export_network(
    model: TransferModel, path: str | os.PathLike, file_format: str, **options: Any
) -> None:
    """Write a file by Keras' own exporter for the format.

    Args:
        model: The model to export. One in mixed precision is exported in float32.
        path: File to write.
        file_format: What Keras calls the format.
        **options: Arguments of that exporter.

    Raises:
        InputError: If the installed Keras does not know the format.
    """
    try:
        float32_network(model).export(os.fspath(path), format=file_format, verbose=False, **options)
    except ValueError as error:
        if "Unrecognized format" not in str(error):
            raise
        raise InputError(
            f"{file_format}: Keras {keras.__version__} cannot write this format. Run "
            "`pip install --upgrade keras`."
        ) from error


def float32_network(model: TransferModel) -> keras.Model:
    """Return the model for runtimes that know arrays only: float32, no labels, named outputs.

    Args:
        model: The model to export. One in mixed precision is rebuilt in float32 first, with the
            same weights.

    Returns:
        A model from the inputs that its modality names to `scores`, `values` or `features`, or
        `{task}_scores` ….
    """
    if any(layer.compute_dtype != "float32" for layer in flatten_layers(model)):
        copy = type(model).from_config(_in_float32(model.get_config()))
        copy.set_weights(model.get_weights())
        model = copy
    inputs, predictions = model.input, model.output
    predictions = by_task(predictions)
    outputs = {
        named(task, main_output(spec)): predictions[task]
        for task, spec in by_task(model.targets).items()
    }
    return keras.Model(inputs, outputs, name=model.name)


def _in_float32(config: Any) -> Any:
    """Replace the mixed-precision policies in a layer's config by float32."""
    if isinstance(config, dict):
        return {key: _in_float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_in_float32(value) for value in config)
    return "float32" if config in ("mixed_float16", "mixed_bfloat16") else config
