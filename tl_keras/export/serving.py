"""What an exported model answers: the names of inputs and outputs, which never change."""

import os
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tl_keras.inputs.decoding.images import decode_images_in
from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

IMAGES = "images"
IMAGE_BYTES = "image_bytes"
FEATURES = "features"
VALID = "valid"
ERROR = "error"

Answer = dict[str, tf.Tensor]
Signature = tuple[Callable[[tf.Tensor], Answer], tf.TensorSpec]


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


def signatures(
    model: TransferModel, feature_map: Callable[[tf.Tensor], Any]
) -> dict[str, Signature]:
    """Return signature name → (function, what it takes) for a SavedModel.

    Args:
        model: The model to serve.
        feature_map: From images to what the backbone makes of them, as `model.feature_map`.

    Returns:
        `serving_default` and `features`, and `serve_bytes` if the input is images of a fixed size.
        All take batches of no image, too.
    """

    @_also_of_none
    def serving_default(images):
        forward = model.forward_from_feature_map(feature_map(images))
        return answer(model, model.activate(forward.logits))

    @_also_of_none
    def features(images):
        return {FEATURES: model.head.pool(feature_map(images))}

    images = tf.TensorSpec([None, *model.image_shape], tf.float32, name=IMAGES)
    found = {"serving_default": (serving_default, images), "features": (features, images)}
    if takes_photographs(model):

        def serve_bytes(image_bytes):
            images, error = pixels(image_bytes, model.image_shape, model.pixel_range)
            valid = error == ""
            found = serving_default(images)
            zeros = {name: _zeros_unless(valid, value) for name, value in found.items()}
            return zeros | {VALID: valid, ERROR: error}

        found["serve_bytes"] = (serve_bytes, tf.TensorSpec([None], tf.string, name=IMAGE_BYTES))
    return found


def _also_of_none(function: Callable[[tf.Tensor], Answer]) -> Callable[[tf.Tensor], Answer]:
    """Run a function on one image of zeros where there is none: convolutions fail on none."""

    def of_any_number(images):
        count, shape = tf.shape(images)[0], images.shape
        one = tf.concat([[1], tf.shape(images)[1:]], axis=0)
        images = tf.cond(count > 0, lambda: images, lambda: tf.zeros(one, images.dtype))
        found = function(tf.ensure_shape(images, shape))
        return {name: value[:count] for name, value in found.items()}

    return of_any_number


def _zeros_unless(valid: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Replace the rows `(n, …)` that are not valid `(n,)` by zeros, False or empty strings."""
    valid = tf.reshape(valid, [-1] + [1] * (value.shape.rank - 1))
    return tf.where(valid, value, tf.zeros([], value.dtype))


def takes_photographs(model: TransferModel) -> bool:
    """Return whether the model's input is gray or RGB images of a fixed size."""
    shape = model.image_shape
    return len(shape) == 3 and None not in shape and shape[-1] in (1, 3)


def pixels(
    image_bytes: tf.Tensor,
    image_shape: tuple[int, int, int],
    pixel_range: tuple[float, float] | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode encoded images as in training.

    Args:
        image_bytes: String tensor `(n,)`.
        image_shape: Height, width and channels that the model takes.
        pixel_range: Darkest and brightest value that the model takes.

    Returns:
        float32 `(n, *image_shape)`, 0–255 or, with a `pixel_range`, the values of the files; zeros
        where the bytes are not an image. And why they are not, string `(n,)`; empty where they are.
    """
    height, width, channels = image_shape
    images, error = decode_images_in(image_bytes, (height, width), pixel_range)
    if channels == 1:
        images = tf.image.rgb_to_grayscale(images)
    return tf.cast(images, tf.float32), error


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
    if isinstance(model.targets, TargetSpec):
        return model.targets.task.answer(predictions, model.targets, model.activation)
    return {
        f"{task}_{name}": value
        for task, spec in model.targets.items()
        for name, value in spec.task.answer(predictions[task], spec, model.activation[task]).items()
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
    if isinstance(model.targets, TargetSpec):
        return {"labels.txt": _lines(model.targets)}
    return {f"labels_{task}.txt": _lines(spec) for task, spec in model.targets.items()}


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
        A model from `images` to `scores`, `values` or `features`, or `{task}_scores` ….
    """
    if any(layer.compute_dtype != "float32" for layer in model._flatten_layers()):
        copy = type(model).from_config(_in_float32(model.get_config()))
        copy.set_weights(model.get_weights())
        model = copy
    images, predictions = model.inputs[0], model.output
    if isinstance(model.targets, dict):
        outputs = {
            f"{task}_{main_output(spec)}": predictions[task] for task, spec in model.targets.items()
        }
    else:
        outputs = {main_output(model.targets): predictions}
    return keras.Model(images, outputs, name=model.name)


def _in_float32(config: Any) -> Any:
    """Replace the mixed-precision policies in a layer's config by float32."""
    if isinstance(config, dict):
        return {key: _in_float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_in_float32(value) for value in config)
    return "float32" if config in ("mixed_float16", "mixed_bfloat16") else config
