"""Export to ONNX."""

import importlib.util
import os
from pathlib import Path

import keras
import tensorflow as tf

from tl_keras.export.destination import check_suffix, staged
from tl_keras.export.serving import check_model, export_network
from tl_keras.models.transfer_model import TransferModel
from tl_keras.utils.errors import InputError, listed


def onnx(
    model: TransferModel,
    path: str | os.PathLike,
    *,
    opset: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write an ONNX file, for ONNX Runtime and what else reads ONNX.

    It takes `images` float32 `(n, h, w, c)`, 0–255 or in the model's `pixel_range` (what else goes
    into a model is `inputs`, or has the names of its several inputs), and gives
    `scores` (`values` for regression, `features` without a head, `{task}_scores` … for several
    tasks). Preprocessing is inside.
    Needs `pip install "tl_keras[onnx]"`.

    Args:
        model: A model from `build_transfer_model`. One in mixed precision is exported in float32.
        path: File to write, ending in `.onnx`.
        opset: Version of the ONNX operators; None for the converter's default.
        overwrite: Whether an earlier file at `path` may be replaced.

    Returns:
        The file.

    Raises:
        InputError: If an argument cannot be used, a package is missing, or `path` is taken or
            cannot be written.

    Example:
        >>> onnx(model, "cells.onnx")  # doctest: +SKIP
        >>> session = onnxruntime.InferenceSession("cells.onnx")  # doctest: +SKIP
        >>> (scores,) = session.run(["scores"], {"images": pixels})  # doctest: +SKIP
    """
    check_model(model)
    check_suffix(path, ".onnx")
    missing = [name for name in ("tf2onnx", "onnx") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"onnx: the {'package' if len(missing) == 1 else 'packages'} {listed(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed. Run "
            '`pip install "tl_keras[onnx]"`.'
        )
    takes = tf.nest.map_structure(
        lambda one: keras.InputSpec(dtype=one.dtype.name, shape=tuple(one.shape), name=one.name),
        model.modality.batch_spec,
    )
    with staged(path, overwrite=overwrite, is_export=Path.is_file) as new:
        export_network(model, new, "onnx", input_signature=[takes], opset_version=opset)
    return Path(path)
