"""`build_transfer_model`: from a name to a model that is right by construction."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np

from tl_keras.backbones.backbone import Backbone
from tl_keras.backbones.resolve import resolve_backbone
from tl_keras.inputs.base import Modality
from tl_keras.inputs.images import Images
from tl_keras.inputs.preprocessing import ImagePreprocessing
from tl_keras.models.heads import HeadSpec, TaskHeads, resolve_head
from tl_keras.models.input_arguments import preprocessing_of, read_shape
from tl_keras.models.layer_head import check_own_layer, make_head
from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.arguments import whole
from tl_keras.utils.by_task import ONLY_TASK, in_form_of
from tl_keras.utils.cluster import join_cluster
from tl_keras.utils.errors import InputError
from tl_keras.utils.misplaced import OF_BUILDING, points_from


@points_from(OF_BUILDING)
def build_transfer_model(
    backbone: str | os.PathLike | keras.layers.Layer | Backbone,
    num_classes: int | Mapping[str, int] | None = None,
    *,
    head: str | HeadSpec | keras.layers.Layer | Mapping[str, str | HeadSpec] = "linear",
    weights: str | os.PathLike | None = "imagenet",
    input_shape: tuple[int | None, ...] | None = None,
    classifier_activation: str | None = "softmax",
    class_names: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    preprocessing: ImagePreprocessing | None = None,
    pixel_range: tuple[float, float] | None = None,
    name: str = "transfer_model",
    trust: bool = False,
    modality: Modality | None = None,
) -> TransferModel:
    """Put a head on a pretrained backbone, with its preprocessing in front.

    Args:
        backbone: A Keras Applications name (`"ResNet50"`), `"EfficientNetLite0"` … `"2"`, the
            directory, `.tar.gz`, URL or handle of a SavedModel or TF Hub module,
            `"keras_hub:PRESET"`, the path of a `.keras` file, or a `keras.Model` (used, not
            copied; with several inputs, `x` is a dict of arrays by their names). SavedModels and
            `.keras` files that may run code or reach files are refused.
        num_classes: Number of classes, labels or regressed values; task name → that for several
            tasks; None for a model that gives features only (or as many as there are
            `class_names`).
        head: `"linear"`, `"mlp"`, `"attention"`, `"gem"`, `"cosine"`, `"multi_label"`,
            `"regression"`, a `tl.heads.HeadSpec`, or task name → one of these. Of one task also a
            Keras layer or model from the backbone's output to logits `(batch, num_classes)`.
        weights: `"imagenet"`, None for random ones, or the path of a weights file for the
            backbone.
        input_shape: `(height, width, channels)`; by default the size the weights were trained at.
            Weights of Keras Applications and EfficientNetLite for three channels are adapted to
            any number of them: to gray by the sum, else by repeating red, green, blue.
        classifier_activation: Activation of single-label heads, `None` for logits. Multi-label
            heads take `"sigmoid"` and regression heads none in place of `"softmax"`.
        class_names: Names of the classes in the order of the outputs; stored in the model and its
            exports.
        preprocessing: Replaces the backbone's own preprocessing, for a model of your own that
            wants scaled pixels.
        pixel_range: Darkest and brightest value of the images where they are not of 8 bits, such
            as `(0, 4095)` for 12 bits or `(-1000, 3000)`. It is stored: the model and its exports
            take images in this range, `serve_bytes` reads files at their full depth, and image
            folders are read with the same `pixel_range`. None for images of 8 bits.
        name: Name of the model.
        trust: Load the backbone's SavedModel or `.keras` file whatever is in it: it may run code
            of its author and reach files and the network (`SECURITY.md`).
        modality: What goes in: `tl.inputs.Images`, `tl.inputs.Features`, or a `Modality` of your
            own. By default images for inputs of three axes, and features, with the type that a
            Keras model states, for all others.

    Returns:
        A model from 0–255 images, uint8 or float, to float32 predictions `(batch, num_classes)`.

    Raises:
        InputError: If an argument cannot be used; the message says which and what to do.

    Example:
        >>> model = build_transfer_model(
        ...     "MobileNetV2", 3, weights=None, input_shape=(32, 32, 3), class_names=["a", "b", "c"]
        ... )
        >>> model(np.zeros((2, 32, 32, 3), "uint8")).shape
        TensorShape([2, 3])
    """
    join_cluster()
    _check_name(name)
    tasks = _read_tasks(num_classes, head, class_names)
    shape = read_shape(input_shape, modality)
    resolved = resolve_backbone(backbone, weights=weights, input_shape=shape, trust=bool(trust))
    if pixel_range is None and modality is not None:
        pixel_range = modality.pixel_range
    modality = modality or resolved.modality or Images(resolved.input_shape)
    layer = preprocessing_of(resolved, preprocessing, pixel_range)
    several = isinstance(num_classes, Mapping)
    if several:
        _check_task_names(tasks, (*modality.input_names, "head", layer.name, resolved.network.name))
    heads, targets, activation = {}, {}, {}
    for task, (spec, units, names) in tasks.items():
        heads[task] = make_head(spec, units, task or "head")
        targets[task] = None if units is None else TargetSpec(spec.task, units, names)
        activation[task] = _activation_of(spec, units, classifier_activation)
    return TransferModel(
        layer,
        resolved.network,
        TaskHeads(heads, name="head") if several else heads[ONLY_TASK],
        modality=modality,
        activation=in_form_of(num_classes, activation),
        targets=in_form_of(num_classes, targets),
        name=name,
    )


def _check_name(name):
    if not isinstance(name, str) or not name or "/" in name:
        raise InputError(f"name: expected a name without '/', got {name!r}.")


def _read_tasks(num_classes, head, class_names):
    """Return task name → (head spec, units, names)."""
    if isinstance(num_classes, Mapping):
        if not num_classes:
            raise InputError("num_classes: expected at least one task, got an empty dict.")
        for task in num_classes:
            if not re.fullmatch(r"[A-Za-z0-9_.-]+", str(task)):
                raise InputError(
                    f"num_classes: task names become names of outputs and may hold letters, "
                    f"digits, '_', '.' and '-', got {task!r}."
                )
        heads = head if isinstance(head, Mapping) else dict.fromkeys(num_classes, head)
        names = class_names or {}
        if not isinstance(names, Mapping):
            raise InputError(
                "class_names: with several tasks, expected a dict from task to names, got "
                f"{names!r}."
            )
        for argument, value in (("head", heads), ("class_names", names)):
            strangers = sorted(set(value) - set(num_classes))
            if strangers:
                raise InputError(
                    f"{argument}: {strangers} are no tasks of num_classes, which has "
                    f"{sorted(num_classes)}."
                )
        return {
            task: _read_task(units, heads.get(task, "linear"), names.get(task), f"[{task!r}]")
            for task, units in num_classes.items()
        }
    if isinstance(head, Mapping):
        raise InputError(
            "num_classes: with several heads, expected a dict from task name to number of "
            f"classes with the keys {sorted(head)}, got {num_classes!r}."
        )
    return {ONLY_TASK: _read_task(num_classes, head, class_names, "")}


def _check_task_names(tasks: Iterable[str], taken: Sequence[str]) -> None:
    clash = next((task for task in tasks if task in taken), None)
    if clash is not None:
        raise InputError(
            f"num_classes: the task name {clash!r} is that of another part of the model, which has "
            f"{', '.join(taken)}. Call the task otherwise."
        )


def _read_task(units, head, names, key):
    spec = resolve_head(head)
    if names is not None:
        if isinstance(names, (str, Mapping)) or not isinstance(names, Iterable):
            raise InputError(f"class_names{key}: expected a list of names, got {names!r}.")
        if isinstance(names, (set, frozenset)):
            raise InputError(
                f"class_names{key}: expected names in the order of the outputs, got a "
                f"{type(names).__name__}, which has none: it differs between processes. Pass "
                "sorted(class_names), or the data's class_names."
            )
        names = tuple(str(name) for name in names)
        units = len(names) if units is None else units
    check_own_layer(spec, units, key)
    if units is None:
        if not spec.task.one_class:
            raise InputError(
                f"num_classes{key}: a {spec.task} head needs the number of its outputs, "
                "such as num_classes=1."
            )
        return spec, None, None
    units = whole(units, f"num_classes{key}")
    for argument in ("target_mean", "target_scale"):
        if np.size(getattr(spec, argument)) not in (1, units):
            raise InputError(
                f"head{key}: {argument} has {np.size(getattr(spec, argument))} numbers for {units} "
                "outputs. Give one, or one per output."
            )
    spec.task.check_size(units, f"num_classes{key}")
    return spec, units, names


def _activation_of(spec: HeadSpec, units, classifier_activation):
    activation = None if units is None else spec.task.activation(classifier_activation)
    if activation is not None:
        try:
            keras.activations.get(activation)
        except ValueError as error:
            raise InputError(
                "classifier_activation: expected the name of a Keras activation or None, got "
                f"{classifier_activation!r}."
            ) from error
    return activation
