"""Export to a TensorFlow SavedModel: image bytes in, labels and scores out."""

import os
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tl_keras.export.destination import staged
from tl_keras.export.serving import check_model, label_files, signatures
from tl_keras.frozen.folding import fold_concrete
from tl_keras.frozen.function_digest import trace
from tl_keras.frozen.prefix import carries_mask
from tl_keras.models.transfer_model import TransferModel
from tl_keras.utils.writing import write_text


def saved_model(model: TransferModel, path: str | os.PathLike, *, overwrite: bool = False) -> Path:
    """Write a SavedModel that TensorFlow Serving, or `tf.saved_model.load` alone, can run.

    It needs neither this package nor Keras where it is used. Preprocessing is inside, and JPEG,
    PNG, BMP, GIF and WebP files are decoded and resized by the same graph as in training.
    Signatures:

    | signature | takes | gives |
    |---|---|---|
    | `serving_default` | `images` float32 `(n, h, w, c)`, 0–255 | the answer |
    | `serve_bytes` | `image_bytes` string `(n,)`: files of any size | the same, `valid`, `error` |
    | `features` | `images` as above | `features` float32 `(n, channels)` |

    Other inputs than images are `inputs`, in the type that the network takes, or have the names of
    its several inputs; a modality of your own may bring a raw form with another signature than
    `serve_bytes`.

    The answer depends on the head:

    * classification: `scores` `(n, size)`, and for the highest of them `score` `(n,)` and `label`
      string `(n,)`; without labels the classes are called `"0"`, `"1"`, …;
    * multi-label: `scores`, and `labels_present` bool `(n, size)` for probabilities from 0.5 on;
    * regression: `values` `(n, size)`;
    * several tasks: the same for each, as `{task}_scores`, `{task}_label`, …;
    * no head: `features`.

    `scores` are what `model.predict` gives. The names of the outputs are also in
    `assets/labels.txt`, one a line (`assets/labels_{task}.txt` for several tasks). A model with a
    `pixel_range` takes `images` in it, and files at their full depth. uint8 pixels
    have to be cast to float32 before `serving_default`. A model of gray images converts what
    `serve_bytes` decodes to gray; a model whose input is no gray or RGB image of fixed size has no
    `serve_bytes`.

    Bytes that are not an image spoil nothing but their own row. `valid`, bool `(n,)`, is False
    there; `error`, string `(n,)`, says why, as in `"not an image: …"`; and all other outputs are
    zeros, False or empty. `serve_bytes` takes what training and `tl.data.image_folder` take. An
    empty batch gives outputs without rows, of every signature.

    The backbone's weights are constants of the graph, which lets TensorFlow merge normalisation
    into convolutions: a CPU answers sooner. It is for serving, not for training on; keep
    `model.save("….keras")` for that. A backbone that cannot be written so, because 64 times
    its size would not fit into free memory or because it holds tables, keeps its variables.

    Args:
        model: A model from `build_transfer_model`.
        path: Directory to write; it appears when it is complete.
        overwrite: Whether an earlier SavedModel at `path` may be replaced.

    Returns:
        The directory.

    Raises:
        InputError: If the model cannot be exported, or `path` is taken or cannot be written.

    Example:
        >>> saved_model(model, "cells_model")  # doctest: +SKIP
        >>> served = tf.saved_model.load("cells_model")  # doctest: +SKIP
        >>> content = tf.io.read_file("cell.jpg")  # doctest: +SKIP
        >>> served.signatures["serve_bytes"](image_bytes=content[None])["label"]  # doctest: +SKIP
        <tf.Tensor: shape=(1,), dtype=string, numpy=array([b'defective'], dtype=object)>
    """
    check_model(model)
    with staged(path, overwrite=overwrite, is_export=tf.saved_model.contains_saved_model) as new:
        archive = keras.export.ExportArchive()
        feature_map = _with_constants(model)
        archive.track(model if feature_map is None else model.head)
        for name, (function, takes) in signatures(model, feature_map or model.feature_map).items():
            archive.add_endpoint(name, function, [takes])
        # Activations such as swish bring gradients of their own, which constants have no use for.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        archive.write_out(str(new), options, verbose=False)
        (new / "assets").mkdir(exist_ok=True)
        for name, text in label_files(model).items():
            write_text(new / "assets" / name, text)
    return Path(path)


def _with_constants(model: TransferModel) -> Any:
    """Return the concrete function from images to the backbone's output, without variables.

    None where the graph cannot be written so.
    """
    if carries_mask(model):  # What comes out of a graph of constants has no mask.
        return None
    takes = model.modality.batch_spec
    try:
        return fold_concrete(trace(model.feature_map, takes), takes)
    except Exception:  # Of any kind, from converters that know some operations and not others.
        return None
