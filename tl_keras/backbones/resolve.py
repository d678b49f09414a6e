"""From what a user names to a `Backbone`."""

import os
from collections.abc import Sequence
from typing import Any

import keras

from tl_keras.backbones import efficientnet_lite
from tl_keras.backbones.applications import APPLICATIONS, application_backbone, check_image_shape
from tl_keras.backbones.backbone import Backbone
from tl_keras.backbones.channels import build_for_channels
from tl_keras.backbones.classifier_tops import warn_of_classes
from tl_keras.backbones.keras_files import load_keras_file, refuse_hdf5
from tl_keras.backbones.keras_hub import PREFIX, keras_hub_backbone
from tl_keras.backbones.keras_model import model_backbone
from tl_keras.backbones.saved_model import SavedModelBackbone, is_module_source
from tl_keras.inputs import preprocessing
from tl_keras.inputs.modalities import modality_of_shape
from tl_keras.utils.errors import InputError, did_you_mean
from tl_keras.utils.legacy_hdf5 import HDF5


def backbone_names() -> tuple[str, ...]:
    """Return the names that `build_transfer_model` knows without a path or prefix."""
    return (*APPLICATIONS, *efficientnet_lite.EFFICIENTNET_LITE)


def resolve_backbone(
    spec: str | os.PathLike | keras.layers.Layer | Backbone,
    *,
    weights: str | os.PathLike | None = "imagenet",
    input_shape: tuple[int | None, ...] | None = None,
    trust: bool = False,
) -> Backbone:
    """Build the backbone that a spec names.

    Args:
        spec: A Keras Applications name, `EfficientNetLite0` … `2`, the directory, `.tar.gz`, URL
            or handle of a SavedModel or TF Hub module, `keras_hub:PRESET`, the path of a `.keras`
            file, a `keras.Model` or layer, or a `Backbone`.
        weights: `"imagenet"`, None, or the path of a weights file. A SavedModel, a `.keras` file
            and a model bring their own.
        input_shape: Shape of one input, or None for the backbone's own.
        trust: Whether the user trusts the author of a SavedModel or `.keras` file: it may run code
            and reach files and the network.

    Raises:
        InputError: If the spec is unknown or does not fit the other arguments.
    """
    if isinstance(weights, os.PathLike):
        weights = os.fspath(weights)
    if isinstance(spec, Backbone):
        return spec
    if isinstance(spec, keras.layers.Layer):
        found = model_backbone(spec, input_shape=input_shape)
        if isinstance(spec, SavedModelBackbone):
            _warn_of_classes(spec.source, spec, found.input_shape)
        return found
    if not isinstance(spec, (str, os.PathLike)):
        raise InputError(
            "backbone: expected a name, a path, a URL, a keras.Model or a layer, got "
            f"{type(spec).__name__}."
        )
    name = os.fspath(spec)
    if name in APPLICATIONS:
        return application_backbone(name, weights=weights, input_shape=input_shape)
    if name in efficientnet_lite.EFFICIENTNET_LITE:
        return _lite_backbone(name, weights=weights, input_shape=input_shape)
    if name.startswith(PREFIX):
        return keras_hub_backbone(name, weights=weights, input_shape=input_shape)
    if name.endswith(".keras"):
        return model_backbone(load_keras_file(name, "backbone", trust), input_shape=input_shape)
    if name.endswith(HDF5) and os.path.isfile(name):
        refuse_hdf5(name, "backbone")
    if is_module_source(name):
        return _saved_model_backbone(name, input_shape=input_shape, trust=trust)
    if os.path.exists(name) or os.sep in name:
        raise InputError(
            f"backbone: {name!r} is neither a .keras file nor a SavedModel (a directory with "
            "saved_model.pb, or a .tar.gz of one)."
            + ("" if os.path.exists(name) else " The path does not exist.")
        )
    raise InputError(
        f"backbone: unknown name {name!r}.{did_you_mean(name, backbone_names())} "
        "`tl-keras backbones` lists all names; paths, URLs and keras_hub:PRESET work too."
    )


def _lite_backbone(
    name: str, *, weights: str | None, input_shape: tuple[int | None, ...] | None
) -> Backbone:
    size = efficientnet_lite.EFFICIENTNET_LITE[name].image_size
    shape = check_image_shape(name, input_shape or (size, size, 3), 32)

    def build(weights: str | None, shape: Any) -> keras.Model:
        return efficientnet_lite.efficientnet_lite(name, weights=weights, input_shape=shape)

    network = build_for_channels(build, weights, shape)
    return Backbone(name, network, preprocessing.efficientnet_lite(), shape)


def _saved_model_backbone(
    source: str, *, input_shape: tuple[int | None, ...] | None, trust: bool
) -> Backbone:
    layer = SavedModelBackbone(source, trust=trust)
    stated = layer.module_input_shape
    if input_shape is None:
        if stated is None or any(side is None for side in stated):
            raise InputError(
                f"input_shape: the module {source!r} does not state the shape of its input "
                f"({stated}). Pass input_shape=(height, width, channels)."
            )
        input_shape = stated
    _warn_of_classes(source, layer, input_shape)
    images = len(input_shape) == 3 and input_shape[-1] in (1, 3)
    scaling = preprocessing.unit_range() if images else preprocessing.identity()
    modality = modality_of_shape(tuple(input_shape))
    return Backbone(layer.name, layer, scaling, tuple(input_shape), modality=modality)


def _warn_of_classes(
    source: str, layer: SavedModelBackbone, input_shape: Sequence[int | None]
) -> None:
    images = keras.KerasTensor((None, *input_shape), layer.module_input_dtype)
    shape = layer.compute_output_spec(images).shape
    warn_of_classes(source, shape, layer.module_output_name)
