"""Several models in one: features side by side, or predictions averaged or stacked."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras

from tl_keras.backbones.backbone import Backbone
from tl_keras.backbones.resolve import resolve_backbone
from tl_keras.inputs import preprocessing
from tl_keras.inputs.images import Images
from tl_keras.models.builder import build_transfer_model
from tl_keras.models.fusion_layers import FusedFeatures, FusedPredictions
from tl_keras.models.heads import Head, HeadSpec, resolve_head
from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.by_task import ONLY_TASK
from tl_keras.utils.errors import InputError

WAYS = ("features", "average", "stack")


def build_fusion_model(
    members: Sequence[Any],
    num_classes: int | Mapping[str, int] | None = None,
    *,
    how: Literal["features", "average", "stack"] = "features",
    head: str | HeadSpec | Mapping[str, str | HeadSpec] | None = None,
    member_weights: Sequence[float] | None = None,
    weights: str | os.PathLike | None = "imagenet",
    input_shape: tuple[int, int, int] | None = None,
    classifier_activation: str | None = "softmax",
    class_names: Sequence[str] | None = None,
    name: str = "fusion_model",
    trust: bool = False,
) -> TransferModel:
    """Make one model of several, such as a pretrained one and ones trained on the new task.

    * `"features"`: the members' pooled features side by side, each brought to unit length, under
      one head. Train the head first, as with every transfer model.
    * `"average"`: the average of the members' predictions. There is nothing to train but the
      members themselves. Of regressions, it has the units of all members' training data together,
      or takes those of its own where a member has none yet; predictions stay.
    * `"stack"`: a head on the members' predictions side by side, of regressions each in its
      member's standard units. Train the head alone, on examples that the members have not been
      trained on.

    All members read the same images, each through its own preprocessing. They are used, not copied:
    training all blocks of the fusion changes them. The fusion is one block: `unfreeze` is 0 or
    `"all"`. For averaging weights in place of predictions, at the cost of one model, see
    `tl.uniform_soup`.

    Args:
        members: Two or more. For `"features"` whatever `build_transfer_model` takes as a backbone,
            or models that it made; for the others models with a head and the same single task.
        num_classes: As for `build_transfer_model`; by default what the members predict, where they
            do.
        how: What is fused.
        head: The head of `"features"` and `"stack"`; by default one dense layer, for what the
            members predict where they do.
        member_weights: Weight ≥ 0 of each member in `"average"`; by default all the same.
        weights: Of members given by name.
        input_shape: `(height, width, channels)`; by default that of the first member.
        classifier_activation: Activation of the head.
        class_names: Names of the classes.
        name: Name of the model.
        trust: Of members given by path, as for `build_transfer_model`.

    Returns:
        A transfer model: `fine_tune`, `evaluate`, `save` and `export` work on it.

    Raises:
        InputError: If the members do not fit each other or the way, or an argument cannot be used.

    Stacking: Wolpert: *Stacked Generalization*, Neural Networks 1992.

    Example:
        >>> both = tl.build_fusion_model(["MobileNetV2", "ResNet50"], 5)  # doctest: +SKIP
        >>> tl.fine_tune(both, train, schedule="feature_extraction")  # doctest: +SKIP
        >>> committee = tl.build_fusion_model([first, second], how="average")  # doctest: +SKIP
        >>> tl.evaluate(committee, test)  # doctest: +SKIP
    """
    members = _checked_members(members, how)
    if member_weights is not None and how != "average":
        raise InputError(f"member_weights: they belong to how='average', got how={how!r}.")
    if how == "features":
        backbone = _fused_features(members, weights, input_shape, bool(trust))
        targets = None
    else:
        targets = _common_targets(members)
        modality = members[0].modality
        shape = _common_shape([member.modality.shape for member in members])
        _check_common_range([member.pixel_range for member in members])
        if how == "average":
            return _average(members, member_weights, targets, modality, classifier_activation, name)
        layer = FusedPredictions(members, name="stacked_predictions")
        backbone = Backbone(layer.name, layer, modality.preprocessing(), shape, modality=modality)
    if head is None:
        head = "linear" if targets is None else HeadSpec(task=targets.task)
    if num_classes is None and class_names is None and targets is not None:
        _check_task(head, targets)
        num_classes, class_names = targets.size, targets.class_names
    return build_transfer_model(
        backbone,
        num_classes,
        head=head,
        classifier_activation=classifier_activation,
        class_names=class_names,
        name=name,
    )


def _checked_members(members: Any, how: str) -> list[Any]:
    if how not in WAYS:
        raise InputError(f"how: expected one of {WAYS}, got {how!r}.")
    if isinstance(members, (str, keras.layers.Layer)) or not isinstance(members, Sequence):
        raise InputError(f"members: expected a list of two models or more, got {members!r}.")
    layers = [id(member) for member in members if isinstance(member, keras.layers.Layer)]
    if len(members) < 2 or len(set(layers)) < len(layers):
        raise InputError(
            f"members: expected two different models or more, got {len(members)}"
            f"{' with one of them twice' if len(members) > 1 else ''}."
        )
    return list(members)


def _fused_features(members, weights, input_shape, trust: bool) -> Backbone:
    parts: list[Backbone] = []
    for member in members:
        shape = input_shape or (parts[0].input_shape if parts else None)
        parts.append(resolve_backbone(member, weights=weights, input_shape=shape, trust=trust))
    shape = _common_shape([part.input_shape for part in parts])
    stated = [part.stated_preprocessing() for part in parts]
    networks = [part.network for part in parts]
    _check_common_range(list(map(preprocessing.pixel_range_of, stated, networks)))
    layer = FusedFeatures(networks, stated, name="fused_features")
    modality = parts[0].modality or Images(shape)
    return Backbone(layer.name, layer, modality.preprocessing(), shape, modality=modality)


def _average(members, member_weights, targets, modality, activation, name) -> TransferModel:
    share = [1.0] * len(members) if member_weights is None else [float(w) for w in member_weights]
    if len(share) != len(members) or min(share) < 0 or not 0 < sum(share) < float("inf"):
        raise InputError(
            f"member_weights: expected {len(members)} numbers ≥ 0, one per member and not all 0, "
            f"got {member_weights!r}."
        )
    layer = FusedPredictions(members, share, name="averaged_predictions")
    units = layer.common_units() if layer.averages_values else None
    model = TransferModel(
        modality.preprocessing(),
        layer,
        Head(HeadSpec(task=targets.task), None, name="head"),
        modality=modality,
        activation=targets.task.activation(activation),
        targets=targets,
        name=name,
    )
    if units is not None:
        for one in (layer, model.target_scales[ONLY_TASK]):
            one.assign_scale(*units)
    return model


def _check_task(head: Any, targets: TargetSpec) -> None:
    """Raise `InputError` if a head would read the members' number of outputs as something else."""
    spec = None if isinstance(head, Mapping) else resolve_head(head)
    if isinstance(spec, HeadSpec) and spec.task != targets.task:
        raise InputError(
            f"head: expected one for {targets.task.name}, which the members predict, got one for "
            f"{spec.task.name}. Leave it out, or say with num_classes what the new outputs are."
        )


def _common_targets(members: Sequence[Any]) -> TargetSpec:
    for index, member in enumerate(members):
        spec = member.targets if isinstance(member, TransferModel) else None
        if not isinstance(spec, TargetSpec):
            raise InputError(
                f"members[{index}]: expected a model from build_transfer_model with a head for one "
                f"task, got {type(member).__name__}. how='features' takes backbones."
            )
        if spec != members[0].targets:
            raise InputError(
                f"members[{index}]: predicts {spec}, but the first member predicts "
                f"{members[0].targets}. Fuse models with the same outputs, or use how='features'."
            )
    return members[0].targets


def _check_common_range(ranges: Sequence[tuple[float, float] | None]) -> None:
    if len(set(ranges)) > 1:
        raise InputError(
            f"members: they take images of different ranges, pixel_range={ranges}. Build them "
            "with the same pixel_range; backbones by name take 0–255."
        )


def _common_shape(shapes: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
    if len(set(shapes)) > 1:
        raise InputError(
            f"members: they take inputs of different shapes, {sorted(set(shapes), key=str)}. Build "
            "them with the same input_shape."
        )
    return shapes[0]
