"""Export to TFLite (LiteRT), in float32 or quantised to int8."""

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from tl_keras.data.domains import as_domains
from tl_keras.data.examples import as_examples
from tl_keras.data.rows import Epochs
from tl_keras.export.destination import check_suffix, staged
from tl_keras.export.serving import check_model, export_network, label_files
from tl_keras.models.model_inputs import check_examples, warn_of_doubtful_values
from tl_keras.models.transfer_model import TransferModel
from tl_keras.utils.errors import InputError

REPRESENTATIVE_EXAMPLES = 100


def tflite(
    model: TransferModel,
    path: str | os.PathLike,
    *,
    quantize: Literal["int8"] | None = None,
    representative: Any = None,
    overwrite: bool = False,
) -> Path:
    """Write a TFLite file for phones and small devices.

    Its signature takes `images` float32 `(1, h, w, c)`, 0–255 or in the model's `pixel_range` (what
    else goes into a model is `inputs`, or has the names of its several inputs), and gives `scores`
    (`values` for regression, `features` without a head, `{task}_scores` … for several tasks).
    Preprocessing is inside. For other batch sizes call the interpreter's `resize_tensor_input`.

    With `quantize="int8"`, weights and activations are int8 wherever TFLite has an int8 kernel:
    about a quarter of the size, and several times as fast on hardware made for it. Input and
    output stay float32, converted at the border. Check the accuracy afterwards: networks made for
    int8 (`EfficientNetLite0`) keep theirs, others may lose some.

    The names of the outputs travel in the file, as TFLite's associated files do: it is a zip
    archive too, with `labels.txt`, one name a line (`labels_{task}.txt` for several tasks):
    `zipfile.ZipFile(path).read("labels.txt")`.

    Args:
        model: A model from `build_transfer_model`. One in mixed precision is exported in float32.
        path: File to write, ending in `.tflite`.
        quantize: None for float32, or `"int8"`.
        representative: Needed for int8: images as the model will see them, from which the ranges
            of the activations are measured: an array `(n, h, w, c)`, a `tf.data.Dataset` or an
            image folder. Up to 100 of them, drawn with a fixed seed, are used; give that many, as
            a quarter of it can cost much accuracy.
        overwrite: Whether an earlier file at `path` may be replaced.

    Returns:
        The file.

    Raises:
        InputError: If an argument cannot be used, or `path` is taken or cannot be written.

    Example:
        >>> tflite(model, "cells.tflite", quantize="int8", representative=train)  # doctest: +SKIP
        >>> interpreter = tf.lite.Interpreter("cells.tflite")  # doctest: +SKIP
        >>> run = interpreter.get_signature_runner()  # doctest: +SKIP
        >>> run(images=pixels)["scores"].shape  # doctest: +SKIP
        (1, 2)
    """
    check_model(model)
    check_suffix(path, ".tflite")
    options = _converter_options(model, quantize, representative)
    with staged(path, overwrite=overwrite, is_export=Path.is_file) as new:
        export_network(model, new, "litert", **options)
        files = label_files(model)
        if files:
            # As TFLite's own metadata does: interpreters do not look behind the network.
            with zipfile.ZipFile(new, "a") as archive:
                for name, text in files.items():
                    archive.writestr(name, text)
    return Path(path)


def _converter_options(model: TransferModel, quantize, representative) -> dict[str, Any]:
    if quantize is None:
        if representative is not None:
            raise InputError(
                "representative: it is for quantisation only. Pass quantize='int8' too, or leave "
                "it out."
            )
        return {}
    if quantize != "int8":
        raise InputError(f"quantize: expected None or 'int8', got {quantize!r}.")
    if representative is None:
        raise InputError(
            "representative: quantize='int8' needs examples to measure the ranges of the "
            "activations. Pass about 100 training images: an array (n, h, w, c) of 0–255, a "
            "tf.data.Dataset or an image folder."
        )
    return {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": _representative(model, representative),
        "target_spec": {
            "supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        },
    }


def _representative(model: TransferModel, data: Any) -> Callable[[], Iterator[dict]]:
    """Return a function that gives the examples one by one, as the converter asks for them."""
    examples = as_examples(data, "representative", wanted=model.modality.spec)
    check_examples(model, examples, "representative")
    batches = examples.batches(None, 1, epochs=Epochs(seed=0)).take(REPRESENTATIVE_EXAMPLES)
    takes = model.modality.batch_spec
    found = [
        tf.nest.map_structure(lambda one, own: tf.cast(one, own.dtype).numpy(), x, takes)
        for x in batches
    ]
    if not found:
        raise InputError(
            f"representative: expected at least one {model.modality.singular}, got none."
        )
    if examples.paths is None:
        seen = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *found)
        warn_of_doubtful_values(model, {"representative": as_domains((seen, None))})
    if isinstance(takes, tf.TensorSpec):
        found = [{takes.name: x} for x in found]
    return lambda: iter(found)
