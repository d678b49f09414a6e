"""Two-way transfer: the models of two domains teach each other."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tl_keras.backbones.weights import copy_weights
from tl_keras.inputs.base import compatible, shapes
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Distillation, Supervised, adapt_batch_norm
from tl_keras.objectives.alignment.batch_norm_statistics import batch_norm_layers
from tl_keras.schedules import Stage
from tl_keras.tasks.targets import TargetSpec
from tl_keras.training.checks import check_model
from tl_keras.training.fine_tune import fine_tune
from tl_keras.training.runs.run import Run
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError


@dataclasses.dataclass(frozen=True)
class TwoWay:
    """What a two-way transfer leaves behind.

    Attributes:
        models: Domain → its model, the one that was passed.
        runs: One dict per round, from domain to its run; the first round is each model's own.
    """

    models: dict[str, TransferModel]
    runs: tuple[dict[str, Run], ...]


def two_way_transfer(
    model_a: TransferModel,
    model_b: TransferModel,
    data: Mapping[str, Any],
    validation: Mapping[str, Any] | None = None,
    *,
    rounds: int = 2,
    schedule: str | Stage | Sequence[Stage] = "auto",
    temperature: float = 2.0,
    confidence: float = 0.0,
    weight: Any = 1.0,
    batch_size: int = 32,
    augmentation: keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
    output: str | os.PathLike | None = None,
    seed: int = 0,
    verbose: bool = True,
) -> TwoWay:
    """Train two models, one per domain, each of which learns from the other.

    For two domains with the same classes and few labels each. First either model learns its own
    domain's labels. Then, in every round, the first model learns its labels and, on all its own
    examples, the common opinion of the other model and of itself as both were before; after it,
    the second does the same with the first as it is now. As a teacher, the other model has its
    BatchNorm statistics moved to the images that it is asked about (`adapt_batch_norm`): by its
    own domain's it would often know nothing there. No example leaves its domain: what passes
    between the two are BatchNorm statistics and answers. So it also serves where the data of both
    must stay apart.

    The domains have to be near each other: a model that knows little about the other's images
    teaches errors, and both get worse (`benchmarks/two_way.py` shows either case). Compare with
    training alone on validation data; a `confidence` of 0.9 leaves out much of what is wrong.

    Each step of it is a `fine_tune` with `Supervised` and `Distillation`: teachers are fixed while
    a model learns. That is mutual learning in turns; Zhang, Xiang, Hospedales, Lu: *Deep Mutual
    Learning*, CVPR 2018, update both networks in every step, on the same images.

    Args:
        model_a: Model of the first domain of `data`, trained in place. It may be pretrained on it.
        model_b: Model of the second, likewise; it can have another backbone, but needs the same
            classes in the same order, and takes images of the same shape.
        data: Two domains, name → what `fine_tune` takes as `data`, with some labels. With many
            examples and few labels give the labelled ones apart, so that they are in every
            batch: `{"photos": {"labelled": (x, y), "target": x_unlabelled}, "sketches": …}`.
        validation: Name → validation data of that domain, or None.
        rounds: How often they teach each other, ≥ 1.
        schedule: Of every training, as for `fine_tune`.
        temperature: Of `Distillation`, > 0.
        confidence: Of `Distillation`: answers less sure than this are left out.
        weight: Of `Distillation`: a number ≥ 0 or a function of progress.
        batch_size: As for `fine_tune`.
        augmentation: As for `fine_tune`.
        output: Directory with one run per round and domain, `round_1/photos`; a call that was
            stopped goes on from there.
        seed: Seed of the first trainings; each round has one of its own.
        verbose: Whether to show progress.

    Returns:
        The models and the runs of all rounds.

    Raises:
        InputError: If there are not two domains, the models differ in classes or images, or
            an argument of `fine_tune` cannot be used.
    """
    _check_models(model_a, model_b)
    Distillation([model_b, model_a], temperature, confidence=confidence, weight=weight)
    rounds = whole(rounds, "rounds")
    names = _checked_names(data, validation)
    models = dict(zip(names, (model_a, model_b), strict=True))
    runs = []
    for number in range(rounds + 1):
        runs.append({})
        for name, peer in zip(names, reversed(names), strict=True):
            objectives: list[Any] = [Supervised()]
            if number:
                teacher = _teacher(models[peer], data[peer], data[name], seed)
                teachers = [teacher, _copy_of(models[name])]
                objectives.append(
                    Distillation(teachers, temperature, confidence=confidence, weight=weight)
                )
            if verbose:
                print(f"round {number} of {rounds}: {name}", flush=True)
            runs[-1][name] = fine_tune(
                models[name],
                data[name] if isinstance(data[name], Mapping) else {"target": data[name]},
                None if validation is None else validation.get(name),
                schedule=schedule,
                objectives=objectives,
                batch_size=batch_size,
                augmentation=augmentation,
                output=None if output is None else pathlib.Path(output) / f"round_{number}" / name,
                seed=seed + number,
                verbose=verbose,
            )
    return TwoWay(models, tuple(runs))


def _check_models(model_a: Any, model_b: Any) -> None:
    """Raise `InputError` unless the models are two classifiers that can teach each other."""
    for argument, model in (("model_a", model_a), ("model_b", model_b)):
        check_model(model)
        spec = model.targets
        if not isinstance(spec, TargetSpec) or not spec.task.one_class:
            found = spec.task if isinstance(spec, TargetSpec) else "several tasks"
            raise InputError(
                f"{argument}: expected a head with one class per example, which can be distilled, "
                f"got {found}. Build the model with num_classes=…."
            )
    if model_a is model_b:
        raise InputError("model_b: expected a model of its own, got model_a again.")
    first, second = model_a.targets, model_b.targets
    if first.size != second.size or (
        first.class_names and second.class_names and first.class_names != second.class_names
    ):
        raise InputError(
            f"model_b: expected the classes of model_a in the same order, {_classes(first)}, got "
            f"{_classes(second)}. Build both models with the same num_classes or labels."
        )
    takes, other = model_a.modality, model_b.modality
    if not compatible(takes.spec, other.spec):
        raise InputError(
            f"model_b: expected {takes.plural} of the shape that model_a takes, "
            f"{shapes(takes.spec)}, got {shapes(other.spec)}. Build both models with the same "
            "input_shape."
        )
    if model_a.pixel_range != model_b.pixel_range:
        raise InputError(
            f"model_b: expected the pixel_range of model_a, {model_a.pixel_range}, got "
            f"{model_b.pixel_range}. Each reads the other's images: build both with the same."
        )


def _classes(spec: TargetSpec) -> str:
    return f"{spec.size} classes" if spec.class_names is None else f"{list(spec.class_names)[:10]}"


def _checked_names(data: Any, validation: Any) -> tuple[str, ...]:
    if not isinstance(data, Mapping) or len(data) != 2:
        got = list(data) if isinstance(data, Mapping) else type(data).__name__
        raise InputError(
            f"data: expected two domains, {{'photos': …, 'sketches': …}}, in the order of the "
            f"models, got {got}."
        )
    strangers = sorted(set(validation or {}) - set(data))
    if strangers:
        raise InputError(f"validation: {strangers} are no domains of data, which has {list(data)}.")
    return tuple(data)


def _teacher(model: TransferModel, own: Any, data: Any, seed: int) -> TransferModel:
    """Return a copy whose BatchNorm statistics read another domain's images as those of its own."""
    copy = _copy_of(model)
    if batch_norm_layers(copy):
        adapt_batch_norm(copy, data, source=own, seed=seed)
    return copy


def _copy_of(model: TransferModel) -> TransferModel:
    """Return a model with the same layers and weights, which stays as it is."""
    copy = type(model).from_config(model.get_config())
    copy_weights(model, copy)
    return copy
